//! One client's mailbox: its queue, and whether a run of it is ready or in flight.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use settings::Mode;

use super::idle::Slot;
use super::job::Job;
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

/// How a mailbox is once its run is over.
pub(super) enum Settled {
    /// More is queued: it belongs into the gatherer's list again.
    Ready,
    /// Nothing is queued.
    Idle,
    /// Its actor has ended meanwhile.
    Closed,
}

/// What a mailbox held when its actor ended.
pub(super) struct Closed {
    /// Requests that waited: their callers are told by dropping them.
    pub(super) lost: usize,
    /// Whether a run of it is still out.
    pub(super) in_flight: bool,
}

impl Mailbox {
    pub(super) fn new(client: ClientId, slot: Arc<Slot>) -> Self {
        Self {
            client,
            slot,
            queue: RefCell::default(),
            state: Cell::new(State::Idle),
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

    /// Takes out the statements that wait, if there are any.
    pub(super) fn take_statements(&self) -> Option<Cut> {
        Some(self.queue.borrow_mut().take_statements()).filter(|cut| !cut.statements.is_empty())
    }

    /// Counts `jobs` out that were no part of a run. Returns whether it is idle.
    pub(super) fn leave(&self, jobs: usize) -> bool {
        self.slot.load.leave(jobs);
        self.state.get() == State::Idle
    }

    /// Counts the run's `jobs` out: they are answered or dropped.
    pub(super) fn settle(&self, jobs: usize) -> Settled {
        self.slot.load.leave(jobs);
        #[cfg(test)]
        if Fault::CountedOutTwice.is_seeded() {
            self.slot.load.leave(jobs);
        }
        if self.state.get() == State::Closed {
            return Settled::Closed;
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

    /// Closes it: its actor has ended.
    pub(super) fn close(&self) -> Closed {
        let before = self.state.replace(State::Closed);
        #[cfg(test)]
        let before = if Fault::SecondRun.is_seeded() { State::Idle } else { before };
        Closed { lost: self.queue.borrow_mut().clear(), in_flight: before == State::InFlight }
    }
}
