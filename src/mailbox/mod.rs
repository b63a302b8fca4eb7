//! Mailboxes: one queue and one actor per client, and what gathers their runs into batches.
//!
//! # How a request travels
//!
//! ```text
//! handler ── Mailboxes::apply ──▶ registry ──▶ actor ──▶ mailbox ─┐
//!                                (client id → actor)  (queue, state) │ ready
//!                                                                    ▼
//! handler ◀── outcome ── oneshot ◀── commit ── one call ◀───── gatherer
//! ```
//!
//! To be read in this order: this file, `registry`, `actor`, `mailbox` with its `queue`, `gatherer`,
//! `call`. `job` is what travels, `idle` the list of those who may make room for others.
//!
//! # What is ordered, and how
//!
//! 1. The registry looks an actor up **and** enqueues under one guard of its map, so requests of
//!    one client enter the actor's channel in the order in which they arrived on a thread.
//! 2. The actor moves them to its queue in that order, and marks its mailbox *ready*, once, with
//!    the gatherer of its arbiter. While a run of the mailbox is in flight it is never ready.
//! 3. When the gatherer may send, it *cuts* a run from each ready mailbox, oldest ready first:
//!    the front of the queue, up to what the batch still holds. Cutting as late as this is what
//!    makes batches large: whatever came while the last call was out goes in the next one.
//! 4. Once the call is answered, the replies go out, and a mailbox with more in its queue is
//!    ready again, behind those that were waiting.
//!
//! So per instance and client transactions reach the database in arrival order, with at most one
//! run in flight. Statements in a run are read after the run's transactions have committed, on
//! the same connection: each is of a moment when it was outstanding, and the ones side by side
//! share one query. A statement that arrives after the cut waits for the next run, so it never
//! joins a query already sent: it could miss a transaction whose 200 its caller has seen.
//!
//! # Activation and passivation
//!
//! Each map entry counts what its mailbox holds (`queue::Load`); only whoever holds the entry's guard
//! adds to it. Forgetting an entry checks, under the same guard, that the count is zero. So there
//! is never an actor with work and no entry, nor two actors with work for one client.
//!
//! Any thread may forget an idle actor of any other, to make room at the bound: the list of those
//! that idle (`idle::IdleList`) is one for all threads. What is counted leaves the count only when
//! its call is over, so whoever sees zero starts no second run beside a first, and a client's new
//! actor lives on the same thread as the one before.
//!
//! # Rows that somebody else holds
//!
//! A shared call waits for a row only briefly. If it could not be had, the call is undone; the database says
//! whose rows are held by others than the service's own calls, and those runs *wait apart*, each in a
//! call of its own, while the rest is sent again. The next run of such a client goes apart at once.
//!
//! # Failure
//!
//! Whoever drops a reply unanswered (a panicking actor, a stopped arbiter) answers it with that:
//! the caller sees a closed channel, and the job's `sent` flag tells a refusal from an unknown
//! outcome. Nothing here retries.

mod actor;
mod call;
mod gatherer;
mod idle;
mod job;
#[expect(clippy::module_inception, reason = "one client's, among what all have")]
mod mailbox;
mod queue;
mod registry;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use settings::Mode;
use traces::format::CallReport;

use crate::domain::{BankStatement, ClientId, Outcome, Transaction};
use crate::observing::Observer;
use gatherer::{Gatherer, Owner};
use job::Job;
use registry::Registry;

pub use gatherer::GathererOptions;
pub use job::{Ticket, Timing};

/// A future of the thread that made it.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Where transactions are kept. One lives on each arbiter.
pub trait Ledger {
    /// Takes a connection, waiting for one where all are in use.
    ///
    /// # Errors
    /// [`LedgerError::NotSent`] when none can be had in time.
    fn connect(&self) -> LocalFuture<'_, Result<Box<dyn LedgerConnection>, LedgerError>>;
}

/// One connection to a [`Ledger`]. Calls polled together are sent one behind the other.
pub trait LedgerConnection {
    /// Applies all runs in one database transaction, each run in its order.
    ///
    /// The answer has one outcome for each transaction, in the order of `runs`.
    ///
    /// # Errors
    /// [`LedgerError`]; a rejection of one transaction is its outcome, never an error.
    fn apply<'a>(
        &'a self,
        runs: &'a [Run],
        row_wait: RowWait,
    ) -> LocalFuture<'a, Result<CallOutcomes, LedgerError>>;

    /// Returns whose of the clients' rows somebody holds who is none of the service's own calls.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn held<'a>(&'a self, clients: &'a [ClientId]) -> LocalFuture<'a, Result<Vec<ClientId>, LedgerError>>;

    /// Reads one client's statement as of one instant; `None` when there is no such client.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn statement(&self, client: ClientId) -> LocalFuture<'_, Result<Option<BankStatement>, LedgerError>>;
}

