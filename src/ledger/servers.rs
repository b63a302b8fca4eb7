//! The servers of a bank on several, where the one in front of them says where they are: each has calls of its own.
//!
//! *PL/Proxy*: a client is on the one that its id modulo their number says. A server says itself which of how many it
//! is, and each new connection asks it. So what goes by a map that holds no longer is refused before it is sent: no
//! client is booked, nor found missing, where it is not. An instance keeps the map that it heard first; once it hears
//! another one it is not ready any more, until it is started again.
//!
//! *Citus*: the hash of a client's id says in which shard it is, and each worker takes any call, at a price. So a map
//! that holds no longer is only slow, and an instance goes by the one that it heard last.

mod map;

use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, HookError};
use tokio_postgres::{Config, Row};

use super::asked_tls::AskedTls;
use super::calls::{column, prepare, query};
use super::{LedgerOptions, PgLedger, tls};
use crate::domain::ClientId;
use crate::mailbox::LedgerError;
use map::Map;

const SERVERS: &str = "SELECT * FROM public.Servidores()";
const COLUMNS: [&str; 4] = ["servidor", "de", "endereco", "desde"];

/// How often it is asked whether clients have moved.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Which of how many servers one is, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    number: i32,
    of: i32,
}

/// What is said of a server; where it is, and which clients it has, says the one in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    part: Part,
    address: Option<String>,
    /// The least hash of each of its shards.
    shards: Option<Vec<i32>>,
}

/// The servers as all pools of an instance know them, once the database has answered; none where they are not to be
/// called, or nothing is said of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Servers(Arc<OnceLock<Option<RwLock<Map>>>>);

impl Servers {
    fn map(&self) -> Option<RwLockReadGuard<'_, Map>> {
        Some(self.0.get()?.as_ref()?.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns whether there are any.
    pub(super) fn exist(&self) -> bool {
        matches!(self.0.get(), Some(Some(_)))
    }

    /// Returns how one is reached.
    pub(super) fn get(&self, server: usize) -> Option<LedgerOptions> {
        self.map()?.options(server)
    }

    /// Returns those that have clients.
    pub(super) fn in_use(&self) -> Vec<usize> {
        self.map().map_or_else(Vec::new, |map| map.in_use())
    }

    /// Returns which of them has the client.
    pub(super) fn of(&self, client: ClientId) -> usize {
        self.map().map_or(0, |map| map.of(client))
    }

    /// Returns whether clients may move from one to another while they are called.
    pub(super) fn may_change(&self) -> bool {
        self.map().is_some_and(|map| map.is_of_shards())
    }

    /// Keeps what is said of them: first where clients are placed by their ids, else last. Returns whether they are
    /// where they were, or may be elsewhere.
    ///
    /// # Errors
    /// When they are none that an engine can have, or the address of one cannot be used.
    pub(super) fn note(&self, front: &LedgerOptions, said: Vec<Said>) -> Result<bool, LedgerError> {
        if self.0.get().is_none() {
            let map = (!said.is_empty()).then(|| Map::default().with(front, said.clone())).transpose()?;
            // Another thread may have been faster, with what it was told.
            let _ = self.0.set(map.map(RwLock::new));
        }
        let Some(map) = self.0.get().and_then(Option::as_ref) else { return Ok(said.is_empty()) };
        let mut map = map.write().unwrap_or_else(PoisonError::into_inner);
        if map.says(&said) {
            return Ok(true);
        }
        let may_change = map.is_of_shards() && said.iter().any(|server| server.shards.is_some());
        if may_change {
            *map = map.with(front, said)?;
        }
        Ok(may_change)
    }
}

impl PgLedger {
    /// Asks where the clients are, for as long as the current runtime runs, if they may move.
    pub async fn follow_clients(self) {
        loop {
            tokio::time::sleep(LOOK_AGAIN.mul_f64(0.5 + fastrand::f64())).await;
            if self.options.servers.may_change()
                && let Err(error) = self.ask_where_clients_are().await
            {
                tracing::debug!(%error, "where the clients are was not heard");
            }
        }
    }

