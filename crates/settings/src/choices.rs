//! Settings that are one of a few words, and where to listen.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

/// How much the database promises.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::Display,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Profile {
    /// Logged tables, fsync, synchronous commit: what was acknowledged survives a crash.
    #[default]
    Durable,
    /// UNLOGGED tables and no fsync: a crash of the server loses all data.
    Contest,
}

impl Profile {
    /// Returns the name that the setting `PROFILE` and the files of `sql/settings/` have for it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// How transactions reach the database.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::Display,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Mode {
    /// Each request takes a connection and calls the function for one transaction.
    Direct,
    /// Through the mailbox, one call per transaction.
    Serial,
    /// Through the mailbox, what has queued in one call.
    #[default]
    Batched,
}

impl Mode {
    /// Returns the name that the setting `MODE` has for it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// How the servers of a bank on several are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Shards {
    /// Each by itself, where the one in front of them says where they are.
    Direct,
    /// Through the one in front of them.
    Front,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// `on` or `off`.
#[derive(Clone, Copy, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub(super) enum Switch {
    On,
    Off,
}

/// Where HTTP is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err("a unix socket needs an absolute path, as in unix:/run/guiche.sock".into()),
            None => socket_address(text).map(Self::Tcp),
        }
    }
}

/// Looks an address up.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.to_socket_addrs()
        .map_err(|why| format!("expected host:port ({why})"))?
        .next()
        .ok_or_else(|| "the host has no address".to_owned())
}
