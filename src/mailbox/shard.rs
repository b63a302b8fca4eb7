//! What one arbiter's actors share: the ledger, and the mailboxes that are ready.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

use super::Ledger;
use super::idle::Slot;
use super::job::Job;
use super::queue::Queue;
use super::registry::Registry;
use crate::domain::ClientId;
use crate::metrics::MailboxMetrics;

/// Settings of a [`Shard`].
#[derive(Clone, Copy, Debug)]
pub struct ShardOptions {
    /// Clients that one call may span.
    pub clients_per_call: usize,
    /// Transactions that one call may carry.
    pub batch_max: usize,
    /// Calls at once.
    pub calls_in_flight: usize,
    /// Calls at once while fewer than [`ShardOptions::overlap_below`] transactions are in flight.
    pub overlap_calls: usize,
    /// How few transactions in flight count as few.
    pub overlap_below: usize,
    /// Whether a run is one request (`serial`).
    pub alone: bool,
}

/// One arbiter's part of the mailboxes. It never leaves its thread.
pub struct Shard {
    pub(super) options: ShardOptions,
    pub(super) ledger: Box<dyn Ledger>,
    pub(super) metrics: MailboxMetrics,
    registry: Arc<Registry>,
    position: usize,
    /// Mailboxes that have something to send and nothing in flight, longest ready first.
    pub(super) ready: RefCell<VecDeque<Rc<Mailbox>>>,
    /// Calls sent and not yet answered, and the requests that they carry.
    pub(super) calls: Cell<usize>,
    pub(super) carried: Cell<usize>,
    /// Whether the last call failed, so that an outage is logged once and not once a call.
    pub(super) failing: Cell<bool>,
    /// Tells the gatherer to look again.
    pub(super) wake: Notify,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Shard>>> = const { RefCell::new(None) };
}

/// A client's mailbox. Its actor owns it; the gatherer holds it while it is ready or in flight.
pub(super) struct Mailbox {
    pub(super) client: ClientId,
    pub(super) queue: RefCell<Queue>,
    slot: Arc<Slot>,
    state: Cell<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing to send.
    Idle,
    /// In the gatherer's list.
    Ready,
    /// A run of it is out.
    InFlight,
    /// Its actor has ended: nothing goes in or out any more.
    Closed,
    /// It never had an actor (`direct`).
    Detached,
}

impl Mailbox {
    pub(super) fn new(client: ClientId, slot: Arc<Slot>) -> Self {
        Self { client, queue: RefCell::default(), slot, state: Cell::new(State::Idle) }
    }

    /// One that stands for a request which goes past the mailboxes.
    pub(super) fn detached(client: ClientId) -> Self {
        let mailbox = Self::new(client, Arc::default());
        mailbox.state.set(State::Detached);
        mailbox
    }

    /// Declares that a run of it is out; false if its actor ended meanwhile.
    pub(super) fn take_off(&self) -> bool {
        let ready = self.state.get() == State::Ready;
        if ready {
            self.state.set(State::InFlight);
        }
        ready
    }
}

impl Shard {
    /// Makes a shard of the current arbiter and starts its gatherer.
    pub(super) fn install(
        options: ShardOptions,
        ledger: Box<dyn Ledger>,
        registry: &Arc<Registry>,
        metrics: MailboxMetrics,
    ) -> Rc<Self> {
        let shard = Rc::new(Self {
            options,
            ledger,
            metrics,
            registry: Arc::clone(registry),
            position: registry.add_current_arbiter(),
            ready: RefCell::default(),
            calls: Cell::new(0),
            carried: Cell::new(0),
            failing: Cell::new(false),
            wake: Notify::new(),
        });
        CURRENT.set(Some(Rc::clone(&shard)));
        tokio::task::spawn_local(Rc::clone(&shard).gather());
        shard
    }

    /// The current arbiter's shard, if it has one.
    pub(super) fn current() -> Option<Rc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Its position in the registry's list.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Puts a job at the end of a mailbox's queue and lets the gatherer know.
    pub(super) fn enqueue(&self, mailbox: &Rc<Mailbox>, job: Job) {
        mailbox.queue.borrow_mut().push(job);
        self.metrics.depth.inc();
        if mailbox.state.get() == State::Idle {
            self.make_ready(mailbox);
        }
    }

    /// A run is over: `jobs` are answered or dropped. The mailbox is ready again, or idle, or,
    /// where the client turned out not to exist, forgotten at once.
    pub(super) fn settle(&self, mailbox: &Rc<Mailbox>, jobs: usize, unknown_client: bool) {
        mailbox.slot.load.leave(jobs);
        match mailbox.state.get() {
            State::Detached => return,
            // Only now may the client have a new actor: two runs of it are never out at once.
            State::Closed => return self.registry.forget(mailbox.client, &mailbox.slot),
            State::Idle | State::Ready | State::InFlight => {}
        }
        if !mailbox.queue.borrow().is_empty() {
            self.make_ready(mailbox);
            return;
        }
        mailbox.queue.borrow_mut().release_memory();
        mailbox.state.set(State::Idle);
        if unknown_client && self.registry.passivate(mailbox.client, &mailbox.slot) {
            return;
        }
        self.registry.idle.enter(mailbox.client, &mailbox.slot);
    }

    /// The actor of a mailbox has ended. After a panic its callers are told, by dropping what waits.
    pub(super) fn close(&self, mailbox: &Rc<Mailbox>, panicked: bool) {
        let before = mailbox.state.replace(State::Closed);
        let lost = mailbox.queue.borrow_mut().clear();
        self.metrics.depth.dec_by(lost as i64);
        if before != State::InFlight {
            self.registry.forget(mailbox.client, &mailbox.slot);
        }
        if panicked {
            self.metrics.actor_panics.inc();
            tracing::error!(target: "guiche::actor", client = mailbox.client.get(), lost, "panicked");
        }
    }

    fn make_ready(&self, mailbox: &Rc<Mailbox>) {
        mailbox.state.set(State::Ready);
        self.ready.borrow_mut().push_back(Rc::clone(mailbox));
        self.wake.notify_one();
    }
}
