//! One call to the ledger: takes a connection, sends what was cut, hands out the answers, and tells
//! the observer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use traces::format::CallRecord;
use tracing::Instrument;

use super::dispatcher::{Apart, Dispatcher, Out};
use super::job::{Reply, StatementReply, Timing};
use super::part::Part;
use super::{LedgerConnection, LedgerError, Refusal, RowWait, Run, unknown};
use crate::domain::{ClientId, Outcome};
use crate::observing::{Observer, Scope};

/// What came of a call's transactions.
#[derive(Default)]
struct Written {
    /// Clients that do not exist.
    unknown: Vec<ClientId>,
    apart: Vec<Apart>,
    row_was_had: bool,
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
    row_was_had: bool,
    scope: Scope,
    stage: Stage,
    /// Counts it while it is out, and until it was told of if it is given up.
    out: Option<Out>,
}

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing of it was sent.
    Cut,
    /// Transactions of it were sent, and not all of their callers are answered.
    Out,
    /// Everybody is answered.
    Over,
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

impl Call {
    /// Gives what was cut a number, and its requests the call's.
    pub(super) fn new(parts: Vec<Part>, cut: CutReason, row_wait: RowWait, observer: &Observer) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let cut_at = Instant::now();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let tickets = || parts.iter().flat_map(Part::tickets);
        let scope = observer.begin_call(number, tickets().filter_map(|(ticket, _)| ticket.place()));
        let place = scope.place();
        let mut oldest = cut_at;
        for (ticket, arrived) in tickets() {
            oldest = oldest.min(arrived);
            ticket.carried_by(number, place.as_ref());
        }
        let size = parts.iter().map(|part| part.jobs).sum();
        let oldest_wait = cut_at.saturating_duration_since(oldest);
        let (row_was_had, stage) = (false, Stage::Cut);
        Self { parts, size, number, cut, cut_at, oldest_wait, row_wait, row_was_had, scope, stage, out: None }
    }

    /// Returns how many requests it carries.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns whether one of its transactions is known to have been applied, for which its row was had: what is
    /// refused need not have waited for it.
    pub(super) fn row_was_had(&self) -> bool {
        self.row_was_had
    }

    /// Takes out what has to wait apart from the rest.
    pub(super) fn take_held(&mut self) -> Vec<Part> {
        self.parts.extract_if(.., |part| part.row_held).collect()
    }

    /// Takes a connection, sends everything, answers everybody, and tells the observer.
    pub(super) async fn carry(&mut self, dispatcher: &Dispatcher) {
        self.out = Some(dispatcher.out(matches!(self.cut, CutReason::RowHeld)));
        let span = self.scope.log().clone();
        self.send(dispatcher).instrument(span).await;
        self.out = None;
    }

    async fn send(&mut self, dispatcher: &Dispatcher) {
        let mut record = CallRecord {
            id: self.number,
            cut: <&str>::from(self.cut).into(),
            carries: self.parts.iter().map(Part::carries).collect(),
            oldest_wait: micros(self.oldest_wait),
            ..CallRecord::default()
        };
        let connection = dispatcher.ledger.connect(dispatcher.server).await;
        let waited = self.cut_at.elapsed();
        record.connection = micros(waited);
        match connection {
            Ok(connection) => self.exchange(dispatcher, &*connection, waited, &mut record).await,
            Err(error) => self.refuse_all(dispatcher, error, &mut record),
        }
        record.total = micros(self.cut_at.elapsed());
        dispatcher.observer.call(&mut record, &mut self.scope);
    }

    /// Sends transactions and statements at once: on one connection the statements are read after
    /// the commit.
    async fn exchange(
        &mut self,
        dispatcher: &Dispatcher,
        connection: &dyn LedgerConnection,
        waited: Duration,
        record: &mut CallRecord<'_>,
    ) {
        let cut_at = self.cut_at;
        let timing = Timing { connection: waited, ..Timing::default() };
        let (mut runs, mut replies) = self.begin_transactions(dispatcher);
        let (readers, waiting) = self.begin_statements(dispatcher);
        record.queries = u64::from(!readers.is_empty());
        let sent_at = Instant::now();
        if !runs.is_empty() {
            self.stage = Stage::Out;
        }
        let (number, row_wait, scope) = (self.number, self.row_wait, &self.scope);
        let written = &mut *record;
        let write = async {
            if runs.is_empty() {
                return Written::default();
            }
            let (applied, apart) = dispatcher.apply(connection, &mut runs, &mut replies, row_wait).await;
            let database = sent_at.elapsed();
            let Some(applied) = applied else {
                // All of it waits apart; what was read beside it is another matter.
                written.failure = (written.queries == 0).then(|| "rolled_back".into());
                return Written { apart, ..Written::default() };
            };
            let row_was_had =
                applied.as_ref().is_ok_and(|of_call| of_call.outcomes.iter().any(Result::is_ok));
            if let Err(error @ LedgerError::OutcomeUnknown(_)) = &applied {
                unknown::tell_call(number, scope.place(), error, &runs, &replies);
            }
            let unknown = match dispatcher.judge(applied, written) {
                Ok(applied) => {
                    let timing = Timing { database, report: applied.report, batch: replies.len(), ..timing };
                    dispatcher.answer(&runs, replies, applied, timing, cut_at)
                }
                Err(refusal) => {
                    written.unanswered = replies.len() as u64;
                    for reply in &replies {
                        dispatcher.observer.mailbox.waited(cut_at.saturating_duration_since(reply.arrived));
                    }
                    replies.into_iter().for_each(|reply| reply.refuse(refusal));
                    Vec::new()
                }
            };
            Written { unknown, apart, row_was_had }
        };
        let read = dispatcher.read_statements(connection, &readers, waiting, timing, cut_at);
        let (written, (unknown_by_read, failed)) = tokio::join!(write, read);
        self.stage = Stage::Over;
        // What became of its transactions is said first.
        record.failure = record.failure.take().or(failed.map(Into::into));
        record.database = micros(sent_at.elapsed());
        self.row_was_had = written.row_was_had;
        for (client, transactions, _) in &mut record.carries {
            if written.apart.iter().any(|(run, _)| run.client.get() == *client) {
                *transactions = 0;
            }
        }
        record.carries.retain(|(_, transactions, statements)| transactions + statements > 0);
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
    fn refuse_all(&mut self, dispatcher: &Dispatcher, error: LedgerError, record: &mut CallRecord<'_>) {
        dispatcher.note_failure(&error);
        record.failure = Some(error.fate().into());
        let refusal = Refusal::from(error);
        self.parts.iter_mut().for_each(|part| part.refuse(refusal));
    }

    /// Turns what was cut into runs, leaving out callers who have gone.
    fn begin_transactions(&mut self, dispatcher: &Dispatcher) -> (Vec<Run>, Vec<Reply<Outcome>>) {
        let mut runs = Vec::with_capacity(self.parts.len());
        let mut replies = Vec::with_capacity(self.size);
        for part in &mut self.parts {
            let mut transactions = Vec::with_capacity(part.cut.transactions.len());
            for (transaction, reply) in part.cut.transactions.drain(..) {
                if reply.begin_send() {
                    transactions.push(transaction);
                    replies.push(reply);
                } else {
                    dispatcher.observer.mailbox.abandoned.inc();
                }
            }
            if !transactions.is_empty() {
                runs.push(Run { client: part.client, transactions });
            }
        }
        (runs, replies)
    }

    /// The clients whose statements are waited for, and by whom, without callers who have gone.
    fn begin_statements(&mut self, dispatcher: &Dispatcher) -> (Vec<ClientId>, Vec<Vec<StatementReply>>) {
        let mut statements = (Vec::new(), Vec::new());
        for part in &mut self.parts {
            let asked = part.cut.statements.len();
            let waiting: Vec<_> = part.cut.statements.drain(..).filter(Reply::begin_send).collect();
            dispatcher.observer.mailbox.abandoned.inc_by((asked - waiting.len()) as u64);
            if !waiting.is_empty() {
                statements.0.push(part.client);
                statements.1.push(waiting);
            }
        }
        statements
    }
}

/// Whatever ends it, no call whose outcome is not known goes unnamed.
impl Drop for Call {
    fn drop(&mut self) {
        if self.stage == Stage::Out {
            let clients = self.parts.iter().map(|part| part.client);
            unknown::tell_abandoned(self.number, self.scope.place(), clients);
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
