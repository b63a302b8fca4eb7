//! One call to the ledger: takes a connection, sends what was cut, hands out the answers, and tells
//! the observer.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use traces::format::CallRecord;
use tracing::{Instrument, Span};

use super::job::{Reply, Timing};
use super::mailbox::Mailbox;
use super::queue::Cut;
use super::{CallOutcomes, Ledger, LedgerConnection, LedgerError, Refusal, RowWait, Run};
use crate::domain::{BankStatement, ClientId, Outcome, Rejection};
use crate::observing::{Observer, telemetry};

/// A run that waits apart, with its callers.
type Apart = (Run, Vec<Reply<Outcome>>);

/// What came of a call's transactions.
#[derive(Default)]
struct Written {
    /// Clients that do not exist.
    unknown: Vec<ClientId>,
    apart: Vec<Apart>,
    row_was_held: bool,
}

type StatementReply = Reply<Option<Arc<BankStatement>>>;

/// Makes the calls of one thread.
pub(super) struct Caller {
    pub(super) observer: Observer,
    ledger: Box<dyn Ledger>,
    /// Whether the last call failed, so that an outage is logged once and not once a call.
    failing: Cell<bool>,
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
    /// Whether it waited in vain for a row as long as it may.
    row_was_held: bool,
    span: Span,
}

/// One client's share of a call.
pub(super) struct Part {
    client: ClientId,
    /// None where requests go past the mailboxes (`direct`).
    pub(super) mailbox: Option<Rc<Mailbox>>,
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
        Self { mailbox: Some(Rc::clone(&mailbox)), ..Self::past_the_mailbox(mailbox.client, cut) }
    }

    /// What never was in one.
    pub(super) fn past_the_mailbox(client: ClientId, cut: Cut) -> Self {
        Self { client, mailbox: None, jobs: cut.len(), cut, unknown_client: false, row_held: false }
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
        Self { parts, size, number, cut, cut_at, oldest_wait, row_wait, row_was_held: false, span }
    }

    /// Returns how many requests it carries.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns whether it waited in vain for a row as long as it may.
    pub(super) fn row_was_held(&self) -> bool {
        self.row_was_held
    }

    /// Takes out what has to wait apart from the rest.
    pub(super) fn take_held(&mut self) -> Vec<Part> {
        self.parts.extract_if(.., |part| part.row_held).collect()
    }

    /// Takes a connection, sends everything, answers everybody, and tells the observer.
    pub(super) async fn carry(&mut self, caller: &Caller) {
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
            let row_was_held = matches!(applied, Err(LedgerError::RowHeld(_)));
            let unknown = match caller.judge(applied, written) {
                Ok(applied) => {
                    let timing = Timing { database, report: applied.report, batch: replies.len(), ..timing };
                    caller.answer(&runs, replies, applied, timing, cut_at)
                }
                Err(refusal) => {
                    replies.into_iter().for_each(|reply| reply.refuse(refusal));
                    Vec::new()
                }
            };
            Written { unknown, apart, row_was_held }
        };
        let read = caller.read_statements(connection, statements, timing, cut_at);
        let (written, (unknown_by_read, failed)) = tokio::join!(write, read);
        if let Some(fate) = failed {
            record.failure = Some(fate.into());
        }
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

impl Caller {
    pub(super) fn new(ledger: Box<dyn Ledger>, observer: Observer) -> Self {
        Self { observer, ledger, failing: Cell::new(false) }
    }

    /// Applies the runs. Those whose rows somebody else holds are taken out, with their replies, and the
    /// rest is sent again; nothing is returned where no run is left.
    async fn apply(
        &self,
        connection: &dyn LedgerConnection,
        runs: &mut Vec<Run>,
        replies: &mut Vec<Reply<Outcome>>,
        mut row_wait: RowWait,
    ) -> (Option<Result<CallOutcomes, LedgerError>>, Vec<Apart>) {
        let mut apart = Vec::new();
        while !runs.is_empty() {
            let applied = connection.apply(runs, row_wait).await;
            if !matches!(applied, Err(LedgerError::RowHeld(_))) || row_wait == RowWait::Long {
                return (Some(applied), apart);
            }
            let clients: Vec<ClientId> = runs.iter().map(|run| run.client).collect();
            match connection.held(&clients).await {
                // The service's own calls take long, each of which others may join.
                Ok(held) if held.is_empty() => row_wait = RowWait::Long,
                Ok(held) => take_out(&held, runs, replies, &mut apart),
                Err(_) => return (Some(applied), apart),
            }
        }
        (None, apart)
    }