/// How long a call waits for a row that somebody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowWait {
    /// Not for long: others are in the call.
    Brief,
    /// As long as a statement may take.
    Long,
}

/// The transactions that one mailbox hands over at a time, in arrival order. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Whose they are.
    pub client: ClientId,
    /// What is to be applied, first come first.
    pub transactions: Vec<Transaction>,
}

/// What a call to [`LedgerConnection::apply`] brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOutcomes {
    /// One for each transaction, in the order in which they were handed over.
    pub outcomes: Vec<Outcome>,
    /// What the database says of the call.
    pub report: CallReport,
}

/// Why a call to the ledger brought nothing, told apart by what the caller may do next.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// Nothing was sent: it may be tried again.
    #[error("not sent: {0}")]
    NotSent(String),
    /// A row was held by somebody for longer than the call waits; all of it is undone.
    #[error("a row was held: {0}")]
    RowHeld(String),
    /// The database said that it undid all of it: it may be tried again.
    #[error("rolled back: {0}")]
    RolledBack(String),
    /// It was sent and the answer was lost: it may or may not have been applied.
    #[error("outcome unknown: {0}")]
    OutcomeUnknown(String),
}

impl LedgerError {
    /// Returns what became of the call, as metrics and traces name it.
    pub fn fate(&self) -> &'static str {
        match self {
            Self::NotSent(_) => "not_sent",
            Self::RowHeld(_) | Self::RolledBack(_) => "rolled_back",
            Self::OutcomeUnknown(_) => "unknown",
        }
    }
}

/// Why a request was not answered with an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A bound is reached; nothing was sent.
    #[error("{0}")]
    Shed(Bound),
    /// The database cannot be reached, or undid the transaction.
    #[error("the ledger is not available")]
    Unavailable,
    /// The client's actor ended before anything was sent.
    #[error("the client's mailbox was lost before anything was sent")]
    MailboxLost,
    /// The answer deadline passed before anything was sent.
    #[error("the request waited too long and was not sent")]
    TimedOut,
    /// The transaction was sent; whether it was applied is not known.
    #[error("the transaction was sent but its outcome is not known")]
    OutcomeUnknown,
}

/// The bounds at which requests are shed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Bound {
    /// `QUEUE_PER_CLIENT`.
    #[error("the client's queue is full")]
    ClientQueue,
    /// `LIVE_ACTORS`, none of them idle.
    #[error("too many clients are active")]
    LiveActors,
    /// `REQUESTS_IN_FLIGHT`.
    #[error("too many requests are in flight")]
    RequestsInFlight,
    /// `ROW_WAITS`.
    #[error("too many clients wait for rows that somebody else holds")]
    RowWaits,
}

impl Bound {
    /// Its name in metrics and traces.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientQueue => "client_queue",
            Self::LiveActors => "live_actors",
            Self::RequestsInFlight => "requests_in_flight",
            Self::RowWaits => "row_waits",
        }
    }
}

impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::NotSent(_) | LedgerError::RowHeld(_) | LedgerError::RolledBack(_) => {
                Self::Unavailable
            }
            LedgerError::OutcomeUnknown(_) => Self::OutcomeUnknown,
        }
    }
}

/// An answer, and where its time went.
#[derive(Clone, Copy, Debug)]
pub struct Timed<T> {
    /// The answer.
    pub value: T,
    /// Where its time went.
    pub timing: Timing,
}

/// Settings of [`Mailboxes`].
#[derive(Clone, Copy, Debug)]
pub struct MailboxOptions {
    /// How requests reach the ledger: with [`Mode::Direct`] past the mailboxes.
    pub mode: Mode,
    /// Requests that one client may have waiting or in flight.
    pub queue_per_client: usize,
    /// Actors alive at once.
    pub live_actors: usize,
    /// Requests that the instance works on at once.
    pub requests_in_flight: usize,
    /// Time for an answer, queueing included.
    pub answer_deadline: Duration,
    /// Idle time after which an actor is forgotten.
    pub passivate_after: Duration,
}

