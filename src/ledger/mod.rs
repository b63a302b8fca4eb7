//! The [`Ledger`] on PostgreSQL: a pool of connections per arbiter, and the stored functions.
//!
//! The rules of the bank live in `sql/`; here they are only called. Connections belong to the
//! arbiter that opened them, since deadpool runs each on the runtime that made it, and replies
//! wait where that thread is busy elsewhere.

mod away;
mod calls;
mod error;
mod health;
mod keys;
mod pinned;
mod writing;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use deadpool_postgres::{Hook, Manager, ManagerConfig, Object, Pool, QueueMode, RecyclingMethod, Runtime};
use tokio_postgres::NoTls;

use crate::domain::{BankStatement, ClientId};
use crate::mailbox::{CallOutcomes, Ledger, LedgerConnection, LedgerError, LocalFuture, RowWait, Run};
use crate::observing::metrics::PoolMetrics;

use away::Away;
use health::Sharded;
pub use health::{DatabaseState, Durability};
use pinned::Pinned;
use writing::Writing;

/// How PostgreSQL is reached and how long may be waited for it.
#[derive(Clone, Debug)]
pub struct LedgerOptions {
    database: tokio_postgres::Config,
    pool_size: usize,
    deadlines: Deadlines,
    away: Away,
    sharded: Sharded,
    pinned: Pinned,
    writing: Writing,
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
struct Deadlines {
    call: Duration,
    /// `lock_timeout` as connections have it.
    brief_wait: Duration,
    /// `lock_timeout` for a call that is to wait for its row.
    long_wait: Duration,
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

/// How long a shared call waits for a row. Much longer than a commit takes, and no more than anybody minds.
const BRIEF_WAIT: Duration = Duration::from_millis(150);

/// A connection is opened, or one is waited for, at most this long: with the call's own deadline
/// it stays under the answer's.
const CONNECTION_WAIT: Duration = Duration::from_secs(3);

impl LedgerOptions {
    /// Reads `url`, and adds `statement_timeout`, `lock_timeout` and what is pinned to the options that each
    /// connection starts with. `lock_timeout` is a little shorter, or, where `rows_are_waited_for_apart`, much;
    /// a `durable` session's commits are waited for.
    ///
    /// # Errors
    /// [`BadDatabaseUrl`].
    pub fn new(
        url: &str,
        pool_size: usize,
        statement_timeout: Duration,
        call_deadline: Duration,
        rows_are_waited_for_apart: bool,
        durable: bool,
    ) -> Result<Self, BadDatabaseUrl> {
        let mut database: tokio_postgres::Config = url.parse()?;
        if database.get_hosts().is_empty() && database.get_hostaddrs().is_empty() {
            return Err(BadDatabaseUrl::NoHost);
        }
        let millis = statement_timeout.as_millis();
        // A wait for a row ends first, and says for certain that nothing was applied.
        let long_wait = statement_timeout * 9 / 10;
        let brief_wait = if rows_are_waited_for_apart { BRIEF_WAIT.min(long_wait) } else { long_wait };
        let pinned = Pinned::new(durable);
        let own = pinned.options()
            + &format!("-c statement_timeout={millis} -c lock_timeout={}", brief_wait.as_millis());
        let options = database.get_options().map_or_else(|| own.clone(), |given| format!("{given} {own}"));
        database.options(options);
        if database.get_connect_timeout().is_none() {
            database.connect_timeout(Duration::from_secs(2));
        }
        Ok(Self {
            database,
            pool_size,
            deadlines: Deadlines { call: call_deadline, brief_wait, long_wait },
            away: Away::default(),
            sharded: Sharded::default(),
            pinned,
            writing: Writing::Plain,
        })
    }

    /// Has each call tell whom it waited for.
    pub fn traced(self) -> Self {
        Self { writing: Writing::Traced, ..self }
    }
}

/// The ledger of one arbiter. Clones share its connections.
#[derive(Clone)]
pub struct PgLedger {
    pool: Pool,
    deadlines: Deadlines,
    away: Away,
    sharded: Sharded,
    writing: Writing,
    opened: Rc<Opened>,
}

/// Counts the connections of a pool into the metrics, which all pools of the instance share.
struct Opened {
    pool: Pool,
    metrics: PoolMetrics,
    /// Connections as last counted.
    counted: Cell<i64>,
}

impl Opened {
    fn count(&self) {
        let open = self.pool.status().size as i64;
        self.metrics.open.inc_by(open - self.counted.replace(open));
    }
}

impl PgLedger {
    /// Makes a pool that opens its connections on the current runtime, when they are needed.
    pub fn new(options: &LedgerOptions, metrics: PoolMetrics) -> Self {
        let recycling_method = RecyclingMethod::Fast;
        let manager =
            Manager::from_config(options.database.clone(), NoTls, ManagerConfig { recycling_method });
        let (pinned, writing) = (options.pinned.clone(), options.writing);
        let (sharded, long_wait) = (options.sharded.clone(), options.deadlines.long_wait);
        let pool = Pool::builder(manager)
            .max_size(options.pool_size)
            // The connection used last has the warmest caches, here and in its server process.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECTION_WAIT))
            .create_timeout(Some(CONNECTION_WAIT))
            .post_create(Hook::async_fn(move |connection, _| {
                let (pinned, sharded) = (pinned.clone(), sharded.get());
                Box::pin(async move {
                    pinned.check(connection).await?;
                    if sharded {
                        Pinned::adapt(connection, long_wait).await?;
                    }
                    writing.prepare(connection).await?;
                    calls::prepare_all(connection).await
                })
            }))
            .build()
            .expect("a runtime is given, which is all that timeouts need");
        Self {
            deadlines: options.deadlines,
            away: options.away.clone(),
            sharded: options.sharded.clone(),
            writing,
            opened: Rc::new(Opened { pool: pool.clone(), metrics, counted: Cell::new(0) }),
            pool,
        }
    }

