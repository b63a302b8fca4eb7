//! A gatherer takes runs from the mailboxes that are ready, and sends each batch as one call. A thread has one for each
//! server of its ledger.
//!
//! When to send: at once while nothing is in flight; otherwise when a call comes back. What
//! arrives meanwhile makes the next call larger, so the load itself sets the batch size. While
//! only a few requests are in flight waiting would save nothing, so a few more calls may
//! overlap ([`GathererOptions::overlap_below`]).

mod flight;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use settings::Mode;
use tokio::sync::Notify;

use super::call::CutReason;
use super::dispatcher::Dispatcher;
use super::idle::Slot;
use super::job::Job;
use super::mailbox::{Mailbox, Settled};
use super::part::Part;
use super::queue::Cut;
use super::{Bound, Ledger};
use crate::domain::ClientId;
use crate::observing::Observer;
use flight::Flight;

/// Settings of a thread's gatherer.
#[derive(Clone, Copy, Debug)]
pub struct GathererOptions {
    /// How transactions reach the ledger: with [`Mode::Serial`] a run is one request.
    pub mode: Mode,
    /// Clients that one call may span.
    pub clients_per_call: usize,
    /// Transactions that one call may carry.
    pub batch_max: usize,
    /// Calls at once.
    pub calls_in_flight: usize,
    /// Calls at once while fewer than [`GathererOptions::overlap_below`] requests are in flight.
    pub overlap_calls: usize,
    /// How few requests in flight count as few.
    pub overlap_below: usize,
    /// Clients that may wait apart, each for a row that somebody else holds; with 0 shared calls wait.
    pub row_waits: usize,
}

/// Whom a gatherer tells of mailboxes that have nothing more to send. It is the registry, which
/// alone forgets actors.
pub(super) trait Owner: Send + Sync {
    /// The mailbox idles: its actor may make room for another.
    fn idles(&self, client: ClientId, slot: &Arc<Slot>);
    /// The mailbox idles, and its client does not exist: its actor is of no use.
    fn is_unknown(&self, client: ClientId, slot: &Arc<Slot>);
    /// The actor has ended, and no run of it is out any more.
    fn has_ended(&self, client: ClientId, slot: &Arc<Slot>);
}

/// Gathers for those actors of one thread, which it never leaves, whose clients are on one server.
pub(super) struct Gatherer {
    options: GathererOptions,
    pub(super) dispatcher: Dispatcher,
    owner: Arc<dyn Owner>,
    /// Its position among the registry's threads.
    position: usize,
    /// Mailboxes that have something to send and nothing in flight, longest ready first.
    pub(super) ready: RefCell<VecDeque<Rc<Mailbox>>>,
    /// Calls on their way, and the requests that they carry; each [`Flight`] counts itself.
    pub(super) calls: Cell<usize>,
    pub(super) carried: Cell<usize>,
    /// Clients that wait apart.
    pub(super) apart: Cell<usize>,
    /// Tells the gatherer to look again.
    pub(super) wake: Notify,
}

thread_local! {
    /// The thread's gatherers, each at its server's place.
    pub(super) static CURRENT: RefCell<Vec<Rc<Gatherer>>> = const { RefCell::new(Vec::new()) };
}

impl Gatherer {
    /// Makes the current thread's first gatherer and starts it.
    pub(super) fn start(
        options: GathererOptions,
        ledger: Box<dyn Ledger>,
        owner: Arc<dyn Owner>,
        position: usize,
        observer: Observer,
    ) {
        let dispatcher = Dispatcher::new(Rc::from(ledger), 0, observer);
        CURRENT.set(vec![Self::start_with(options, dispatcher, owner, position)]);
    }

    fn start_with(
        options: GathererOptions,
        dispatcher: Dispatcher,
        owner: Arc<dyn Owner>,
        position: usize,
    ) -> Rc<Self> {
        let gatherer = Rc::new(Self {
            options,
            dispatcher,
            owner,
            position,
            ready: RefCell::default(),
            calls: Cell::new(0),
            carried: Cell::new(0),
            apart: Cell::new(0),
            wake: Notify::new(),
        });
        tokio::task::spawn_local(Rc::clone(&gatherer).gather());
        gatherer
    }

