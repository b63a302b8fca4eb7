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
    let known = error.as_db_error().filter(|db| db.parsed_severity() == Some(Severity::Error));
    let meaning = known.map_or(LedgerError::OutcomeUnknown as fn(_) -> _, |db| meaning(db.code()));
    meaning(with_causes(error))
}

/// Returns what an ERROR with this code says, also where a pooler or a sharding front stands between: there a
/// lost connection or a passed deadline arrives as an ERROR of its own, possibly after the commit. So what is
/// undone is a list; `docs/failures.md` has the evidence for each.
fn meaning(code: &SqlState) -> fn(String) -> LedgerError {
    match code.code() {
        "55P03" => LedgerError::RowHeld,
        // Read-only, a serialization failure, a deadlock.
        "25006" | "40001" | "40P01" => LedgerError::RolledBack,
        // Of data, the functions' own among them; of constraints; of names and privileges.
        code if ["22", "23", "42"].iter().any(|class| code.starts_with(class)) => LedgerError::RolledBack,
        _ => LedgerError::OutcomeUnknown,
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
