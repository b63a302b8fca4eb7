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
//! To be read in this order: this file, `registry`, `actor`, `mailbox` with its `queue`, `gatherer` with its `flight`,
//! `call` with its `part`s and the `dispatcher`. `job` is what travels, `ledger` where it is applied, `refusal` what
//! else may come of it, `unknown` what the log says where nobody knows, `idle` the list of those who may make room
//! for others.
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
//! call of its own, while the rest is sent again. The next run of such a client goes apart at once. Its
//! statements, which need no row, go past what waits.
//!
//! # Failure
//!
//! Whoever drops a reply unanswered (a panicking actor, a stopped arbiter) answers it with that:
//! the caller sees a closed channel, and the job's `sent` flag tells a refusal from an unknown
//! outcome. Nothing here retries.

mod actor;
mod call;
mod dispatcher;
mod gatherer;
mod idle;
mod job;
mod ledger;
#[expect(clippy::module_inception, reason = "one client's, among what all have")]
mod mailbox;
mod outage;
mod part;
mod queue;
mod refusal;
mod registry;
mod sent;
mod unknown;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use settings::Mode;

use crate::domain::{BankStatement, ClientId, Outcome, Transaction};
use crate::observing::Observer;
use crate::observing::metrics::Gauge;
use gatherer::{Gatherer, Owner};
use job::Job;
use registry::Registry;

pub use gatherer::GathererOptions;
pub use job::{Ticket, Timing};
pub use ledger::{CallOutcomes, Ledger, LedgerConnection, LedgerError, RowWait, Run};
pub use refusal::{Bound, Refusal};

/// A future of the thread that made it.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

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
    /// Requests that one client may have waiting or in flight: fewer than NGINX passes on at once, so that
    /// a flood of one client leaves room for others.
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
        let (job, mut answer) = job::transaction(transaction, ticket);
        let applied = self.submit(client, job, &mut answer).await;
        if answer.in_doubt {
            unknown::tell_caller(client, &answer.ticket);
        }
        applied
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
        let (job, mut answer) = job::statement(ticket);
        match self.submit(client, job, &mut answer).await {
            // Reading changes nothing, so there is no outcome to be unsure of.
            Err(Refusal::OutcomeUnknown) => Err(Refusal::Unavailable),
            other => other,
        }
    }

    async fn submit<T>(
        &self,
        client: ClientId,
        job: Job,
        answer: &mut job::Awaited<T>,
    ) -> Result<Timed<T>, Refusal> {
        match self.inner.options.mode {
            Mode::Direct => {
                let gatherer = Gatherer::of(client).ok_or(Refusal::Unavailable)?;
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
        let (in_flight, waiting) =
            (&self.inner.observer.mailbox.requests, &self.inner.observer.mailbox.depth);
        // The guard is made first, so that a refusal counts itself out again.
        let before = usize::try_from(in_flight.inc()).unwrap_or(0);
        let admitted = Admitted(in_flight);
        // Who has left counts for as long as what was asked for is held.
        if before.max(usize::try_from(waiting.get()).unwrap_or(0)) >= self.inner.options.requests_in_flight {
            self.inner.observer.mailbox.sheds.inc(Bound::RequestsInFlight.name());
            return Err(Refusal::Shed(Bound::RequestsInFlight));
        }
        Ok(admitted)
    }
}

/// A request that is being worked on; dropping it makes room for another.
struct Admitted<'a>(&'a Gauge);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What [`sent`] is made of: its test puts loom's here.
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