    /// Returns the current thread's gatherer of the client's server, if the thread has any.
    pub(super) fn of(client: ClientId) -> Option<Rc<Self>> {
        CURRENT.with_borrow_mut(|all| {
            let server = all.first()?.dispatcher.ledger.server_of(client);
            while all.len() <= server {
                let Self { options, dispatcher, owner, position, .. } = &*all[0];
                let dispatcher =
                    Dispatcher::new(Rc::clone(&dispatcher.ledger), all.len(), dispatcher.observer.clone());
                all.push(Self::start_with(*options, dispatcher, Arc::clone(owner), *position));
            }
            all.get(server).cloned()
        })
    }

    /// Returns its position among the registry's threads.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Puts a job at the end of a mailbox's queue; a statement goes past a run that waits for its row.
    pub(super) fn enqueue(self: &Rc<Self>, mailbox: &Rc<Mailbox>, job: Job) {
        if mailbox.waits_for_row() && matches!(job, Job::Statement(_)) && self.may_wait_apart() {
            self.fly_apart(Part::aside(mailbox, Cut::of(job)));
            return;
        }
        self.dispatcher.observer.mailbox.depth.inc();
        if mailbox.push(job) {
            self.becomes_ready(mailbox);
        }
    }

    /// Closes the mailbox of an actor that has ended. After a panic its callers are told, by
    /// dropping what waits.
    pub(super) fn close(&self, mailbox: &Mailbox, panicked: bool) {
        let closed = mailbox.close();
        let observer = &self.dispatcher.observer;
        observer.mailbox.depth.dec_by(closed.lost as i64);
        if !closed.is_out {
            self.owner.has_ended(mailbox.client, &mailbox.slot);
        }
        if panicked {
            observer.mailbox.actor_panics.inc();
            observer.actor(mailbox.client.get(), "panicked");
            tracing::error!(client = mailbox.client.get(), lost = closed.lost, "an actor panicked");
        }
    }

    /// Carries one request by itself, past the mailboxes (`direct`).
    pub(super) async fn carry_directly(self: Rc<Self>, client: ClientId, job: Job) {
        let part = Part::past_the_mailbox(client, Cut::of(job));
        Flight::of(&self, vec![part], CutReason::Direct).carry().await;
    }

