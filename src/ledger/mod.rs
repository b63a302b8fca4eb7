//! The [`Ledger`] on PostgreSQL: a pool of connections per arbiter, and the stored functions.
//!
//! The rules of the bank live in `sql/`; here they are only called. Connections belong to the
//! arbiter that opened them, since deadpool runs each on the runtime that made it, and replies
//! wait where that thread is busy elsewhere.

mod asked_tls;
mod away;
mod calls;
mod connection;
mod error;
mod health;
mod keys;
mod pinned;
mod servers;
mod tls;
mod writing;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, QueueMode, RecyclingMethod, Runtime};
use rustls::ClientConfig;
use tokio_postgres::NoTls;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::domain::ClientId;
use crate::mailbox::{Ledger, LedgerConnection, LedgerError, LocalFuture};
use crate::observing::metrics::PoolMetrics;

use asked_tls::AskedTls;
use away::Away;
use connection::{Deadlines, Opened, PgConnection};
use health::Sharded;
pub use health::{DatabaseState, Durability};
use pinned::Pinned;
use servers::{Part, Servers};
pub use tls::BadTls;
use writing::Writing;

/// How PostgreSQL is reached and how long may be waited for it.
#[derive(Clone, Debug)]
pub struct LedgerOptions {
    database: tokio_postgres::Config,
    asked_tls: AskedTls,
    tls: Option<ClientConfig>,
    pool_size: usize,
    deadlines: Deadlines,
    away: Away,
    sharded: Sharded,
    /// Whether each server is called by itself, where the database is on several.
    direct: bool,
    servers: Servers,
    /// Which of them this is.
    part: Option<Part>,
    pinned: Pinned,
    writing: Writing,
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
    /// It asks for a TLS that cannot be had.
    #[error("DATABASE_URL: {0}")]
    Tls(#[from] BadTls),
}

/// How long a shared call waits for a row. Much longer than a commit takes, and no more than anybody minds.
const BRIEF_WAIT: Duration = Duration::from_millis(150);

/// A connection is waited for, opened, and set up, at most this long each.
const CONNECTION_WAIT: Duration = Duration::from_secs(3);

/// What is told of a server that lets somebody in and says nothing more.
const SILENT: &str = "it does not answer while the session is set up";

impl LedgerOptions {
    /// Reads `url`, and adds `statement_timeout`, `lock_timeout` and what is pinned to the options that each
    /// connection starts with. `lock_timeout` is less than half as long, or, where `rows_are_waited_for_apart`,
    /// much shorter; a `durable` session's commits are waited for.
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
        let (asked_tls, url) = AskedTls::take_from(url);
        let mut database: tokio_postgres::Config = url.parse()?;
        if database.get_hosts().is_empty() && database.get_hostaddrs().is_empty() {
            return Err(BadDatabaseUrl::NoHost);
        }
        let tls = tls::set_up(asked_tls.clone(), &mut database)?;
        let millis = statement_timeout.as_millis();
        // A wait for a row ends first, and says for certain that nothing was applied.
        // Half of it is for the other instance's call, which may be before this one in the row's queue: where
        // that gives up in vain, the wait for the row begins anew.
        let long_wait = statement_timeout * 9 / 20;
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
            asked_tls,
            tls,
            pool_size,
            deadlines: Deadlines { call: call_deadline, brief_wait, long_wait },
            away: Away::default(),
            sharded: Sharded::default(),
            direct: false,
            servers: Servers::default(),
            part: None,
            pinned,
            writing: Writing::Plain,
        })
    }

    /// Has each call tell whom it waited for.
    pub fn traced(self) -> Self {
        Self { writing: Writing::Traced, ..self }
    }

    /// Has each server of a database on several called by itself, if the database says where they are.
    pub fn direct(self) -> Self {
        Self { direct: true, ..self }
    }
}

/// The ledger of one arbiter. Clones share its connections.
#[derive(Clone)]
pub struct PgLedger {
    pool: Pool,
    options: Rc<LedgerOptions>,
    opened: Rc<Opened>,
    /// Of each server by itself, from when it is called.
    servers: Rc<RefCell<Vec<PgLedger>>>,
}

