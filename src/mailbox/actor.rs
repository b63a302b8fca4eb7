//! The actor of one client: it owns the client's mailbox on the arbiter that the client is pinned to.
//!
//! It only moves messages from its channel to the mailbox's queue. actix's own mailbox has no
//! bound that holds (a full one is retried through a clone of the address, actix#329), so the
//! bound is the mailbox's load, checked by the registry before anything is sent here.

use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Context, Handler, Message};

use super::gatherer::Gatherer;
use super::idle::Slot;
use super::job::Job;
use super::mailbox::Mailbox;
use crate::domain::ClientId;

/// Puts a job into the mailbox.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Enqueue(pub(super) Job);

/// Who owns a client's mailbox.
pub(super) struct ClientActor {
    mailbox: Rc<Mailbox>,
    gatherer: Rc<Gatherer>,
}

impl ClientActor {
    /// Makes the actor on the arbiter of `gatherer`.
    pub(super) fn new(client: ClientId, slot: Arc<Slot>, gatherer: Rc<Gatherer>) -> Self {
        Self { mailbox: Rc::new(Mailbox::new(client, slot)), gatherer }
    }
}

impl Actor for ClientActor {
    type Context = Context<Self>;
}

impl Handler<Enqueue> for ClientActor {
    type Result = ();

    fn handle(&mut self, Enqueue(job): Enqueue, _: &mut Context<Self>) {
        self.gatherer.enqueue(&self.mailbox, job);
    }
}

/// Runs when the actor was passivated, and also when it panicked: then callers that wait are
/// told, and the client gets a new actor with its next request.
impl Drop for ClientActor {
    fn drop(&mut self) {
        self.gatherer.close(&self.mailbox, std::thread::panicking());
    }
}

/// Makes the actor panic, to show whom that costs what.
#[cfg(test)]
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Panic;

#[cfg(test)]
impl Handler<Panic> for ClientActor {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        // Unlike `panic!` this prints nothing.
        std::panic::resume_unwind(Box::new("asked to"));
    }
}