    /// Asks the database what it is and whether it still has its data.
    ///
    /// # Errors
    /// [`LedgerError::NotSent`] when it does not answer.
    pub async fn state(&self) -> Result<DatabaseState, LedgerError> {
        let connection = self.take().await?;
        let state = connection.within_deadline(health::state(connection.client())).await?;
        self.sharded.note(&state);
        Ok(state)
    }

    /// Waits until a database that could not be reached can be again.
    pub async fn until_back(&self) {
        self.away.until_back().await;
    }

    /// Closes all connections, for good.
    pub fn close(&self) {
        self.pool.close();
        self.opened.count();
    }

    async fn take(&self) -> Result<PgConnection, LedgerError> {
        if self.away.is_away() && self.pool.status().available == 0 {
            return Err(LedgerError::NotSent("the database is away".to_owned()));
        }
        let client = self.pool.get().await;
        if let Err(error) = &client {
            self.away.note(error, &self.pool);
        }
        let client = client.map_err(error::no_connection);
        self.opened.count();
        let mut deadlines = self.deadlines;
        if self.sharded.get() {
            deadlines.brief_wait = deadlines.long_wait;
        }
        Ok(PgConnection::new(client?, deadlines, self.writing, Rc::clone(&self.opened)))
    }
}

impl Ledger for PgLedger {
    fn connect(&self) -> LocalFuture<'_, Result<Box<dyn LedgerConnection>, LedgerError>> {
        Box::pin(async { Ok(Box::new(self.take().await?) as Box<dyn LedgerConnection>) })
    }

    fn calls_of_one_client(&self) -> Option<usize> {
        self.sharded.get().then(|| self.pool.status().max_size)
    }
}

/// A connection taken from the pool. Dropping it gives it back, unless a call's outcome was lost on it: then
/// a query may still run, or nobody is at its other end, and it is closed.
struct PgConnection {
    /// `Some` until dropped.
    client: Option<Object>,
    spoilt: Cell<bool>,
    /// Whether its `lock_timeout` is the long one, with which it may not be given back.
    patient: Cell<bool>,
    deadlines: Deadlines,
    writing: Writing,
    opened: Rc<Opened>,
}

impl PgConnection {
    fn new(client: Object, deadlines: Deadlines, writing: Writing, opened: Rc<Opened>) -> Self {
        opened.metrics.in_use.inc();
        let (spoilt, patient) = (Cell::new(false), Cell::new(false));
        Self { client: Some(client), spoilt, patient, deadlines, writing, opened }
    }

    fn client(&self) -> &Object {
        self.client.as_ref().expect("it is taken only when dropped")
    }

    /// Waits for a call, at most the call's deadline; past it the connection is spoilt.
    async fn within_deadline<T>(
        &self,
        call: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        match tokio::time::timeout(self.deadlines.call, call).await {
            Ok(result) => {
                if matches!(result, Err(LedgerError::OutcomeUnknown(_))) {
                    // What broke it off may not have reached the connection itself yet.
                    self.spoilt.set(true);
                }
                result
            }
            Err(_elapsed) => {
                self.spoilt.set(true);
                Err(error::overdue(self.deadlines.call))
            }
        }
    }

    /// Applies the runs with the long `lock_timeout`, and puts the brief one back.
    async fn apply_patiently(&self, runs: &[Run]) -> Result<CallOutcomes, LedgerError> {
        let set = |wait: Duration| {
            let sql = format!("SET lock_timeout = {}", wait.as_millis());
            async move { self.client().batch_execute(&sql).await }
        };
        self.patient.set(true);
        let (_, applied) =
            tokio::join!(set(self.deadlines.long_wait), self.writing.apply(self.client(), runs));
        self.patient.set(set(self.deadlines.brief_wait).await.is_err());
        applied
    }
}

impl LedgerConnection for PgConnection {
    fn apply<'a>(
        &'a self,
        runs: &'a [Run],
        row_wait: RowWait,
    ) -> LocalFuture<'a, Result<CallOutcomes, LedgerError>> {
        let Deadlines { brief_wait, long_wait, .. } = self.deadlines;
        match row_wait {
            RowWait::Long if brief_wait < long_wait => {
                Box::pin(self.within_deadline(self.apply_patiently(runs)))
            }
            _ => Box::pin(self.within_deadline(self.writing.apply(self.client(), runs))),
        }
    }

    fn held<'a>(&'a self, clients: &'a [ClientId]) -> LocalFuture<'a, Result<Vec<ClientId>, LedgerError>> {
        Box::pin(self.within_deadline(calls::held(self.client(), clients)))
    }

    fn statements<'a>(
        &'a self,
        clients: &'a [ClientId],
    ) -> LocalFuture<'a, Result<Vec<Option<BankStatement>>, LedgerError>> {
        Box::pin(self.within_deadline(calls::statements(self.client(), clients)))
    }
}

impl Drop for PgConnection {
    fn drop(&mut self) {
        self.opened.metrics.in_use.dec();
        if let Some(client) = self.client.take()
            && (self.spoilt.get() || self.patient.get())
        {
            drop(Object::take(client));
            self.opened.count();
        }
    }
}
