//! Why a request is not answered with an outcome.

use super::LedgerError;

/// Why a request was not answered with an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A bound is reached; nothing was sent.
    #[error("{0}")]
    Shed(Bound),
    /// The database cannot be reached, or undid the transaction.
    #[error("the ledger is not available")]
    Unavailable,
    /// The client's actor ended before anything was sent.
    #[error("the client's mailbox was lost before anything was sent")]
    MailboxLost,
    /// The answer deadline passed before anything was sent.
    #[error("the request waited too long and was not sent")]
    TimedOut,
    /// The transaction was sent; whether it was applied is not known.
    #[error("the transaction was sent but its outcome is not known")]
    OutcomeUnknown,
}

/// The bounds at which requests are shed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Bound {
    /// `QUEUE_PER_CLIENT`.
    #[error("the client's queue is full")]
    ClientQueue,
    /// `LIVE_ACTORS`, none of them idle.
    #[error("too many clients are active")]
    LiveActors,
    /// `REQUESTS_IN_FLIGHT`.
    #[error("too many requests are in flight")]
    RequestsInFlight,
    /// `ROW_WAITS`.
    #[error("too many clients wait for rows that somebody else holds")]
    RowWaits,
}

impl Bound {
    /// Its name in metrics and traces.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientQueue => "client_queue",
            Self::LiveActors => "live_actors",
            Self::RequestsInFlight => "requests_in_flight",
            Self::RowWaits => "row_waits",
        }
    }
}

impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::NotSent(_) | LedgerError::RowHeld(_) | LedgerError::RolledBack(_) => {
                Self::Unavailable
            }
            LedgerError::OutcomeUnknown(_) => Self::OutcomeUnknown,
        }
    }
}
