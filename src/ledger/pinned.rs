//! The settings that a session must have, whatever its role says.
//!
//! A role may change its own settings for all sessions to come, and nothing in PostgreSQL forbids it: whoever has
//! stolen a connection could so have every write refused, or lost, for good. What a connection starts with wins
//! over that, and each new one is asked whether it did (a pooler may leave such options out).

use std::time::Duration;

use deadpool_postgres::{ClientWrapper, HookError};
use settings::{PLANNED, session_options};

/// What would have calls fail, sessions end or never begin.
const ALWAYS: [(&str, &str); 4] = [
    ("default_transaction_isolation", "read committed"),
    ("idle_session_timeout", "0"),
    ("exit_on_error", "off"),
    ("local_preload_libraries", ""),
];

/// What makes 200 mean that it is on disk.
const DURABLE: (&str, &str) = ("synchronous_commit", "on");

/// Lifts `default_transaction_read_only` where only the role says so: a server or a database that takes no writes
/// was told so by its operator.
const WRITABLE: &str = "SELECT pg_catalog.set_config(name, 'off', false) FROM pg_catalog.pg_settings
    WHERE name = 'default_transaction_read_only' AND source IN ('user', 'database user')";

/// The settings of every session of an instance.
#[derive(Clone, Debug)]
pub(super) struct Pinned(Vec<(&'static str, &'static str)>);

impl Pinned {
    /// Those of an instance that promises durability, or not.
    pub(super) fn new(durable: bool) -> Self {
        Self(ALWAYS.into_iter().chain(PLANNED).chain(durable.then_some(DURABLE)).collect())
    }

    /// Returns them as PostgreSQL takes them at a session's start.
    pub(super) fn options(&self) -> String {
        session_options(&self.0)
    }

    /// Changes what a session needs otherwise where the database is on several servers: a call is sent to its client's
    /// only by a plan that is made for it, and none is shared, so that each waits for its row.
    ///
    /// # Errors
    /// When the session does not answer.
    pub(super) async fn adapt(connection: &ClientWrapper, lock_timeout: Duration) -> Result<(), HookError> {
        let sql = format!("SET plan_cache_mode = auto; SET lock_timeout = {}", lock_timeout.as_millis());
        connection.batch_execute(&sql).await.map_err(HookError::Backend)
    }

    /// Asks a new session whether it has them.
    ///
    /// # Errors
    /// When it has not, or does not answer.
    pub(super) async fn check(&self, connection: &ClientWrapper) -> Result<(), HookError> {
        connection.batch_execute(WRITABLE).await.map_err(HookError::Backend)?;
        let (names, values): (Vec<&str>, Vec<&str>) = self.0.iter().copied().unzip();
        let sql = "SELECT name FROM unnest($1::text[], $2::text[]) AS pinned (name, value)
                   WHERE pg_catalog.current_setting(name) <> value";
        let lost = connection.query(sql, &[&names, &values]).await.map_err(HookError::Backend)?;
        if lost.is_empty() {
            return Ok(());
        }
        let lost: Vec<String> = lost.iter().map(|row| row.get(0)).collect();
        Err(HookError::message(format!(
            "the session did not start with the {} that it was asked for: does a pooler drop `options`?",
            lost.join(", ")
        )))
    }
}
