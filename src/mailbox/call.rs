//! One call to the ledger: takes a connection, sends what was cut, hands out the answers, and tells
//! the observer.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use traces::format::CallRecord;
use tracing::{Instrument, Span};

use super::caller::{Apart, Caller, StatementReply};
use super::job::{Reply, Timing};
use super::mailbox::Mailbox;
use super::queue::Cut;
use super::{Bound, LedgerConnection, LedgerError, Refusal, RowWait, Run};
use crate::domain::{ClientId, Outcome};
use crate::observing::telemetry;

/// What came of a call's transactions.
#[derive(Default)]
struct Written {
    /// Clients that do not exist.
    unknown: Vec<ClientId>,
    apart: Vec<Apart>,
    row_was_held: Option<bool>,
}

/// A call from its cut until everybody is answered.
pub(super) struct Call {
    parts: Vec<Part>,
    size: usize,
    number: u64,
    cut: CutReason,
    cut_at: Instant,
    oldest_wait: Duration,
    row_wait: RowWait,
    /// Whether its row was held as long as it may wait; not known if nothing was sent.
    row_was_held: Option<bool>,
    span: Span,
}

/// One client's share of a call.
pub(super) struct Part {
    client: ClientId,
    /// None where requests go past the mailboxes (`direct`).
    pub(super) mailbox: Option<Rc<Mailbox>>,
    /// Whether it is no run of the mailbox, but statements that go past one that waits for its row.
    pub(super) aside: bool,
    cut: Cut,
    /// Jobs cut, to be counted out of the mailbox's load.
    pub(super) jobs: usize,
    /// Set when the database said that there is no such client.
    pub(super) unknown_client: bool,
    /// Set when somebody else holds the client's row: what was to be applied is here again.
    pub(super) row_held: bool,
}

/// Why a batch was cut where it was.
#[derive(Clone, Copy, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum CutReason {
    /// Nothing more was ready.
    QueueEmpty,
    /// A bound on the batch was reached.
    Bound,
    /// It never queued (`direct`).
    Direct,
    /// Somebody else holds the client's row: it waits apart from others.
    RowHeld,
}

impl Part {
    /// What was cut from a mailbox.
    pub(super) fn of(mailbox: Rc<Mailbox>, cut: Cut) -> Self {
        mailbox.goes_out(cut.len());
        Self { mailbox: Some(Rc::clone(&mailbox)), ..Self::past_the_mailbox(mailbox.client, cut) }
    }

    /// Statements of a mailbox whose run waits for its row.
    pub(super) fn aside(mailbox: &Rc<Mailbox>, statements: Cut) -> Self {
        Self { aside: true, ..Self::of(Rc::clone(mailbox), statements) }
    }

    /// What never was in one.
    pub(super) fn past_the_mailbox(client: ClientId, cut: Cut) -> Self {
        Self {
            client,
            mailbox: None,
            aside: false,
            jobs: cut.len(),
            cut,
            unknown_client: false,
            row_held: false,
        }
    }

    /// What it has, as the record says it: client, transactions, statements.
    fn carries(&self) -> (i32, u32, u32) {
        (self.client.get(), self.cut.transactions.len() as u32, self.cut.statements.len() as u32)
    }

    /// Tells its callers why nothing of it was sent.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        let cut = std::mem::take(&mut self.cut);
        cut.transactions.into_iter().for_each(|(_, reply)| reply.refuse(refusal));
        cut.statements.into_iter().for_each(|reply| reply.refuse(refusal));
    }

    /// Refuses them because a bound is reached, and counts them.
    pub(super) fn shed(&mut self, caller: &Caller, bound: Bound) {
        (0..self.jobs).for_each(|_| caller.observer.mailbox.sheds.inc(bound.name()));
        self.refuse(Refusal::Shed(bound));
    }

    /// The tickets of its requests, with when each arrived.
    fn tickets(&self) -> impl Iterator<Item = (&super::Ticket, Instant)> {
        let transactions = self.cut.transactions.iter().map(|(_, reply)| (&reply.ticket, reply.arrived));
        transactions.chain(self.cut.statements.iter().map(|reply| (&reply.ticket, reply.arrived)))
    }
}

