//! Gathers the runs of ready mailboxes into batches, sends each as one call, hands out the answers.
//!
//! When to send: at once while nothing is in flight; otherwise when a call comes back. What
//! arrives meanwhile makes the next call larger, so the load itself sets the batch size. While
//! only a few transactions are in flight waiting would save nothing, so a few more calls may
//! overlap ([`ShardOptions::overlap_below`](super::ShardOptions::overlap_below)).

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tracing::{Instrument, Span, field};

use super::job::{Job, Reply, Timing};
use super::queue::Cut;
use super::shard::{Mailbox, Shard};
use super::{Applied, LedgerConnection, LedgerError, Refusal, Run};
use crate::domain::{BankStatement, ClientId, Outcome};
use crate::metrics::Flush;

/// The target of a call's span and event.
const FLUSH: &str = "guiche::flush";

type StatementReply = Reply<Option<Arc<BankStatement>>>;

/// What one call carries. Dropping it, however that happens, makes room for the next call and
/// lets its mailboxes go on.
struct Flight {
    shard: Rc<Shard>,
    parts: Vec<Part>,
    size: usize,
    cut_at: Instant,
    span: Span,
}

/// Why a batch was cut where it was.
#[derive(Clone, Copy)]
enum CutReason {
    /// Nothing more was ready.
    QueueEmpty,
    /// A bound on the batch was reached.
    Bound,
    /// It never queued (`direct`).
    Direct,
}

impl CutReason {
    fn as_str(self) -> &'static str {
        match self {
            Self::QueueEmpty => "queue_empty",
            Self::Bound => "bound",
            Self::Direct => "direct",
        }
    }
}

/// One mailbox's share of a call.
struct Part {
    mailbox: Rc<Mailbox>,
    cut: Cut,
    /// Jobs cut, to be counted out of the mailbox's load.
    jobs: usize,
    /// Set when the database said that there is no such client.
    unknown_client: bool,
}

impl Shard {
    /// Sends batches for as long as the arbiter runs.
    pub(super) async fn gather(self: Rc<Self>) {
        loop {
            self.wake.notified().await;
            // Whatever else is readable now belongs into this batch: let it come in first.
            tokio::task::yield_now().await;
            while self.may_send() {
                let Some(flight) = self.cut_batch() else { break };
                tokio::task::spawn_local(flight.carry());
            }
        }
    }

    /// Carries one request by itself, past the mailboxes (`direct`).
    pub(super) async fn carry_directly(self: Rc<Self>, client: ClientId, job: Job) {
        let mut cut = Cut::default();
        match job {
            Job::Transaction(transaction, reply) => cut.transactions.push((transaction, reply)),
            Job::Statement(reply) => cut.statements.push(reply),
        }
        let mailbox = Rc::new(Mailbox::detached(client));
        let part = Part { mailbox, jobs: 0, cut, unknown_client: false };
        self.take_off(vec![part], CutReason::Direct).carry().await;
    }

    fn may_send(&self) -> bool {
        let few = self.carried.get() < self.options.overlap_below;
        let calls = if few { self.options.overlap_calls } else { self.options.calls_in_flight };
        self.calls.get() < calls
    }

    /// Cuts a run from each ready mailbox until the batch is full; `None` when none is ready.
    fn cut_batch(self: &Rc<Self>) -> Option<Flight> {
        let options = &self.options;
        let mut parts: Vec<Part> = Vec::new();
        let mut room = options.batch_max;
        while room > 0 && parts.len() < options.clients_per_call {
            let Some(mailbox) = self.ready.borrow_mut().pop_front() else { break };
            if !mailbox.take_off() {
                continue;
            }
            let cut = mailbox.queue.borrow_mut().cut(room, options.alone);
            room -= cut.transactions.len();
            self.metrics.depth.dec_by(cut.len() as i64);
            parts.push(Part { mailbox, jobs: cut.len(), cut, unknown_client: false });
        }
        let full = room == 0 || parts.len() == options.clients_per_call;
        let reason = if full { CutReason::Bound } else { CutReason::QueueEmpty };
        (!parts.is_empty()).then(|| self.take_off(parts, reason))
    }

