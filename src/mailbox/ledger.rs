//! The ledger as mailboxes see it: what they ask of it, and what may come of that.

use traces::format::{CallReport, Locks};

use super::LocalFuture;
use crate::domain::{BankStatement, ClientId, Outcome, Transaction};

/// Where transactions are kept. One lives on each arbiter.
pub trait Ledger {
    /// Takes a connection to one of its servers, waiting for one where all are in use.
    ///
    /// # Errors
    /// [`LedgerError::NotSent`] when none can be had in time.
    fn connect(&self, server: usize) -> LocalFuture<'_, Result<Box<dyn LedgerConnection>, LedgerError>>;

    /// Returns which of its servers has the client, from 0; known from when the mailboxes are open. Where a client has
    /// moved, calls that go where it was are right, too.
    fn server_of(&self, _client: ClientId) -> usize {
        0
    }

    /// Returns how many calls it takes at once, where each may carry only one client's transactions; `None` where a
    /// call may span several. It is known from when the mailboxes are open.
    fn calls_of_one_client(&self) -> Option<usize> {
        None
    }
}

/// One connection to a [`Ledger`]. Calls polled together are sent one behind the other.
pub trait LedgerConnection {
    /// Applies all runs in one database transaction, each run in its order.
    ///
    /// The answer has one outcome for each transaction, in the order of `runs`. One whose key the client has used
    /// before changes nothing: it has the first one's outcome, or, where that was another transaction,
    /// [`Rejection::KeyReused`](crate::domain::Rejection::KeyReused).
    ///
    /// # Errors
    /// [`LedgerError`]; a rejection of one transaction is its outcome, never an error.
    fn apply<'a>(
        &'a self,
        runs: &'a [Run],
        row_wait: RowWait,
    ) -> LocalFuture<'a, Result<CallOutcomes, LedgerError>>;

    /// Returns whose of the clients' rows somebody holds who is none of the service's own calls; none, where no call
    /// ever comes back with [`LedgerError::RowHeld`].
    ///
    /// # Errors
    /// [`LedgerError`].
    fn held<'a>(&'a self, _clients: &'a [ClientId]) -> LocalFuture<'a, Result<Vec<ClientId>, LedgerError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Reads the clients' statements, each as of one instant, in their order; `None` where there is no such client.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn statements<'a>(
        &'a self,
        clients: &'a [ClientId],
    ) -> LocalFuture<'a, Result<Vec<Option<BankStatement>>, LedgerError>>;
}

/// How long a call waits for a row that somebody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowWait {
    /// Not for long: others are in the call.
    Brief,
    /// Not half as long as a statement may take: where the other instance's call is before it in the row's queue,
    /// each waits as long in turn.
    Long,
}

/// The transactions that one mailbox hands over at a time, in arrival order. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Whose they are.
    pub client: ClientId,
    /// What is to be applied, first come first.
    pub transactions: Vec<Transaction>,
}

/// What a call to [`LedgerConnection::apply`] brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOutcomes {
    /// One for each transaction, in the order in which they were handed over.
    pub outcomes: Vec<Outcome>,
    /// Of the applied ones, how many had been applied before: their first outcomes are told again.
    pub repeated: u64,
    /// What the database says of the call.
    pub report: CallReport,
    /// What its rows say of whom it waited for, where a trace is written.
    pub locks: Option<Box<Locks>>,
}

/// Why a call to the ledger brought nothing, told apart by what the caller may do next.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// Nothing was sent: it may be tried again.
    #[error("not sent: {0}")]
    NotSent(String),
    /// A row was held by somebody for longer than the call waits; all of it is undone.
    #[error("a row was held: {0}")]
    RowHeld(String),
    /// The database said that it undid all of it: it may be tried again.
    #[error("rolled back: {0}")]
    RolledBack(String),
    /// It was sent and the answer was lost: it may or may not have been applied.
    #[error("outcome unknown: {0}")]
    OutcomeUnknown(String),
}

impl LedgerError {
    /// Returns what became of the call, as metrics and traces name it.
    pub fn fate(&self) -> &'static str {
        match self {
            Self::NotSent(_) => "not_sent",
            Self::RowHeld(_) | Self::RolledBack(_) => "rolled_back",
            Self::OutcomeUnknown(_) => "unknown",
        }
    }
}
