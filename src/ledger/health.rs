//! What the database says of itself: which profile it was set up for, and whether it has its data.

use deadpool_postgres::ClientWrapper;

use super::calls::{STATE, column, query};
use crate::mailbox::LedgerError;

/// What a database is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseState {
    /// What its tables and its server's settings promise.
    pub durability: Durability,
    /// Whether it has any client. UNLOGGED tables are empty after a crash of the server.
    pub has_clients: bool,
    /// Whether it takes no writes.
    pub read_only: bool,
    /// Whether the service's role has settings of its own, which only it would have given itself.
    pub role_altered: bool,
}

/// What a database promises about committed transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Logged tables, and settings that put each commit on disk before it is answered.
    Durable,
    /// UNLOGGED tables: empty after a crash.
    Unlogged,
    /// Logged tables on a server that does not keep its promise; says which settings are wrong.
    Weakened(String),
}

pub(super) async fn state(connection: &ClientWrapper) -> Result<DatabaseState, LedgerError> {
    let rows = query(connection, STATE, &[]).await?;
    let row = rows.first().ok_or_else(|| LedgerError::NotSent("EstadoDoBanco gave no row".to_owned()))?;
    let profile: String = column(row, 0)?;
    let settings = [("fsync", 2), ("synchronous_commit", 3), ("full_page_writes", 4)];
    let mut weak = Vec::new();
    for (name, position) in settings {
        let value: String = column(row, position)?;
        if value == "off" {
            weak.push(format!("{name}={value}"));
        }
    }
    let durability = match (profile.as_str(), weak.is_empty()) {
        ("contest", _) => Durability::Unlogged,
        (_, true) => Durability::Durable,
        (_, false) => Durability::Weakened(weak.join(" ")),
    };
    let (has_clients, read_only, role_altered) = (column(row, 1)?, column(row, 5)?, column(row, 6)?);
    Ok(DatabaseState { durability, has_clients, read_only, role_altered })
}