    fn take_off(self: &Rc<Self>, parts: Vec<Part>, cut: CutReason) -> Flight {
        let size = parts.iter().map(|part| part.cut.len()).sum();
        self.calls.set(self.calls.get() + 1);
        self.carried.set(self.carried.get() + size);
        let cut_at = Instant::now();
        let span = flush_span(&parts, cut, cut_at);
        Flight { shard: Rc::clone(self), parts, size, cut_at, span }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.shard.calls.set(self.shard.calls.get() - 1);
        self.shard.carried.set(self.shard.carried.get() - self.size);
        for part in self.parts.drain(..) {
            self.shard.settle(&part.mailbox, part.jobs, part.unknown_client);
        }
        self.shard.wake.notify_one();
    }
}

impl Flight {
    /// Takes a connection, sends everything, answers everybody.
    async fn carry(self) {
        let span = self.span.clone();
        self.send().instrument(span).await;
    }

    async fn send(mut self) {
        let connection = match self.shard.ledger.connect().await {
            Ok(connection) => connection,
            Err(error) => return self.refuse_all(&error),
        };
        let timing = Timing { connection: self.cut_at.elapsed(), ..Timing::default() };
        let (runs, replies) = self.begin_transactions();
        let statements = self.begin_statements();
        // Both are sent at once; on one connection the statements are read after the commit.
        let parts = &mut self.parts;
        let shard = &self.shard;
        let cut_at = self.cut_at;
        let mut flush = Flush { clients: runs.len(), connection: timing.connection, ..Flush::default() };
        let write = async {
            if runs.is_empty() {
                return Vec::new();
            }
            let sent_at = Instant::now();
            let applied = connection.apply(&runs).await;
            flush.database = sent_at.elapsed();
            shard.answer_transactions(&runs, replies, applied, &mut flush, cut_at)
        };
        let statement_queries = statements.len();
        let sent_at = Instant::now();
        let read = shard.answer_statements(&*connection, statements, timing, cut_at);
        let (unknown_by_write, unknown_by_read) = tokio::join!(write, read);
        for part in parts {
            let client = part.mailbox.client;
            part.unknown_client = unknown_by_write.contains(&client) || unknown_by_read.contains(&client);
        }
        tracing::debug!(
            target: FLUSH,
            clients = self.parts.len(),
            size = self.size,
            statement_queries,
            connection_us = micros(flush.connection),
            database_us = micros(sent_at.elapsed()),
            lock_wait_us = micros(flush.lock_wait),
            work_us = micros(flush.work),
            total_us = micros(cut_at.elapsed()),
            applied = flush.applied,
            limit_exceeded = flush.limit_exceeded,
            balance_overflow = flush.balance_overflow,
            unknown_client = flush.unknown_client,
            "flushed"
        );
    }

    /// Nothing was sent: says so to everybody.
    fn refuse_all(mut self, error: &LedgerError) {
        self.shard.note_failure(error);
        let waited_us = micros(self.cut_at.elapsed());
        tracing::debug!(target: FLUSH, connection_us = waited_us, total_us = waited_us, "not sent");
        let refusal = Refusal::from(error.clone());
        for part in &mut self.parts {
            let cut = std::mem::take(&mut part.cut);
            cut.transactions.into_iter().for_each(|(_, reply)| reply.refuse(refusal));
            cut.statements.into_iter().for_each(|reply| reply.refuse(refusal));
        }
    }

    /// Turns what was cut into runs, leaving out callers who have gone.
    fn begin_transactions(&mut self) -> (Vec<Run>, Vec<Reply<Outcome>>) {
        let mut runs = Vec::with_capacity(self.parts.len());
        let mut replies = Vec::with_capacity(self.size);
        for part in &mut self.parts {
            let mut transactions = Vec::with_capacity(part.cut.transactions.len());
            for (transaction, reply) in part.cut.transactions.drain(..) {
                if reply.begin_send() {
                    transactions.push(transaction);
                    replies.push(reply);
                } else {
                    self.shard.metrics.abandoned.inc();
                }
            }
            if !transactions.is_empty() {
                runs.push(Run { client: part.mailbox.client, transactions });
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
                statements.push((part.mailbox.client, waiting));
            }
        }
        statements
    }
}

