//! One client's mailbox: its queue, and whether a run of it is ready or in flight.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use settings::Mode;

use super::idle::Slot;
use super::job::{Job, StatementReply};
use super::queue::{Cut, Queue};
#[cfg(test)]
use super::simulation::Fault;
use crate::domain::ClientId;

/// A client's mailbox. Its actor owns it; the gatherer holds it while it is ready or in flight.
pub(super) struct Mailbox {
    pub(super) client: ClientId,
    pub(super) slot: Arc<Slot>,
    queue: RefCell<Queue>,
    state: Cell<State>,
    /// Requests that belong to a call which is not over.
    out: Cell<usize>,
    /// Whether somebody else held the client's row when it was last wanted.
    pub(super) row_held: Cell<bool>,
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
}

/// How a mailbox is once requests of it are over.
pub(super) enum Settled {
    /// Others of it are out or listed, and will settle it.
    Busy,
    /// More is queued: it belongs into the gatherer's list again.
    Ready,
    /// Nothing is queued.
    Idle,
    /// Its actor has ended meanwhile, and nothing of it is out any more.
    Ended,
}

/// What a mailbox held when its actor ended.
pub(super) struct Closed {
    /// Requests that waited: their callers are told by dropping them.
    pub(super) lost: usize,
    /// Whether requests of it are still out.
    pub(super) is_out: bool,
}

impl Mailbox {
    pub(super) fn new(client: ClientId, slot: Arc<Slot>) -> Self {
        Self {
            client,
            slot,
            queue: RefCell::default(),
            state: Cell::new(State::Idle),
            out: Cell::new(0),
            row_held: Cell::new(false),
        }
    }

    /// Puts a job at the end of the queue. Returns whether the mailbox has become ready by it.
    pub(super) fn push(&self, job: Job) -> bool {
        self.queue.borrow_mut().push(job);
        self.state.get() == State::Idle && {
            self.state.set(State::Ready);
            #[cfg(test)]
            if Fault::ForgottenWakeUp.is_seeded() {
                return false;
            }
            true
        }
    }

    /// Cuts a run of at most `room` transactions, which is then in flight; `None` if the actor
    /// has ended since the mailbox was ready.
    pub(super) fn cut(&self, room: usize, mode: Mode) -> Option<Cut> {
        if self.state.get() != State::Ready {
            return None;
        }
        self.state.set(State::InFlight);
        Some(self.queue.borrow_mut().cut(room, mode))
    }

    /// Returns whether somebody held the client's row when it was last wanted, and it is wanted again.
    pub(super) fn wants_held_row(&self) -> bool {
        self.row_held.get() && self.queue.borrow().has_transactions()
    }

    /// Returns whether a run of it is out that wants a row which was held.
    pub(super) fn waits_for_row(&self) -> bool {
        self.row_held.get() && self.state.get() == State::InFlight
    }

    /// Puts statements back that were cut and are not to be sent with their run.
    pub(super) fn put_back(&self, statements: Vec<StatementReply>) {
        let mut queue = self.queue.borrow_mut();
        statements.into_iter().for_each(|reply| queue.push(Job::Statement(reply)));
    }

    /// Takes out the statements that wait, if there are any.
    pub(super) fn take_statements(&self) -> Option<Cut> {
        Some(self.queue.borrow_mut().take_statements()).filter(|cut| !cut.statements.is_empty())
    }

    /// Counts `jobs` as out: they belong to a call.
    pub(super) fn goes_out(&self, jobs: usize) {
        self.out.set(self.out.get() + jobs);
    }

    fn counts_out(&self, jobs: usize) {
        self.slot.load.leave(jobs);
        self.out.set(self.out.get() - jobs);
    }

    /// Counts `jobs` out that were no part of a run.
    pub(super) fn leave(&self, jobs: usize) -> Settled {
        self.counts_out(jobs);
        match self.state.get() {
            State::Idle => Settled::Idle,
            State::Closed => self.closed(),
            State::Ready | State::InFlight => Settled::Busy,
        }
    }

    /// Counts the run's `jobs` out: they are answered or dropped.
    pub(super) fn settle(&self, jobs: usize) -> Settled {
        self.counts_out(jobs);
        #[cfg(test)]
        if Fault::CountedOutTwice.is_seeded() {
            self.slot.load.leave(jobs);
        }
        if self.state.get() == State::Closed {
            return self.closed();
        }
        let mut queue = self.queue.borrow_mut();
        if queue.is_empty() {
            queue.release_memory();
            self.state.set(State::Idle);
            Settled::Idle
        } else {
            self.state.set(State::Ready);
            Settled::Ready
        }
    }

    fn closed(&self) -> Settled {
        if self.out.get() == 0 { Settled::Ended } else { Settled::Busy }
    }

    /// Closes it: its actor has ended.
    pub(super) fn close(&self) -> Closed {
        self.state.set(State::Closed);
        let is_out = self.out.get() > 0;
        #[cfg(test)]
        let is_out = is_out && !Fault::SecondRun.is_seeded();
        Closed { lost: self.queue.borrow_mut().clear(), is_out }
    }
}
