//! The servers of a bank on several, where the one in front of them says where they are: each has calls of its own.
//!
//! A client is on the one that its id modulo their number says, as PL/Proxy has it. A server says itself which of how
//! many it is, and each new connection asks it. So what goes by a map that holds no longer is refused before it is
//! sent: no client is booked, nor found missing, where it is not. An instance keeps the map that it heard first; once
//! it hears another one it is not ready any more, until it is started again.

use std::sync::{Arc, OnceLock};

use deadpool_postgres::{ClientWrapper, HookError};
use tokio_postgres::{Config, Row};

use super::LedgerOptions;
use super::asked_tls::AskedTls;
use super::calls::{column, prepare, query};
use super::tls;
use crate::domain::ClientId;
use crate::mailbox::LedgerError;

const SERVERS: &str = "SELECT * FROM public.Servidores()";
const COLUMNS: [&str; 3] = ["servidor", "de", "endereco"];

/// Which of how many servers one is, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    number: i32,
    of: i32,
}

/// What is said of a server; where it is says the one in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    part: Part,
    address: Option<String>,
}

/// The servers as all pools of an instance know them, once the database has answered; none where they are not to be
/// called, or nothing is said of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Servers(Arc<OnceLock<(Vec<Said>, Vec<LedgerOptions>)>>);

impl Servers {
    /// Returns how each is reached.
    pub(super) fn all(&self) -> &[LedgerOptions] {
        self.0.get().map_or(&[], |(_, options)| options)
    }

    /// Keeps what is said of them first. Returns whether it still holds.
    ///
    /// # Errors
    /// When they are none that PL/Proxy can have, or the address of one cannot be used.
    pub(super) fn note(&self, front: &LedgerOptions, said: Vec<Said>) -> Result<bool, LedgerError> {
        if self.0.get().is_none() {
            let count = said.len() as i32;
            let parts = said.iter().map(|server| server.part);
            if !parts.eq((0..count).map(|number| Part { number, of: count })) || said.len().count_ones() > 1 {
                return Err(unusable(
                    "Servidores gives other servers than a power of two, from 0 on".to_owned(),
                ));
            }
            let options: Result<_, LedgerError> = said.iter().map(|server| front.of_server(server)).collect();
            // Another thread may have been faster, with what it was told.
            let _ = self.0.set((said.clone(), options?));
        }
        Ok(self.0.get().is_some_and(|(first, _)| *first == said))
    }
}

/// Returns which of so many servers has the client.
pub(super) fn server_of(client: ClientId, servers: usize) -> usize {
    client.get().rem_euclid(servers.max(1) as i32) as usize
}

/// Asks a server what it is, or the one in front of them for all.
pub(super) async fn ask(connection: &ClientWrapper) -> Result<Vec<Said>, LedgerError> {
    query(connection, SERVERS, &[]).await?.iter().map(Said::read).collect()
}

impl Said {
    fn read(row: &Row) -> Result<Self, LedgerError> {
        let part = Part { number: column(row, 0)?, of: column(row, 1)? };
        Ok(Self { part, address: column(row, 2)? })
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
            part: Some(server.part),
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

    fn said(addresses: &[&str]) -> Vec<Said> {
        let of = addresses.len() as i32;
        let server =
            |(number, address)| Said { part: Part { number, of }, address: Some(ToOwned::to_owned(address)) };
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
        let [a, b] = front.servers.all() else { panic!("two servers") };
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
        assert_eq!(front.servers.all().len(), 2);
    }

    #[test]
    fn what_no_call_can_go_to_is_said() {
        for (servers, says) in [
            (said(&["host=a", "host=b", "host=c"]), "a power of two"),
            (said(&["host=a", "host=b"])[..1].to_vec(), "a power of two"),
            (said(&["host=a", "dbname=d"]), "server 1 cannot be used: it names no host"),
            (said(&["nonsense"]), "server 0 cannot be used"),
        ] {
            let front = front("host=front");
            let error = front.servers.note(&front, servers).expect_err(says).to_string();
            assert!(error.contains(says) && error.contains("SHARDS=front"), "{error}");
        }
    }
}
