//! What can be chosen about a stack.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches};

use crate::bank::SHIPPED_CLIENTS;
use crate::cluster::ClusterOptions;
use crate::nginx::Balancing;
use crate::rundir;
use crate::split::{INSTANCES, Split};
use settings::{Mode, Profile};

/// Where the contest sends its requests.
const PORT: u16 = 9999;

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

/// What makes one bank of several database servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Engine {
    /// PL/Proxy: a database in front of plain ones.
    #[default]
    Plproxy,
    /// Citus: a coordinator and workers.
    Citus,
}

impl Engine {
    /// Returns what its servers need to be told.
    pub fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Engine::Plproxy => &[],
            // They trust each other, and shards move by logical replication. A query of all shards takes one
            // session of each node; each of the service's takes one, too. A call takes statements for each shard.
            Engine::Citus => &[
                ("shared_preload_libraries", "citus"),
                ("citus.node_conninfo", "sslmode=prefer"),
                ("wal_level", "logical"),
                ("max_logical_replication_workers", "8"),
                ("citus.max_adaptive_executor_pool_size", "1"),
                ("citus.shard_count", "8"),
                ("max_connections", "120"),
            ],
        }
    }
}

/// What to start, which a command line may say. The default is the shipped topology without limits.
#[derive(Clone, Debug, Args)]
pub struct StackOptions {
    /// How transactions reach the database.
    #[arg(long, value_enum, default_value_t)]
    pub mode: Mode,
    /// What a commit promises: durable survives a crash, contest does not.
    #[arg(long, value_enum, default_value_t)]
    pub profile: Profile,
    /// How NGINX shares requests out between the instances.
    #[arg(long, value_enum, default_value_t)]
    pub balancing: Balancing,
    /// Enforce the contest's CPU and memory limits with cgroups, where that is permitted.
    #[arg(long)]
    pub envelope: bool,
    /// CPUs for instance/instance/nginx/postgres, enforced with --envelope.
    #[arg(long = "cpus", default_value_t, value_name = "A/A/N/P")]
    pub split: Split,
    /// What every fsync and fdatasync of the running database takes longer.
    #[arg(skip)]
    pub fsync_delay: Duration,
    /// The port of NGINX on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = PORT)]
    pub port: u16,
    /// How NGINX reaches the instances.
    #[arg(long, value_enum, default_value_t)]
    pub transport: Transport,
    /// The CPUs that its services may use, as `taskset` takes them; `None` for all.
    #[arg(skip)]
    pub cpus: Option<String>,
    /// A setting of the service, such as BATCH_MAX=64; may be repeated.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub api_env: Vec<(String, String)>,
    /// Whether the instances serve their metrics, see [`metrics`](super::Stack::metrics).
    #[arg(skip)]
    pub metrics: bool,
    /// Has proxies in the links between the parts, see [`links`](super::Stack::links), whose delays are drawn
    /// from this.
    #[arg(skip)]
    pub links: Option<u64>,
    /// How many instances there are: more or fewer than two share the CPU and memory that two have.
    #[arg(skip = INSTANCES)]
    pub instances: usize,
    /// How many clients the bank has; those beyond the contest's five are made before an instance starts.
    #[arg(skip = SHIPPED_CLIENTS)]
    pub clients: u32,
    /// At least how many transactions are laid down before an instance starts, shared out over all clients.
    #[arg(skip)]
    pub history: u64,
    /// Have the clients on so many database servers, and another one in front of them.
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub shards: Option<u8>,
    /// What sends each call to its client's server.
    #[arg(long, value_enum, default_value_t, requires = "shards")]
    pub engine: Engine,
    /// What each of these servers may use, in cores, and a gigabyte: they are bounded apart from all else.
    #[arg(long, value_name = "CPUS", requires = "shards")]
    pub shard_cpus: Option<f64>,
    /// Further options of the cluster; its profile, cgroups and CPUs come from above.
    #[command(flatten)]
    pub pg: ClusterOptions,
    /// The service's program [default: the one beside this, else target/release/guiche].
    #[arg(long, value_name = "FILE")]
    pub guiche: Option<PathBuf>,
    /// The run directory, which must not exist yet.
    #[arg(skip = rundir::fresh_path())]
    pub dir: PathBuf,
    /// Leave the run directory with its logs and data behind.
    #[arg(long)]
    pub keep: bool,
}

impl StackOptions {
    /// Returns the settings of its database servers, beside the profile's.
    pub(super) fn server_settings(&self) -> Vec<(String, String)> {
        let engine = self.shards.map_or(&[][..], |_| self.engine.settings());
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        engine.iter().map(owned).chain(self.pg.settings.iter().cloned()).collect()
    }
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it has the form NAME=VALUE".to_owned()),
    }
}

/// What a command line leaves as it is.
impl Default for StackOptions {
    fn default() -> Self {
        let nothing = StackOptions::augment_args(Command::new("defaults")).get_matches_from(["defaults"]);
        StackOptions::from_arg_matches(&nothing).expect("every option has a default")
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
