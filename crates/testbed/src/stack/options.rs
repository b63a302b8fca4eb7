//! What can be chosen about a stack.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::ClusterOptions;
use crate::nginx::Balancing;
use crate::rundir;
use crate::split::{Service, Split};
use settings::{Mode, Profile};

/// How NGINX reaches the instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Transport {
    /// TCP on loopback.
    Tcp,
    /// Unix sockets in the run directory.
    #[default]
    Unix,
}

/// The CPUs that each service may use, as `taskset` takes them; `None` for all.
#[derive(Clone, Debug, Default)]
pub struct Pinning {
    /// Of both instances.
    pub api: Option<String>,
    /// Of NGINX.
    pub nginx: Option<String>,
    /// Of PostgreSQL.
    pub postgres: Option<String>,
}

impl Pinning {
    pub(super) fn of(&self, service: Service) -> Option<String> {
        match service {
            Service::Api1 | Service::Api2 => self.api.clone(),
            Service::Nginx => self.nginx.clone(),
            Service::Database => self.postgres.clone(),
        }
    }
}

/// What to start. The default is the shipped topology without limits.
#[derive(Clone, Debug)]
pub struct StackOptions {
    /// The service's mode.
    pub mode: Mode,
    /// The profile of the database and of the service.
    pub profile: Profile,
    /// NGINX's file.
    pub balancing: Balancing,
    /// CPU per service, enforced with `envelope`.
    pub split: Split,
    /// Whether to enforce the contest's limits.
    pub envelope: bool,
    /// What every fsync and fdatasync of the running database takes longer.
    pub fsync_delay: Duration,
    /// NGINX's port on 127.0.0.1; 0 for a free one.
    pub port: u16,
    /// How NGINX reaches the instances.
    pub transport: Transport,
    /// Which CPUs the services may use.
    pub pin: Pinning,
    /// Settings of the service in addition.
    pub api_env: Vec<(String, String)>,
    /// Whether the instances serve their metrics, see [`metrics`](super::Stack::metrics).
    pub metrics: bool,
    /// Further options of the cluster; its profile, cgroups and CPUs come from above.
    pub pg: ClusterOptions,
    /// The service's program, see [`find_guiche`](crate::instance::find_guiche).
    pub guiche: Option<PathBuf>,
    /// The run directory, which must not exist yet.
    pub dir: PathBuf,
    /// Whether the run directory stays at the end.
    pub keep: bool,
}

impl Default for StackOptions {
    fn default() -> Self {
        StackOptions {
            mode: Mode::default(),
            profile: Profile::default(),
            balancing: Balancing::default(),
            split: Split::default(),
            envelope: false,
            fsync_delay: Duration::ZERO,
            port: 9999,
            transport: Transport::default(),
            pin: Pinning::default(),
            api_env: Vec::new(),
            metrics: false,
            pg: ClusterOptions::default(),
            guiche: None,
            dir: rundir::fresh_path(),
            keep: false,
        }
    }
}

/// Whether the contest's limits hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limits {
    /// They do.
    Enforced,
    /// They were not asked for.
    NotAsked,
    /// They were asked for, but this machine does not permit it, for this reason.
    NotPermitted(String),
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limits::Enforced => f.write_str("CPU and memory limits are enforced"),
            Limits::NotAsked => f.write_str("no limits (--envelope enforces the contest's)"),
            Limits::NotPermitted(why) => write!(f, "limits are NOT enforced, for want of cgroups: {why}"),
        }
    }
}