    /// Sends batches for as long as the thread runs.
    async fn gather(self: Rc<Self>) {
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

    /// Returns the options, as they are for a ledger that takes only one client a call where it is such a one. Who
    /// has said so before has said the rest, too.
    pub(super) fn options(&self) -> GathererOptions {
        match self.dispatcher.ledger.calls_of_one_client() {
            Some(calls) if self.options.clients_per_call > 1 => GathererOptions {
                clients_per_call: 1,
                calls_in_flight: calls,
                overlap_below: 0,
                row_waits: 0,
                ..self.options
            },
            _ => self.options,
        }
    }

    pub(super) fn may_send(&self) -> bool {
        let options = self.options();
        let few = self.carried.get() < options.overlap_below;
        let calls = if few { options.overlap_calls } else { options.calls_in_flight };
        self.calls.get() < calls
    }

    /// Cuts a run from each ready mailbox until the batch is full; `None` when none is ready.
    fn cut_batch(self: &Rc<Self>) -> Option<Flight> {
        let options = self.options();
        let mut parts = Vec::new();
        let mut room = options.batch_max;
        while room > 0 && parts.len() < options.clients_per_call {
            let Some(mailbox) = self.ready.borrow_mut().pop_front() else { break };
            if mailbox.wants_held_row() {
                self.goes_apart(&mailbox);
                continue;
            }
            let Some(cut) = self.cut(&mailbox, room) else { continue };
            room -= cut.transactions.len();
            parts.push(Part::of(mailbox, cut));
        }
        let full = room == 0 || parts.len() == options.clients_per_call;
        let reason = if full { CutReason::Bound } else { CutReason::QueueEmpty };
        (!parts.is_empty()).then(|| Flight::of(self, parts, reason))
    }

    /// Cuts a run of at most `room` transactions; `None` if the mailbox's actor has ended.
    fn cut(&self, mailbox: &Mailbox, room: usize) -> Option<Cut> {
        let cut = mailbox.cut(room, self.options.mode)?;
        self.has_left_queue(&cut);
        Some(cut)
    }

    /// Has what a ready mailbox holds wait apart for its client's row.
    fn goes_apart(self: &Rc<Self>, mailbox: &Rc<Mailbox>) {
        let Some(mut cut) = mailbox.cut(self.options.batch_max, self.options.mode) else { return };
        if !self.may_wait_apart() {
            // Who reads needs no row, and is not refused for it.
            mailbox.put_back(std::mem::take(&mut cut.statements));
        }
        self.has_left_queue(&cut);
        self.wait_apart(Part::of(Rc::clone(mailbox), cut));
    }

    fn has_left_queue(&self, cut: &Cut) {
        self.dispatcher.observer.mailbox.depth.dec_by(cut.len() as i64);
    }

    fn may_wait_apart(&self) -> bool {
        self.apart.get() < self.options().row_waits
    }

    fn fly_apart(self: &Rc<Self>, part: Part) {
        tokio::task::spawn_local(Flight::apart(self, part).carry());
    }

    /// Has a client whose row somebody else holds wait apart from the others, unless too many do.
    pub(super) fn wait_apart(self: &Rc<Self>, mut part: Part) {
        let Some(mailbox) = part.mailbox.clone() else { return };
        part.row_held = false;
        mailbox.row_held.set(true);
        if self.may_wait_apart() {
            self.fly_apart(part);
            // Who reads need not wait for the row.
            if self.may_wait_apart()
                && let Some(statements) = mailbox.take_statements()
            {
                self.has_left_queue(&statements);
                self.fly_apart(Part::aside(&mailbox, statements));
            }
        } else {
            part.shed(&self.dispatcher, Bound::RowWaits);
            self.settle(&mailbox, &part);
        }
    }

    /// A run is over.
    pub(super) fn settle(self: &Rc<Self>, mailbox: &Rc<Mailbox>, part: &Part) {
        self.goes_on(mailbox, mailbox.settle(part.jobs), part.unknown_client);
    }

    /// The mailbox is ready again, or idle, or, where the client turned out not to exist, forgotten at once.
    pub(super) fn goes_on(self: &Rc<Self>, mailbox: &Rc<Mailbox>, settled: Settled, unknown_client: bool) {
        let Mailbox { client, slot, .. } = &**mailbox;
        match settled {
            Settled::Ready => self.becomes_ready(mailbox),
            Settled::Idle if unknown_client => self.owner.is_unknown(*client, slot),
            Settled::Idle => self.owner.idles(*client, slot),
            // Only now may the client have a new actor: two runs of it are never out at once, and what the
            // old one had is within the client's bound.
            Settled::Ended => self.owner.has_ended(*client, slot),
            Settled::Busy => {}
        }
    }

    /// Lists a mailbox that has something to send; what it has goes apart at once where its client's row is held.
    fn becomes_ready(self: &Rc<Self>, mailbox: &Rc<Mailbox>) {
        if mailbox.wants_held_row() {
            return self.goes_apart(mailbox);
        }
        // Nothing of it is out: here it may follow its client to another server.
        let moved = self.dispatcher.ledger.server_of(mailbox.client) != self.dispatcher.server;
        let home = moved.then(|| Self::of(mailbox.client)).flatten().unwrap_or_else(|| Rc::clone(self));
        home.ready.borrow_mut().push_back(Rc::clone(mailbox));
        home.wake.notify_one();
    }
}
