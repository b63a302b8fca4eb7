//! What a failure of PostgreSQL means for the transactions in it.

use std::time::Duration;

use deadpool_postgres::PoolError;
use tokio_postgres::error::Severity;

use crate::mailbox::LedgerError;

/// No connection could be had: nothing was sent.
pub(super) fn no_connection(error: PoolError) -> LedgerError {
    LedgerError::NotSent(with_causes(&error))
}

/// The deadline passed. The query may still run, and commit.
pub(super) fn overdue(deadline: Duration) -> LedgerError {
    LedgerError::OutcomeUnknown(format!("no answer within {} ms", deadline.as_millis()))
}

/// A call failed after its connection was had.
///
/// PostgreSQL undoes a statement for which it reports an ERROR, and only that is certain: a FATAL
/// one can arrive after the commit (the server is told to stop before it could answer), and a cut
/// connection says nothing at all.
pub(super) fn failed(error: &tokio_postgres::Error) -> LedgerError {
    let text = with_causes(error);
    match error.as_db_error().and_then(|db| db.parsed_severity()) {
        Some(Severity::Error) => LedgerError::RolledBack(text),
        _ => LedgerError::OutcomeUnknown(text),
    }
}

/// The answer had not the shape that the function promises; what it did is committed.
pub(super) fn malformed(what: impl Into<String>) -> LedgerError {
    LedgerError::OutcomeUnknown(what.into())
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
