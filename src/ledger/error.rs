//! What a failure of PostgreSQL means for the transactions in it.

use std::time::Duration;

use deadpool_postgres::PoolError;
use tokio_postgres::error::{Severity, SqlState};

use crate::mailbox::LedgerError;

/// No connection could be had: nothing was sent.
pub(super) fn no_connection(error: PoolError) -> LedgerError {
    LedgerError::NotSent(with_causes(&error))
}

/// The deadline passed. The query may still run, and commit.
pub(super) fn overdue(deadline: Duration) -> LedgerError {
    LedgerError::OutcomeUnknown(format!("no answer within {} ms", deadline.as_millis()))
}

/// A call failed after its connection was had. Only what is known to be undone is told so.
pub(super) fn failed(error: &tokio_postgres::Error) -> LedgerError {
    let text = with_causes(error);
    let known = error.as_db_error().filter(|db| db.parsed_severity() == Some(Severity::Error));
    match known {
        Some(db) if db.code() == &SqlState::LOCK_NOT_AVAILABLE => LedgerError::RowHeld(text),
        Some(db) if is_rolled_back(db.code()) => LedgerError::RolledBack(text),
        _ => LedgerError::OutcomeUnknown(text),
    }
}

/// Returns whether an ERROR with this code says that nothing was applied, also where a pooler or a sharding
/// front stands between: there a lost connection or a passed deadline arrives as an ERROR of its own,
/// possibly after the commit. `docs/failures.md` has the evidence for each.
fn is_rolled_back(code: &SqlState) -> bool {
    const CODES: [SqlState; 3] = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    // Of data, the functions' own among them; of constraints; of names and privileges.
    const CLASSES: [&str; 3] = ["22", "23", "42"];
    CODES.contains(code) || CLASSES.iter().any(|class| code.code().starts_with(class))
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