    async fn ask_where_clients_are(&self) -> Result<(), LedgerError> {
        let connection = self.take().await?;
        let said = connection.within_deadline(ask(connection.client())).await?;
        self.options.servers.note(&self.options, said).map(drop)
    }
}

/// Asks a server what it is, or the one in front of them for all.
pub(super) async fn ask(connection: &ClientWrapper) -> Result<Vec<Said>, LedgerError> {
    query(connection, SERVERS, &[]).await?.iter().map(Said::read).collect()
}

impl Said {
    fn read(row: &Row) -> Result<Self, LedgerError> {
        let part = Part { number: column(row, 0)?, of: column(row, 1)? };
        Ok(Self { part, address: column(row, 2)?, shards: column(row, 3)? })
    }
}

impl Part {
    /// Makes sure that a new session is on this server.
    ///
    /// # Errors
    /// When the server says otherwise, or nothing.
    pub(super) async fn check(self, connection: &ClientWrapper) -> Result<(), HookError> {
        prepare(connection, SERVERS, &COLUMNS).await?;
        let said = ask(connection).await.map_err(|error| HookError::message(error.to_string()))?;
        if matches!(said.as_slice(), [said] if said.part == self) {
            return Ok(());
        }
        let Self { number, of } = self;
        let parts: Vec<String> =
            said.iter().map(|said| format!("{}/{}", said.part.number, said.part.of)).collect();
        Err(HookError::message(format!(
            "the database that should be {number}/{of} says that it is {:?}: is guiche.parte set there as \
             sql/plproxy/20-functions.sql has it? SHARDS=front needs none",
            parts.join(" ")
        )))
    }
}

impl LedgerOptions {
    /// Returns how a server is reached: at its own address, else as this one is.
    fn of_server(&self, server: &Said) -> Result<Self, LedgerError> {
        let address = server.address.as_deref().unwrap_or_default();
        let (_, address) = AskedTls::take_from(address);
        let wrong = |why: &dyn std::fmt::Display| {
            unusable(format!("the address of server {} cannot be used: {why}", server.part.number))
        };
        let mut database: Config = address.parse().map_err(|error: tokio_postgres::Error| wrong(&error))?;
        if database.get_hosts().is_empty() && database.get_hostaddrs().is_empty() {
            return Err(wrong(&"it names no host"));
        }
        let front = &self.database;
        front.get_user().map(|user| database.user(user));
        front.get_password().map(|password| database.password(password));
        front.get_application_name().map(|name| database.application_name(name));
        front.get_options().map(|options| database.options(options));
        front.get_connect_timeout().map(|timeout| database.connect_timeout(*timeout));
        front.get_tcp_user_timeout().map(|timeout| database.tcp_user_timeout(*timeout));
        database.keepalives(front.get_keepalives()).keepalives_idle(front.get_keepalives_idle());
        database.channel_binding(front.get_channel_binding()).ssl_negotiation(front.get_ssl_negotiation());
        let tls = tls::set_up(self.asked_tls.clone(), &mut database).map_err(|error| wrong(&error))?;
        Ok(Self {
            database,
            tls,
            part: server.shards.is_none().then_some(server.part),
            away: Default::default(),
            sharded: Default::default(),
            servers: Servers::default(),
            ..self.clone()
        })
    }
}

fn unusable(what: String) -> LedgerError {
    LedgerError::NotSent(format!("{what}; set SHARDS=front where the servers are not to be called directly"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MILLIS: Duration = Duration::from_millis(1);

    /// Workers of Citus, each with its address and the least hashes of its shards.
    fn workers(all: &[(&str, &[i32])]) -> Vec<Said> {
        let of = all.len() as i32;
        let worker = |(number, (address, shards)): (i32, &(&str, &[i32]))| Said {
            part: Part { number, of },
            address: Some((*address).to_owned()),
            shards: Some(shards.to_vec()),
        };
        (0..).zip(all).map(worker).collect()
    }

    fn said(addresses: &[&str]) -> Vec<Said> {
        let of = addresses.len() as i32;
        let server = |(number, address)| Said {
            part: Part { number, of },
            address: Some(ToOwned::to_owned(address)),
            shards: None,
        };
        (0..).zip(addresses.iter().copied()).map(server).collect()
    }

    fn front(url: &str) -> LedgerOptions {
        LedgerOptions::new(url, 2, MILLIS, MILLIS, true, true).expect("an address")
    }

    #[test]
    fn a_server_is_reached_at_its_address_as_the_one_in_front_of_it_is() {
        let front = front("postgresql://guiche:secret@front/x?sslmode=require");
        let addresses =
            ["host=a port=1 dbname=d user=other sslmode=disable options='-c x=y'", "host=/b dbname=d"];
        assert!(front.servers.note(&front, said(&addresses)).expect("two servers"));
        let [a, b] = [0, 1].map(|server| front.servers.get(server).expect("two servers"));
        assert_eq!((a.database.get_user(), a.database.get_dbname()), (Some("guiche"), Some("d")));
        assert_eq!(a.database.get_password(), Some(&b"secret"[..]));
        assert_eq!(
            (a.database.get_ports(), a.database.get_options()),
            (&[1][..], front.database.get_options())
        );
        assert_eq!((a.tls.is_some(), b.tls.is_some()), (true, false), "none over a unix socket");
    }

    #[test]
    fn what_is_said_first_is_kept_and_another_map_is_told() {
        let front = front("host=front");
        let two = said(&["host=a", "host=b"]);
        assert!(front.servers.note(&front, two.clone()).expect("two"));
        assert!(front.servers.note(&front, two).expect("the same"));
        for other in [said(&["host=b", "host=a"]), said(&[])] {
            assert!(!front.servers.note(&front, other).expect("no error"));
        }
        assert_eq!(front.servers.in_use(), [0, 1]);
    }

    #[test]
    fn clients_are_followed_to_the_worker_that_has_their_shard() {
        let front = front("host=front");
        let client = |id: i32| id.to_string().parse().expect("digits");
        let note = |said| front.servers.note(&front, said).expect("workers");
        assert!(note(workers(&[("host=a", &[i32::MIN, 0]), ("host=b", &[-1_500_000_000])])));
        assert_eq!([1, 5].map(|id| front.servers.of(client(id))), [0, 1]);
        // One more has the shard of client 1, and then the first has none.
        assert!(note(workers(&[("host=c", &[i32::MIN]), ("host=a", &[0]), ("host=b", &[-1_500_000_000])])));
        assert_eq!([1, 5].map(|id| front.servers.of(client(id))), [2, 1]);
        assert!(note(workers(&[("host=b", &[0]), ("host=c", &[i32::MIN])])));
        assert_eq!((front.servers.of(client(5)), front.servers.in_use()), (2, vec![1, 2]));
        assert!(!note(said(&["host=a"])), "clients that are placed by their ids are placed otherwise");
        assert!(!note(said(&[])));
        assert_eq!(front.servers.of(client(5)), 2);
    }

    #[test]
    fn what_no_call_can_go_to_is_said() {
        for (servers, says) in [
            (said(&["host=a", "host=b", "host=c"]), "a power of two"),
            (said(&["host=a", "host=b"])[..1].to_vec(), "from 0 on"),
            (said(&["host=a", "dbname=d"]), "server 1 cannot be used: it names no host"),
            (said(&["nonsense"]), "server 0 cannot be used"),
            (workers(&[("host=a", &[0])]), "clients without a server"),
        ] {
            let front = front("host=front");
            let error = front.servers.note(&front, servers).expect_err(says).to_string();
            assert!(error.contains(says) && error.contains("SHARDS=front"), "{error}");
        }
    }
}
