//! The [`Ledger`] on PostgreSQL: a pool of connections per arbiter, and the stored functions.
//!
//! The rules of the bank live in `sql/`; here they are only called. Connections belong to the
//! arbiter that opened them, since deadpool runs each on the runtime that made it, and replies
//! wait where that thread is busy elsewhere.

mod calls;
mod error;
mod health;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use deadpool_postgres::{Hook, Manager, ManagerConfig, Object, Pool, QueueMode, RecyclingMethod, Runtime};
use tokio_postgres::NoTls;

use crate::domain::{BankStatement, ClientId};
use crate::mailbox::{CallOutcomes, Ledger, LedgerConnection, LedgerError, LocalFuture, Run};
use crate::observing::metrics::PoolMetrics;

pub use health::{DatabaseState, Durability};

/// How PostgreSQL is reached and how long may be waited for it.
#[derive(Clone, Debug)]
pub struct LedgerOptions {
    database: tokio_postgres::Config,
    pool_size: usize,
    call_deadline: Duration,
}

/// The address of the database cannot be used. It never repeats the address, which may hold a
/// password.
#[derive(Debug, thiserror::Error)]
pub enum BadDatabaseUrl {
    /// It does not parse.
    #[error("DATABASE_URL: is not a PostgreSQL URL or key=value list: {0}")]
    Malformed(#[from] tokio_postgres::Error),
    /// It does not say where the server is.
    #[error("DATABASE_URL: names no host; add one, or host=/directory for a unix socket")]
    NoHost,
}

/// A connection is opened, or one is waited for, at most this long: with the call's own deadline
/// it stays under the answer's.
const CONNECTION_WAIT: Duration = Duration::from_secs(3);

impl LedgerOptions {
    /// Reads `url`, and adds `statement_timeout` and, a little shorter, `lock_timeout` to the options that
    /// each connection starts with.
    ///
    /// # Errors
    /// [`BadDatabaseUrl`].
    pub fn new(
        url: &str,
        pool_size: usize,
        statement_timeout: Duration,
        call_deadline: Duration,
    ) -> Result<Self, BadDatabaseUrl> {
        let mut database: tokio_postgres::Config = url.parse()?;
        if database.get_hosts().is_empty() && database.get_hostaddrs().is_empty() {
            return Err(BadDatabaseUrl::NoHost);
        }
        let millis = statement_timeout.as_millis();
        // A wait for a lock ends first, and says for certain that nothing was applied.
        let lock_millis = millis * 9 / 10;
        let own = format!("-c statement_timeout={millis} -c lock_timeout={lock_millis}");
        let options = database.get_options().map_or_else(|| own.clone(), |given| format!("{given} {own}"));
        database.options(options);
        if database.get_connect_timeout().is_none() {
            database.connect_timeout(Duration::from_secs(2));
        }
        Ok(Self { database, pool_size, call_deadline })
    }
}

/// The ledger of one arbiter. Clones share its connections.
#[derive(Clone)]
pub struct PgLedger {
    pool: Pool,
    call_deadline: Duration,
    metrics: PoolMetrics,
    /// Connections as last counted into the metrics, which all pools of the instance share.
    counted: Rc<Cell<i64>>,
}

impl PgLedger {
    /// Makes a pool that opens its connections on the current runtime, when they are needed.
    pub fn new(options: &LedgerOptions, metrics: PoolMetrics) -> Self {
        let recycling_method = RecyclingMethod::Fast;
        let manager =
            Manager::from_config(options.database.clone(), NoTls, ManagerConfig { recycling_method });
        let pool = Pool::builder(manager)
            .max_size(options.pool_size)
            // The connection used last has the warmest caches, here and in its server process.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECTION_WAIT))
            .create_timeout(Some(CONNECTION_WAIT))
            .post_create(Hook::async_fn(|connection, _| Box::pin(calls::prepare_all(connection))))
            .build()
            .expect("a runtime is given, which is all that timeouts need");
        Self { pool, call_deadline: options.call_deadline, metrics, counted: Rc::default() }
    }

    /// Asks the database what it is and whether it still has its data.
    ///
    /// # Errors
    /// [`LedgerError::NotSent`] when it does not answer.
    pub async fn state(&self) -> Result<DatabaseState, LedgerError> {
        let connection = self.take().await?;
        connection.within_deadline(health::state(connection.client())).await
    }

    async fn take(&self) -> Result<PgConnection, LedgerError> {
        let client = self.pool.get().await.map_err(error::no_connection);
        let open = self.pool.status().size as i64;
        self.metrics.open.inc_by(open - self.counted.replace(open));
        let client = client?;
        Ok(PgConnection::new(client, self.call_deadline, self.metrics.clone()))
    }
}

impl Ledger for PgLedger {
    fn connect(&self) -> LocalFuture<'_, Result<Box<dyn LedgerConnection>, LedgerError>> {
        Box::pin(async { Ok(Box::new(self.take().await?) as Box<dyn LedgerConnection>) })
    }
}

/// A connection taken from the pool. Dropping it gives it back, unless a call on it passed its
/// deadline: then a query may still run on it, and it is closed.
struct PgConnection {
    /// `Some` until dropped.
    client: Option<Object>,
    overdue: Cell<bool>,
    call_deadline: Duration,
    metrics: PoolMetrics,
}

impl PgConnection {
    fn new(client: Object, call_deadline: Duration, metrics: PoolMetrics) -> Self {
        metrics.in_use.inc();
        Self { client: Some(client), overdue: Cell::new(false), call_deadline, metrics }
    }

    fn client(&self) -> &Object {
        self.client.as_ref().expect("it is taken only when dropped")
    }

    /// Waits for a call, at most the call's deadline; past it the connection is marked as overdue.
    async fn within_deadline<T>(
        &self,
        call: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        match tokio::time::timeout(self.call_deadline, call).await {
            Ok(result) => result,
            Err(_elapsed) => {
                self.overdue.set(true);
                Err(error::overdue(self.call_deadline))
            }
        }
    }
}

impl LedgerConnection for PgConnection {
    fn apply<'a>(&'a self, runs: &'a [Run]) -> LocalFuture<'a, Result<CallOutcomes, LedgerError>> {
        Box::pin(self.within_deadline(calls::apply(self.client(), runs)))
    }

    fn statement(&self, client: ClientId) -> LocalFuture<'_, Result<Option<BankStatement>, LedgerError>> {
        Box::pin(self.within_deadline(calls::statement(self.client(), client)))
    }
}

impl Drop for PgConnection {
    fn drop(&mut self) {
        self.metrics.in_use.dec();
        if let Some(client) = self.client.take()
            && self.overdue.get()
        {
            drop(Object::take(client));
        }
    }
}
