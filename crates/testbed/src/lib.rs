//! Starts guiche's whole topology on this machine, as processes or as containers.
//!
//! From the parts to the whole:
//!
//! - a process and where it runs: [`process`], [`rundir`], [`programs`], [`user`], [`signals`],
//!   [`disk`], [`files`], [`preload`], [`machine`];
//! - how a service is asked: [`http`];
//! - a service each: [`cluster`] (PostgreSQL), [`instance`] (guiche), [`nginx`];
//! - the contest's limits and what is used of them: [`split`], [`envelope`], [`usage`];
//! - all together: [`stack`] natively, [`docker`] in containers, [`running`] for either;
//! - a link that can be broken: [`proxy`];
//! - a larger bank than the contest's: [`bank`];
//! - what a running stack says of itself: [`scrape`], [`check`].
//!
//! Both the service's tests and `loadtest` stand on it. It knows nothing of loads and reports.

pub mod bank;
pub mod check;
pub mod cluster;
pub mod disk;
pub mod docker;
pub mod envelope;
pub mod files;
pub mod http;
pub mod instance;
pub mod machine;
pub mod nginx;
pub mod preload;
pub mod process;
pub mod programs;
pub mod proxy;
pub mod rundir;
pub mod running;
pub mod scrape;
pub mod signals;
pub mod split;
pub mod stack;
pub mod usage;
pub mod user;

pub use cluster::{Cluster, ClusterOptions, StopMode};
pub use instance::Instance;
pub use nginx::Balancing;
pub use proxy::{Flow, Proxy};
pub use running::{Running, Topology};
pub use settings::{self, Mode, Profile};
pub use split::{Service, Split};
pub use stack::{Limits, Stack, StackOptions, Transport};
pub use usage::{ServiceUsage, Usage};

/// Returns the repository's directory: `GUICHE_ROOT`, else that of the sources this was built from.
pub fn repository_root() -> std::path::PathBuf {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    std::env::var_os("GUICHE_ROOT").map_or_else(|| built.into(), Into::into)
}