impl Call {
    /// Gives what was cut a number, and its requests the call's.
    pub(super) fn new(parts: Vec<Part>, cut: CutReason, row_wait: RowWait) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (cut_at, span) = (Instant::now(), telemetry::call_span());
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        span.record("flush", number);
        let mut oldest = cut_at;
        for (ticket, arrived) in parts.iter().flat_map(Part::tickets) {
            oldest = oldest.min(arrived);
            ticket.carried_by(number);
            span.follows_from(ticket.span());
        }
        let size = parts.iter().map(|part| part.jobs).sum();
        let oldest_wait = cut_at.saturating_duration_since(oldest);
        Self { parts, size, number, cut, cut_at, oldest_wait, row_wait, row_was_held: None, span }
    }

    /// Returns how many requests it carries.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns whether its row was held as long as it may wait; `None` if nothing was sent.
    pub(super) fn row_was_held(&self) -> Option<bool> {
        self.row_was_held
    }

    /// Takes out what has to wait apart from the rest.
    pub(super) fn take_held(&mut self) -> Vec<Part> {
        self.parts.extract_if(.., |part| part.row_held).collect()
    }

    /// Takes a connection, sends everything, answers everybody, and tells the observer.
    pub(super) async fn carry(&mut self, caller: &Caller) {
        let _out = caller.out(matches!(self.cut, CutReason::RowHeld));
        let span = self.span.clone();
        self.send(caller).instrument(span).await;
    }

    async fn send(&mut self, caller: &Caller) {
        let mut record = CallRecord {
            id: self.number,
            cut: <&str>::from(self.cut).into(),
            carries: self.parts.iter().map(Part::carries).collect(),
            oldest_wait: micros(self.oldest_wait),
            ..CallRecord::default()
        };
        let connection = caller.ledger.connect().await;
        let waited = self.cut_at.elapsed();
        record.connection = micros(waited);
        match connection {
            Ok(connection) => self.exchange(caller, &*connection, waited, &mut record).await,
            Err(error) => self.refuse_all(caller, error, &mut record),
        }
        record.total = micros(self.cut_at.elapsed());
        caller.observer.call(&mut record, &self.span);
    }

    /// Sends transactions and statements at once: on one connection the statements are read after
    /// the commit.
    async fn exchange(
        &mut self,
        caller: &Caller,
        connection: &dyn LedgerConnection,
        waited: Duration,
        record: &mut CallRecord<'_>,
    ) {
        let cut_at = self.cut_at;
        let timing = Timing { connection: waited, ..Timing::default() };
        let (mut runs, mut replies) = self.begin_transactions(caller);
        let statements = self.begin_statements();
        record.queries = statements.len() as u64;
        let sent_at = Instant::now();
        let row_wait = self.row_wait;
        let written = &mut *record;
        let write = async {
            if runs.is_empty() {
                return Written::default();
            }
            let (applied, apart) = caller.apply(connection, &mut runs, &mut replies, row_wait).await;
            let database = sent_at.elapsed();
            let Some(applied) = applied else {
                // All of it waits apart.
                written.failure = Some("rolled_back".into());
                return Written { apart, ..Written::default() };
            };
            let row_was_held = Some(matches!(applied, Err(LedgerError::RowHeld(_))));
            let unknown = match caller.judge(applied, written) {
                Ok(applied) => {
                    let timing = Timing { database, report: applied.report, batch: replies.len(), ..timing };
                    caller.answer(&runs, replies, applied, timing, cut_at)
                }
                Err(refusal) => {
                    written.unanswered = replies.len() as u64;
                    for reply in &replies {
                        caller.observer.mailbox.waited(cut_at.saturating_duration_since(reply.arrived));
                    }
                    replies.into_iter().for_each(|reply| reply.refuse(refusal));
                    Vec::new()
                }
            };
            Written { unknown, apart, row_was_held }
        };
        let read = caller.read_statements(connection, statements, timing, cut_at);
        let (written, (unknown_by_read, failed)) = tokio::join!(write, read);
        // What became of its transactions is said first.
        record.failure = record.failure.take().or(failed.map(Into::into));
        record.database = micros(sent_at.elapsed());
        self.row_was_held = written.row_was_held;
        record
            .carries
            .retain(|(client, ..)| !written.apart.iter().any(|(run, _)| run.client.get() == *client));
        for (run, replies) in written.apart {
            if let Some(part) = self.parts.iter_mut().find(|part| part.client == run.client) {
                part.cut.transactions = run.transactions.into_iter().zip(replies).collect();
                part.row_held = true;
            }
        }
        for part in &mut self.parts {
            part.unknown_client =
                written.unknown.contains(&part.client) || unknown_by_read.contains(&part.client);
        }
    }

    /// Nothing was sent: says so to everybody.
    fn refuse_all(&mut self, caller: &Caller, error: LedgerError, record: &mut CallRecord<'_>) {
        caller.note_failure(&error);
        record.failure = Some(error.fate().into());
        let refusal = Refusal::from(error);
        self.parts.iter_mut().for_each(|part| part.refuse(refusal));
    }

    /// Turns what was cut into runs, leaving out callers who have gone.
    fn begin_transactions(&mut self, caller: &Caller) -> (Vec<Run>, Vec<Reply<Outcome>>) {
        let mut runs = Vec::with_capacity(self.parts.len());
        let mut replies = Vec::with_capacity(self.size);
        for part in &mut self.parts {
            let mut transactions = Vec::with_capacity(part.cut.transactions.len());
            for (transaction, reply) in part.cut.transactions.drain(..) {
                if reply.begin_send() {
                    transactions.push(transaction);
                    replies.push(reply);
                } else {
                    caller.observer.mailbox.abandoned.inc();
                }
            }
            if !transactions.is_empty() {
                runs.push(Run { client: part.client, transactions });
            }
        }
        (runs, replies)
    }

    /// The callers who wait for a statement, by client, without those who have gone.
    fn begin_statements(&mut self) -> Vec<(ClientId, Vec<StatementReply>)> {
        let mut statements = Vec::new();
        for part in &mut self.parts {
            let waiting: Vec<_> = part.cut.statements.drain(..).filter(Reply::begin_send).collect();
            if !waiting.is_empty() {
                statements.push((part.client, waiting));
            }
        }
        statements
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
