//! Starts guiche's whole topology on this machine and plays loads against it.

pub mod args;
pub mod bench;
pub mod check;
pub mod cluster;
pub mod contest;
pub mod disk;
pub mod docker;
pub mod envelope;
pub mod experiment;
pub mod http;
pub mod instance;
pub mod machine;
pub mod nginx;
pub mod process;
pub mod procfs;
pub mod programs;
pub mod report;
pub mod rundir;
pub mod sampler;
pub mod scrape;
pub mod signals;
pub mod slow_fsync;
pub mod split;
pub mod stack;
pub mod up;
pub mod usage;
pub mod user;

pub use cluster::{Cluster, ClusterOptions, Profile, StopMode};
pub use instance::{Instance, Mode};
pub use nginx::Balancing;
pub use split::{Service, Split};
pub use stack::{Limits, Pinning, Stack, StackOptions, Transport};
pub use usage::{ServiceUsage, Usage};

/// The repository's directory: `GUICHE_ROOT`, else that of the sources this was built from.
pub fn repository_root() -> std::path::PathBuf {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    std::env::var_os("GUICHE_ROOT").map_or_else(|| built.into(), Into::into)
}