impl PgLedger {
    /// Makes a pool that opens its connections on the current runtime, when they are needed.
    pub fn new(options: &LedgerOptions, metrics: PoolMetrics) -> Self {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let database = options.database.clone();
        let manager = match &options.tls {
            None => Manager::from_config(database, NoTls, recycling),
            Some(tls) => Manager::from_config(database, MakeRustlsConnect::new(tls.clone()), recycling),
        };
        let (pinned, part, writing) = (options.pinned.clone(), options.part, options.writing);
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
                let set_up = async move {
                    pinned.check(connection).await?;
                    if let Some(part) = part {
                        part.check(connection).await?;
                    }
                    if sharded {
                        Pinned::adapt(connection, long_wait).await?;
                    }
                    writing.prepare(connection).await?;
                    calls::prepare_all(connection).await
                };
                Box::pin(async move {
                    let set_up = tokio::time::timeout(CONNECTION_WAIT, set_up).await;
                    set_up.unwrap_or_else(|_elapsed| Err(HookError::message(SILENT)))
                })
            }))
            .build()
            .expect("a runtime is given, which is all that timeouts need");
        Self {
            options: Rc::new(options.clone()),
            opened: Rc::new(Opened::new(pool.clone(), metrics)),
            servers: Rc::default(),
            pool,
        }
    }

    /// Returns the ledger of one of its servers, if it has any.
    fn of_server(&self, server: usize) -> Option<Self> {
        if !self.options.servers.exist() {
            return None;
        }
        let mut servers = self.servers.borrow_mut();
        while servers.len() <= server {
            let options = self.options.servers.get(servers.len())?;
            servers.push(Self::new(&options, self.opened.metrics.clone()));
        }
        servers.get(server).cloned()
    }

    /// Asks the database what it is and whether it still has its data, and makes sure that its servers can be called.
    ///
    /// # Errors
    /// [`LedgerError::NotSent`] when it does not answer, or one of them cannot be called.
    pub async fn state(&self) -> Result<DatabaseState, LedgerError> {
        let connection = self.take().await?;
        let client = connection.client();
        let mut state = connection.within_deadline(health::state(client)).await?;
        let said = match state.sharded && self.options.direct {
            true => connection.within_deadline(servers::ask(client)).await?,
            false => Vec::new(),
        };
        drop(connection);
        state.moved = !self.options.servers.note(&self.options, said)?;
        let in_use = self.options.servers.in_use();
        for server in in_use.iter().filter_map(|server| self.of_server(*server)) {
            server.take().await?;
        }
        self.options.sharded.note(&state, in_use.len());
        Ok(state)
    }

    /// Waits until a database that could not be reached can be again.
    pub async fn until_back(&self) {
        self.options.away.until_back().await;
    }

    /// Closes all connections, for good.
    pub fn close(&self) {
        self.pool.close();
        self.opened.count();
        self.servers.borrow().iter().for_each(Self::close);
    }

    async fn take(&self) -> Result<PgConnection, LedgerError> {
        let LedgerOptions { away, sharded, writing, .. } = &*self.options;
        let mut deadlines = self.options.deadlines;
        if away.is_away() && self.pool.status().available == 0 {
            return Err(LedgerError::NotSent("the database is away".to_owned()));
        }
        let client = self.pool.get().await;
        if let Err(error) = &client {
            away.note(error, &self.pool);
        }
        let client = client.map_err(error::no_connection);
        self.opened.count();
        if sharded.get() {
            deadlines.brief_wait = deadlines.long_wait;
        }
        Ok(PgConnection::new(client?, deadlines, *writing, Rc::clone(&self.opened)))
    }
}

impl Ledger for PgLedger {
    fn connect(&self, server: usize) -> LocalFuture<'_, Result<Box<dyn LedgerConnection>, LedgerError>> {
        let ledger = self.of_server(server);
        Box::pin(async move {
            let connection = ledger.as_ref().unwrap_or(self).take().await?;
            Ok(Box::new(connection) as Box<dyn LedgerConnection>)
        })
    }

    fn server_of(&self, client: ClientId) -> usize {
        self.options.servers.of(client)
    }

    fn calls_of_one_client(&self) -> Option<usize> {
        let of_one = self.options.sharded.get() && !self.options.servers.exist();
        of_one.then(|| self.pool.status().max_size)
    }
}
