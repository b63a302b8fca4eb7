//! Faults that a test seeds, to see that the simulation finds them.

use std::cell::Cell;

/// What is done wrong, in the mailboxes or in the ledger behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mailbox) enum Fault {
    /// A mailbox that gets its first request does not become known as ready.
    ForgottenWakeUp,
    /// An actor that ends is forgotten although a run of it is out.
    SecondRun,
    /// A run's requests leave the load of their mailbox twice.
    CountedOutTwice,
    /// A request goes to the front of its queue.
    QueueJumper,
    /// Requests are sent whose callers have left.
    SentToNobody,
    /// The ledger's outcomes are of each other's transactions.
    AnswersSwapped,
    /// The ledger says "rolled back" of what it has applied.
    LostCommit,
}

thread_local! {
    static SEEDED: Cell<Option<Fault>> = const { Cell::new(None) };
}

impl Fault {
    /// Whether this thread's mailboxes have it.
    pub(in crate::mailbox) fn is_seeded(self) -> bool {
        SEEDED.get() == Some(self)
    }

    /// Gives this thread's mailboxes the fault, or none.
    pub(super) fn seed(fault: Option<Self>) {
        SEEDED.set(fault);
    }
}
