//! What the database says of itself: which profile it was set up for, and whether it has its data.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::ClientWrapper;
use tokio_postgres::Row;

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
    /// Whether it is on several servers: then a call through the one in front of them takes one client's transactions.
    pub sharded: bool,
    /// Whether these are not where they were when the instance began.
    pub moved: bool,
}

/// Whether the database is on several servers, as all pools of an instance know it once it has answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Sharded(Arc<AtomicBool>);

impl Sharded {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Notes what the database has said.
    pub(super) fn note(&self, state: &DatabaseState, called_directly: usize) {
        if state.sharded && !self.0.swap(true, Ordering::AcqRel) {
            let calls = match called_directly {
                0 => "a call carries one client's transactions",
                _ => "each has calls of its own",
            };
            tracing::info!(called_directly, "the database is on several servers: {calls}");
        }
    }
}

/// What a database promises about committed transactions, the most first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Logged tables, and settings that put each commit on disk before it is answered.
    Durable,
    /// Logged tables on a server that does not keep its promise; says which settings are wrong.
    Weakened(String),
    /// UNLOGGED tables: empty after a crash.
    Unlogged,
}

pub(super) async fn state(connection: &ClientWrapper) -> Result<DatabaseState, LedgerError> {
    let rows = query(connection, STATE, &[]).await?;
    let states: Result<Vec<DatabaseState>, LedgerError> = rows.iter().map(read).collect();
    let all = states?.into_iter().reduce(DatabaseState::with);
    all.ok_or_else(|| LedgerError::NotSent("EstadoDoBanco gave no row".to_owned()))
}

impl DatabaseState {
    /// Returns what two servers are good for together.
    fn with(self, other: Self) -> Self {
        Self {
            durability: self.durability.max(other.durability),
            has_clients: self.has_clients && other.has_clients,
            read_only: self.read_only || other.read_only,
            role_altered: self.role_altered || other.role_altered,
            sharded: self.sharded || other.sharded,
            moved: self.moved || other.moved,
        }
    }
}

/// Reads what one server says.
fn read(row: &Row) -> Result<DatabaseState, LedgerError> {
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
    Ok(DatabaseState {
        durability,
        has_clients: column(row, 1)?,
        read_only: column(row, 5)?,
        role_altered: column(row, 6)?,
        sharded: column(row, 7)?,
        moved: false,
    })
}