impl Shard {
    /// Hands out the outcomes of one call and sums it up in `flush`; returns the clients that do
    /// not exist.
    fn answer_transactions(
        &self,
        runs: &[Run],
        replies: Vec<Reply<Outcome>>,
        applied: Result<Applied, LedgerError>,
        flush: &mut Flush,
        cut_at: Instant,
    ) -> Vec<ClientId> {
        let applied = match applied {
            Ok(applied) => applied,
            Err(error) => {
                self.note_failure(&error);
                let refusal = Refusal::from(error);
                replies.into_iter().for_each(|reply| reply.refuse(refusal));
                return Vec::new();
            }
        };
        self.note_success();
        flush.lock_wait = applied.lock_wait;
        flush.work = applied.work;
        applied.outcomes.iter().for_each(|outcome| count(flush, *outcome));
        self.metrics.flushed(flush);
        let timing = Timing {
            queued: Duration::ZERO,
            connection: flush.connection,
            database: flush.database,
            lock_wait: flush.lock_wait,
            work: flush.work,
            batch: replies.len(),
        };
        let mut unknown = Vec::new();
        let clients = runs.iter().flat_map(|run| std::iter::repeat_n(run.client, run.transactions.len()));
        for ((client, reply), outcome) in clients.zip(replies).zip(applied.outcomes) {
            if outcome == Outcome::UnknownClient && unknown.last() != Some(&client) {
                unknown.push(client);
            }
            let queued = cut_at.saturating_duration_since(reply.arrived);
            self.metrics.waited(queued);
            reply.answer(outcome, Timing { queued, ..timing });
        }
        unknown
    }

    /// Reads each client's statement once for all who wait for it; returns the clients that do
    /// not exist.
    async fn answer_statements(
        &self,
        connection: &dyn LedgerConnection,
        statements: Vec<(ClientId, Vec<StatementReply>)>,
        timing: Timing,
        cut_at: Instant,
    ) -> Vec<ClientId> {
        let sent_at = Instant::now();
        let read = statements.into_iter().map(|(client, replies)| async move {
            let statement = connection.statement(client).await;
            let timing = Timing { database: sent_at.elapsed(), ..timing };
            self.metrics.read(replies.len());
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
                    let refusal = Refusal::from(error);
                    replies.into_iter().for_each(|reply| reply.refuse(refusal));
                    None
                }
            }
        });
        join_all(read).await.into_iter().flatten().collect()
    }

    /// Logs the first failure of an outage with its cause.
    fn note_failure(&self, error: &LedgerError) {
        let failures = &self.metrics.failures;
        let (counter, fate) = match error {
            LedgerError::NotSent(_) => (&failures.not_sent, "not_sent"),
            LedgerError::RolledBack(_) => (&failures.rolled_back, "rolled_back"),
            LedgerError::OutcomeUnknown(_) => (&failures.unknown, "unknown"),
        };
        counter.inc();
        // The call's span: this is told of while it is entered.
        Span::current().record("failure", fate);
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

fn count(flush: &mut Flush, outcome: Outcome) {
    match outcome {
        Outcome::Applied { .. } => flush.applied += 1,
        Outcome::LimitExceeded => flush.limit_exceeded += 1,
        Outcome::BalanceOverflow => flush.balance_overflow += 1,
        Outcome::UnknownClient => flush.unknown_client += 1,
    }
}

/// A span for one call, linked with the requests that it carries; none while nobody listens.
fn flush_span(parts: &[Part], cut: CutReason, cut_at: Instant) -> Span {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let span = tracing::debug_span!(
        target: FLUSH,
        parent: None,
        "flush",
        flush = field::Empty,
        cut = cut.as_str(),
        carries = field::Empty,
        oldest_wait_us = field::Empty,
        failure = field::Empty,
    );
    if span.is_disabled() {
        return span;
    }
    let flush = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut oldest = cut_at;
    for part in parts {
        let transactions = part.cut.transactions.iter().map(|(_, reply)| (&reply.span, reply.arrived));
        let statements = part.cut.statements.iter().map(|reply| (&reply.span, reply.arrived));
        for (request, arrived) in transactions.chain(statements) {
            oldest = oldest.min(arrived);
            request.record("flush", flush);
            span.follows_from(request);
        }
    }
    span.record("flush", flush);
    span.record("carries", Carries(parts).to_string());
    span.record("oldest_wait_us", micros(cut_at.saturating_duration_since(oldest)));
    span
}

/// What each client has in a call, as `client:transactions:statements`, separated by spaces.
struct Carries<'a>(&'a [Part]);

impl fmt::Display for Carries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, part) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { " " };
            let (transactions, statements) = (part.cut.transactions.len(), part.cut.statements.len());
            write!(f, "{separator}{}:{transactions}:{statements}", part.mailbox.client)?;
        }
        Ok(())
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
