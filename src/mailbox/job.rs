//! What a mailbox holds: a request, the way back to its caller, and what is known of its time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use traces::format::CallReport;

use super::sent::Sent;
use super::{Refusal, Timed};
use crate::domain::{BankStatement, Outcome, Transaction};
use crate::observing::{Place, RequestId};

/// A request on its way through a mailbox.
pub(super) enum Job {
    /// A transaction to apply.
    Transaction(Transaction, Reply<Outcome>),
    /// A statement to read.
    Statement(StatementReply),
}

/// The way back to who asked for a statement.
pub(super) type StatementReply = Reply<Option<Arc<BankStatement>>>;

/// Where the time of one answer went. Parts that were not reached are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From the handler until its run was cut.
    pub queued: Duration,
    /// Waiting for a database connection.
    pub connection: Duration,
    /// The database call as the instance saw it; what the report counts is in it.
    pub database: Duration,
    /// What the database says of the call that carried a transaction.
    pub report: CallReport,
    /// Transactions that the call carried, this one included; zero for a statement.
    pub batch: usize,
}

/// What a request has with it on its way, shared by both ends: what it is called, whether it was sent, and
/// in which call. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ticket {
    state: Arc<TicketState>,
}

#[derive(Debug)]
struct TicketState {
    id: RequestId,
    place: Option<Place>,
    sent: Sent,
    /// The call's number; 0 before it is cut.
    call: AtomicU64,
    /// The places of the calls that carried it, if it has one itself: few, where its row was held.
    calls: Mutex<Vec<Place>>,
}

impl Ticket {
    /// Makes the ticket of a request that is called `id` and has this place in a trace.
    pub fn new(id: RequestId, place: Option<Place>) -> Self {
        let (call, calls) = (AtomicU64::new(0), Mutex::default());
        Self { state: Arc::new(TicketState { id, place, sent: Sent::new(), call, calls }) }
    }

    /// Returns what the request is called.
    pub fn id(&self) -> &RequestId {
        &self.state.id
    }

    /// Returns the number of the call that the request was sent with; `None` if it was not sent.
    /// A caller who has left, and asks afterwards, is told of no call that is still to send it.
    pub fn call(&self) -> Option<u64> {
        let call = self.state.call.load(Ordering::SeqCst);
        (self.state.sent.get() && call > 0).then_some(call)
    }

    /// Returns the places of the calls that carried it.
    pub fn places_of_calls(&self) -> Vec<Place> {
        match self.state.place {
            Some(_) => self.state.calls.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            None => Vec::new(),
        }
    }

    pub(super) fn place(&self) -> Option<&Place> {
        self.state.place.as_ref()
    }

    pub(super) fn carried_by(&self, call: u64, place: Option<&Place>) {
        self.state.call.store(call, Ordering::SeqCst);
        if self.state.place.is_some() {
            self.state.calls.lock().unwrap_or_else(PoisonError::into_inner).extend(place.cloned());
        }
    }
}

/// Makes a transaction's job and the caller's end of it.
pub(super) fn transaction(transaction: Transaction, ticket: Ticket) -> (Job, Awaited<Outcome>) {
    let (reply, answer) = channel(ticket);
    (Job::Transaction(transaction, reply), answer)
}

/// Makes a statement's job and the caller's end of it.
pub(super) fn statement(ticket: Ticket) -> (Job, Awaited<Option<Arc<BankStatement>>>) {
    let (reply, answer) = channel(ticket);
    (Job::Statement(reply), answer)
}

fn channel<T>(ticket: Ticket) -> (Reply<T>, Awaited<T>) {
    let (sender, receiver) = oneshot::channel();
    let reply = Reply { sender, arrived: Instant::now(), ticket: ticket.clone() };
    (reply, Awaited { receiver, ticket, in_doubt: false })
}

/// The mailbox's end: answers the caller at most once. Dropped unanswered, the caller is told so.
pub(super) struct Reply<T> {
    sender: oneshot::Sender<Result<Timed<T>, Refusal>>,
    /// When the handler handed the request over.
    pub(super) arrived: Instant,
    pub(super) ticket: Ticket,
}

impl<T> Reply<T> {
    /// Declares that the request is about to be sent to the database, unless its caller has gone.
    ///
    /// Either this sees that the caller left, or the leaving caller sees that it was sent.
    pub(super) fn begin_send(&self) -> bool {
        let waits = self.ticket.state.sent.begin(|| self.sender.is_closed());
        #[cfg(test)]
        let waits = waits || super::simulation::Fault::SentToNobody.is_seeded();
        if !waits {
            // It was cut, and is not sent after all: no call carries it.
            self.ticket.carried_by(0, None);
        }
        waits
    }

    /// Gives the caller its answer. One who has left does not mind.
    pub(super) fn answer(self, value: T, timing: Timing) {
        // The receiver may be gone: then nobody is waiting.
        let _ = self.sender.send(Ok(Timed { value, timing }));
    }

    /// Tells the caller why there is no answer.
    pub(super) fn refuse(self, refusal: Refusal) {
        let _ = self.sender.send(Err(refusal));
    }
}

/// The caller's end: the answer that it waits for.
pub(super) struct Awaited<T> {
    receiver: oneshot::Receiver<Result<Timed<T>, Refusal>>,
    pub(super) ticket: Ticket,
    /// Set where the caller is told that its outcome is not known, and not by its call.
    pub(super) in_doubt: bool,
}

impl<T> Awaited<T> {
    /// Waits for the answer, at most `deadline`.
    pub(super) async fn wait(&mut self, deadline: Duration) -> Result<Timed<T>, Refusal> {
        let refusal = match tokio::time::timeout(deadline, &mut self.receiver).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(_dropped_unanswered)) => Refusal::MailboxLost,
            Err(_elapsed) => Refusal::TimedOut,
        };
        if self.ticket.state.sent.leave(|| self.receiver.close()) {
            // It may have been answered between the deadline and the close.
            let late = self.receiver.try_recv();
            self.in_doubt = late.is_err();
            return late.unwrap_or(Err(Refusal::OutcomeUnknown));
        }
        Err(refusal)
    }
}