    /// Notes how a call went, in the log and in its record.
    fn judge(
        &self,
        applied: Result<CallOutcomes, LedgerError>,
        record: &mut CallRecord<'_>,
    ) -> Result<CallOutcomes, Refusal> {
        match &applied {
            Ok(applied) => {
                self.note_success();
                record.report = applied.report;
                applied.outcomes.iter().for_each(|outcome| count(record, *outcome));
            }
            Err(error) => {
                self.note_failure(error);
                record.failure = Some(error.fate().into());
            }
        }
        applied.map_err(Refusal::from)
    }

    /// Hands out the outcomes of one call; returns the clients that do not exist.
    fn answer(
        &self,
        runs: &[Run],
        replies: Vec<Reply<Outcome>>,
        applied: CallOutcomes,
        timing: Timing,
        cut_at: Instant,
    ) -> Vec<ClientId> {
        let mut unknown = Vec::new();
        let clients = runs.iter().flat_map(|run| std::iter::repeat_n(run.client, run.transactions.len()));
        for ((client, reply), outcome) in clients.zip(replies).zip(applied.outcomes) {
            if outcome == Err(Rejection::UnknownClient) && unknown.last() != Some(&client) {
                unknown.push(client);
            }
            let queued = cut_at.saturating_duration_since(reply.arrived);
            self.observer.mailbox.waited(queued);
            reply.answer(outcome, Timing { queued, ..timing });
        }
        unknown
    }

    /// Reads each client's statement once for all who wait for it; returns the clients that do
    /// not exist, and the fate of a query that failed.
    async fn read_statements(
        &self,
        connection: &dyn LedgerConnection,
        statements: Vec<(ClientId, Vec<StatementReply>)>,
        timing: Timing,
        cut_at: Instant,
    ) -> (Vec<ClientId>, Option<&'static str>) {
        let sent_at = Instant::now();
        let failed = &Cell::new(None);
        let read = statements.into_iter().map(|(client, replies)| async move {
            let statement = connection.statement(client).await;
            let timing = Timing { database: sent_at.elapsed(), ..timing };
            self.observer.mailbox.statements.inc_by(replies.len() as u64);
            match statement {
                Ok(statement) => {
                    let statement = statement.map(Arc::new);
                    for reply in replies {
                        let queued = cut_at.saturating_duration_since(reply.arrived);
                        reply.answer(statement.clone(), Timing { queued, ..timing });
                    }
                    statement.is_none().then_some(client)
                }
                Err(error) => {
                    self.note_failure(&error);
                    failed.set(Some(error.fate()));
                    let refusal = Refusal::from(error);
                    replies.into_iter().for_each(|reply| reply.refuse(refusal));
                    None
                }
            }
        });
        let unknown = join_all(read).await.into_iter().flatten().collect();
        (unknown, failed.get())
    }

    /// Logs the first failure of an outage with its cause.
    fn note_failure(&self, error: &LedgerError) {
        self.observer.mailbox.failures.inc(error.fate());
        if matches!(error, LedgerError::RowHeld(_)) {
            tracing::debug!(%error, "a client waited in vain");
            return;
        }
        if self.failing.replace(true) {
            tracing::debug!(%error, "a database call failed again");
        } else {
            tracing::error!(%error, "a database call failed; further ones are logged at debug until one succeeds");
        }
    }

    fn note_success(&self) {
        if self.failing.replace(false) {
            tracing::info!("the database answers again");
        }
    }
}

/// Moves the runs of the held clients, with their replies, from `runs` and `replies` to `apart`.
fn take_out(
    held: &[ClientId],
    runs: &mut Vec<Run>,
    replies: &mut Vec<Reply<Outcome>>,
    apart: &mut Vec<Apart>,
) {
    let mut callers = std::mem::take(replies).into_iter();
    for run in std::mem::take(runs) {
        let of_run = callers.by_ref().take(run.transactions.len());
        if held.contains(&run.client) {
            apart.push((run, of_run.collect()));
        } else {
            replies.extend(of_run);
            runs.push(run);
        }
    }
}

fn count(record: &mut CallRecord<'_>, outcome: Outcome) {
    *match outcome {
        Ok(_) => &mut record.applied,
        Err(Rejection::LimitExceeded) => &mut record.limit_exceeded,
        Err(Rejection::BalanceOverflow) => &mut record.balance_overflow,
        Err(Rejection::UnknownClient) => &mut record.unknown_client,
    } += 1;
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
