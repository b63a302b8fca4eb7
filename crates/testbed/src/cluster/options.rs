//! What can be chosen about a cluster.

use std::path::PathBuf;

use settings::Profile;

/// What kind of cluster to start. The default is a durable one, made for the occasion.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClusterOptions {
    /// The directory of PostgreSQL's programs [default: GUICHE_PG_BIN, else the newest of
    /// /usr/lib/postgresql/*/bin].
    #[arg(long = "pg-bin", value_name = "DIR")]
    pub bin: Option<PathBuf>,
    /// Keep the database in this directory, made if it is missing, and use what is there.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The settings that the server runs with, and the SQL that its databases are made from.
    #[arg(skip)]
    pub profile: Profile,
    /// Settings in addition, which win over the profile's.
    #[arg(skip)]
    pub settings: Vec<(String, String)>,
    /// How the superuser connects to a server, which this one then is a copy of and follows.
    #[arg(skip)]
    pub primary: Option<String>,
    /// The `cgroup.procs` files of the cgroups that the server joins.
    #[arg(skip)]
    pub cgroups: Vec<PathBuf>,
    /// The CPUs that the server may use, as `taskset` takes them.
    #[arg(skip)]
    pub cpus: Option<String>,
}

/// How to stop a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Rolls back what is open, writes a checkpoint, and exits (`SIGINT`).
    Fast,
    /// Exits at once; the next start recovers from the log, as after a crash (`SIGQUIT`).
    Immediate,
}
