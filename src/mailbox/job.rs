//! What a mailbox holds: a request, the way back to its caller, and what is known of its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::Span;

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
    /// The database call as the instance saw it; [`Timing::lock_wait`] and [`Timing::work`] are in it.
    pub database: Duration,
    /// Waiting for row locks inside the database, as it reported.
    pub lock_wait: Duration,
    /// Working inside the database, as it reported.
    pub work: Duration,
    /// Transactions that the call carried, this one included; zero for a statement.
    pub batch: usize,
}

/// Makes a transaction's job and the caller's end of it.
pub(super) fn transaction(transaction: Transaction, span: Span) -> (Job, Answer<Outcome>) {
    let (reply, answer) = channel(span);
    (Job::Transaction(transaction, reply), answer)
}

/// Makes a statement's job and the caller's end of it.
pub(super) fn statement(span: Span) -> (Job, Answer<Option<Arc<BankStatement>>>) {
    let (reply, answer) = channel(span);
    (Job::Statement(reply), answer)
}

fn channel<T>(span: Span) -> (Reply<T>, Answer<T>) {
    let (sender, receiver) = oneshot::channel();
    let sent = Arc::new(AtomicBool::new(false));
    let reply = Reply { sender, sent: Arc::clone(&sent), arrived: Instant::now(), span };
    (reply, Answer { receiver, sent })
}

/// The mailbox's end: answers the caller at most once. Dropped unanswered, the caller is told so.
pub(super) struct Reply<T> {
    sender: oneshot::Sender<Result<Timed<T>, Refusal>>,
    sent: Arc<AtomicBool>,
    /// When the handler handed the request over.
    pub(super) arrived: Instant,
    /// The request's span.
    pub(super) span: Span,
}

impl<T> Reply<T> {
    /// Declares that the request is about to be sent to the database, unless its caller has gone.
    ///
    /// Either this sees that the caller left, or the leaving caller sees that it was sent: the
    /// flag is set before looking at the channel, and [`Answer::wait`] does the two the other
    /// way round.
    pub(super) fn begin_send(&self) -> bool {
        self.sent.store(true, Ordering::SeqCst);
        let waits = !self.sender.is_closed();
        if !waits {
            self.span.record("abandoned", true);
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
    sent: Arc<AtomicBool>,
}

impl<T> Answer<T> {
    /// Waits for the answer, at most `deadline`.
    pub(super) async fn wait(mut self, deadline: Duration) -> Result<Timed<T>, Refusal> {
        let refusal = match tokio::time::timeout(deadline, &mut self.receiver).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(_dropped_unanswered)) => Refusal::MailboxLost,
            Err(_elapsed) => Refusal::TimedOut,
        };
        self.receiver.close();
        if self.sent.load(Ordering::SeqCst) {
            // It may have been answered between the deadline and the close.
            return self.receiver.try_recv().unwrap_or(Err(Refusal::OutcomeUnknown));
        }
        Err(refusal)
    }
}