/// The handle that request handlers call: cheap to clone, one for all threads.
#[derive(Clone)]
pub struct Mailboxes {
    inner: Arc<Inner>,
}

struct Inner {
    options: MailboxOptions,
    registry: Arc<Registry>,
    observer: Observer,
    in_flight: AtomicUsize,
    open: AtomicBool,
}

impl Mailboxes {
    /// Makes a handle with no thread yet: each serving thread adds itself with
    /// [`Mailboxes::serve_here`]. It refuses everything until [`Mailboxes::open`].
    pub fn new(options: MailboxOptions, observer: Observer) -> Self {
        let registry = Registry::new(options.queue_per_client, options.live_actors, observer.clone());
        Self {
            inner: Arc::new(Inner {
                options,
                registry: Arc::new(registry),
                observer,
                in_flight: AtomicUsize::new(0),
                open: AtomicBool::new(false),
            }),
        }
    }

    /// Makes the current thread one of those that actors live on, with a ledger of its own.
    pub fn serve_here(&self, options: GathererOptions, ledger: Box<dyn Ledger>) {
        let Inner { registry, observer, options: all, .. } = &*self.inner;
        let position = registry.add_current_arbiter();
        let owner: Arc<dyn Owner> = Arc::clone(registry) as _;
        Gatherer::start(options, ledger, owner, position, observer.clone());
        // One sweeps for all.
        if position == 0 {
            tokio::task::spawn_local(Arc::clone(registry).sweep(all.passivate_after));
        }
    }

    /// Starts to take requests: the ledger is known to be the right one.
    pub fn open(&self) {
        self.inner.open.store(true, Ordering::Release);
    }

    /// Whether requests are taken.
    pub fn is_open(&self) -> bool {
        self.inner.open.load(Ordering::Acquire)
    }

    /// Actors alive now.
    pub fn live_actors(&self) -> usize {
        self.inner.registry.len()
    }

    /// Applies one transaction and returns once it is committed or refused.
    ///
    /// # Errors
    /// [`Refusal`]: only [`Refusal::OutcomeUnknown`] leaves open whether it was applied.
    pub async fn apply(
        &self,
        client: ClientId,
        transaction: Transaction,
        ticket: Ticket,
    ) -> Result<Timed<Outcome>, Refusal> {
        let _admitted = self.admit()?;
        let (job, answer) = job::transaction(transaction, ticket);
        self.submit(client, job, answer).await
    }

    /// Reads one client's statement; `None` when there is no such client.
    ///
    /// # Errors
    /// [`Refusal`]: a statement may always be asked for again.
    pub async fn statement(
        &self,
        client: ClientId,
        ticket: Ticket,
    ) -> Result<Timed<Option<Arc<BankStatement>>>, Refusal> {
        let _admitted = self.admit()?;
        let (job, answer) = job::statement(ticket);
        match self.submit(client, job, answer).await {
            // Reading changes nothing, so there is no outcome to be unsure of.
            Err(Refusal::OutcomeUnknown) => Err(Refusal::Unavailable),
            other => other,
        }
    }

    async fn submit<T>(
        &self,
        client: ClientId,
        job: Job,
        answer: job::Answer<T>,
    ) -> Result<Timed<T>, Refusal> {
        match self.inner.options.mode {
            Mode::Direct => {
                let gatherer = Gatherer::current().ok_or(Refusal::Unavailable)?;
                tokio::task::spawn_local(gatherer.carry_directly(client, job));
            }
            Mode::Serial | Mode::Batched => self.inner.registry.submit(client, job)?,
        }
        answer.wait(self.inner.options.answer_deadline).await
    }

    fn admit(&self) -> Result<Admitted<'_>, Refusal> {
        if !self.is_open() {
            return Err(Refusal::Unavailable);
        }
        let in_flight = &self.inner.in_flight;
        // The guard is made first, so that a refusal counts itself out again.
        let before = in_flight.fetch_add(1, Ordering::Relaxed);
        let admitted = Admitted(in_flight);
        if before >= self.inner.options.requests_in_flight {
            self.inner.observer.mailbox.sheds.inc(Bound::RequestsInFlight.name());
            return Err(Refusal::Shed(Bound::RequestsInFlight));
        }
        Ok(admitted)
    }
}

/// A request that is being worked on; dropping it makes room for another.
struct Admitted<'a>(&'a AtomicUsize);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
