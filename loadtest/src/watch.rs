//! The page of what the instances do, while they do it: `guiche traces --follow` beside a stack.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use testbed::instance::find_guiche;
use testbed::process::{Launch, Process};
use testbed::rundir::RunDir;
use testbed::split::{MOST_INSTANCES, Service};

/// How long it may take until it serves.
const READY_DEADLINE: Duration = Duration::from_secs(40);

/// Whether and where the page is served.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct WatchArgs {
    /// Trace, and serve a page of the last minute that is kept up to date [address: 127.0.0.1:8090].
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true, default_missing_value = "127.0.0.1:8090")]
    pub watch: Option<SocketAddr>,
}

/// The page, and where the instances write what it shows. Dropped, both are gone.
#[derive(Debug)]
pub struct Watch {
    _process: Process,
    directory: RunDir,
}

impl WatchArgs {
    /// Serves it, where that is asked for, and says so. It gives way to everything else on the machine, and has
    /// `cpus` alone where some are named.
    ///
    /// # Errors
    /// When it cannot be served there.
    pub async fn start(
        &self,
        guiche: Option<&Path>,
        cpus: Option<String>,
        say: &dyn Fn(&str),
    ) -> Result<Option<Watch>> {
        let Some(address) = self.watch else { return Ok(None) };
        let (guiche, directory) = (find_guiche(guiche)?, RunDir::create()?);
        // Those of instances that never start never appear.
        let files = (0..MOST_INSTANCES)
            .map(|index| directory.path().join(format!("{}.jsonl", Service::Api(index).name())));
        let process = Launch::new("guiche traces", "nice", directory.path().join("watch.log"))
            .args(["-n", "19"])
            .arg(guiche)
            .args(["traces", "--follow", "--serve", &address.to_string()])
            .args(files)
            .cpus(cpus)
            .spawn()?;
        let address = async || {
            let log = fs::read_to_string(process.log())?;
            let line = log.lines().find(|line| line.starts_with("http://"));
            Ok(line.context("it does not serve yet")?.trim_end_matches("; Ctrl-C ends it").to_owned())
        };
        let served = process.ready(READY_DEADLINE, address).await;
        let address = served.context("--watch cannot serve; --watch=ADDRESS says where")?;
        say(&format!("watch it: {address}"));
        Ok(Some(Watch { _process: process, directory }))
    }
}

impl Watch {
    /// Returns where they write.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the setting by which the instances write for it.
    pub fn setting(&self) -> (String, String) {
        ("TRACE".to_owned(), self.directory.path().join("{instance}.jsonl").display().to_string())
    }
}
