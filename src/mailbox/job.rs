//! What a mailbox holds: a request, the way back to its caller, and what is known of its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use traces::format::CallReport;
use tracing::Span;

use super::sent::Sent;
use super::{Refusal, Timed};
use crate::domain::{BankStatement, Outcome, Transaction};

/// A request on its way through a mailbox.
pub(super) enum Job {
    /// A transaction to apply.
    Transaction(Transaction, Reply<Outcome>),
    /// A statement to read.
    Statement(Reply<Option<Arc<BankStatement>>>),
}

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

/// What a request has with it on its way, shared by both ends: its span, whether it was sent, and
/// in which call. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ticket {
    span: Span,
    state: Arc<TicketState>,
}

#[derive(Debug)]
struct TicketState {
    sent: Sent,
    /// The call's number; 0 before it is cut.
    call: AtomicU64,
}

impl Ticket {
    /// Makes the ticket of a request that `span` stands for.
    pub fn new(span: Span) -> Self {
        Self { span, state: Arc::new(TicketState { sent: Sent::new(), call: AtomicU64::new(0) }) }
    }

    /// Returns the request's span.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Returns the number of the call that the request was sent with; `None` if it was not sent.
    /// A caller who has left, and asks afterwards, is told of no call that is still to send it.
    pub fn call(&self) -> Option<u64> {
        let call = self.state.call.load(Ordering::SeqCst);
        (self.state.sent.get() && call > 0).then_some(call)
    }

    pub(super) fn carried_by(&self, call: u64) {
        self.state.call.store(call, Ordering::SeqCst);
    }
}

/// Makes a transaction's job and the caller's end of it.
pub(super) fn transaction(transaction: Transaction, ticket: Ticket) -> (Job, Answer<Outcome>) {
    let (reply, answer) = channel(ticket);
    (Job::Transaction(transaction, reply), answer)
}

/// Makes a statement's job and the caller's end of it.
pub(super) fn statement(ticket: Ticket) -> (Job, Answer<Option<Arc<BankStatement>>>) {
    let (reply, answer) = channel(ticket);
    (Job::Statement(reply), answer)
}

fn channel<T>(ticket: Ticket) -> (Reply<T>, Answer<T>) {
    let (sender, receiver) = oneshot::channel();
    let reply = Reply { sender, arrived: Instant::now(), ticket: ticket.clone() };
    (reply, Answer { receiver, ticket })
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
            self.ticket.carried_by(0);
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

/// The caller's end.
pub(super) struct Answer<T> {
    receiver: oneshot::Receiver<Result<Timed<T>, Refusal>>,
    ticket: Ticket,
}

impl<T> Answer<T> {
    /// Waits for the answer, at most `deadline`.
    pub(super) async fn wait(mut self, deadline: Duration) -> Result<Timed<T>, Refusal> {
        let refusal = match tokio::time::timeout(deadline, &mut self.receiver).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(_dropped_unanswered)) => Refusal::MailboxLost,
            Err(_elapsed) => Refusal::TimedOut,
        };
        if self.ticket.state.sent.leave(|| self.receiver.close()) {
            // It may have been answered between the deadline and the close.
            return self.receiver.try_recv().unwrap_or(Err(Refusal::OutcomeUnknown));
        }
        Err(refusal)
    }
}
