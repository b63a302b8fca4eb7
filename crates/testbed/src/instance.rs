//! An instance of the service: the `guiche` program with its settings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use settings::{Mode, Profile};

use crate::http::Endpoint;
use crate::process::{Launch, Process};
use crate::programs::built;

/// How long an instance may take until it is ready.
const READY_DEADLINE: Duration = Duration::from_secs(40);

/// How long it may take to drain: more than its own bound of 10 s.
const STOP_DEADLINE: Duration = Duration::from_secs(15);

/// Returns the `guiche` program: the one asked for, else `GUICHE_BIN`, else the one beside this program or in
/// the directory above it, else the repository's release build.
///
/// # Errors
/// When there is none; says how to build it.
pub fn find_guiche(asked: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) =
        asked.map(Path::to_owned).or_else(|| std::env::var_os("GUICHE_BIN").map(PathBuf::from))
    {
        ensure!(path.is_file(), "there is no program {}", path.display());
        return std::path::absolute(&path)
            .with_context(|| format!("no absolute path for {}", path.display()));
    }
    built("guiche").context("the service is missing (or name the program with --guiche)")
}

/// Tells the service who it is, where its database is and how it works: what every instance is told.
pub fn configured(launch: Launch, name: &str, url: &str, profile: Profile, mode: Mode) -> Launch {
    launch.envs([
        ("INSTANCE", name),
        ("DATABASE_URL", url),
        ("PROFILE", profile.name()),
        ("MODE", mode.name()),
    ])
}

/// A running (or killed) instance.
#[derive(Debug)]
pub struct Instance {
    launch: Launch,
    /// Its process.
    pub process: Process,
    /// Where it listens.
    pub endpoint: Endpoint,
}

impl Instance {
    /// Starts it and waits until it is ready. `launch` is the program with all its settings but
    /// `LISTEN`, which is `endpoint`.
    ///
    /// # Errors
    /// When it ends, or is not ready within 40 s; the error shows its log's end.
    pub async fn start(launch: Launch, endpoint: Endpoint) -> Result<Instance> {
        let launch = launch.env("LISTEN", endpoint.to_string());
        let process = launch.spawn()?;
        let instance = Instance { launch, process, endpoint };
        instance.ready().await?;
        Ok(instance)
    }

    /// Lets it drain and end.
    ///
    /// # Errors
    /// When it has to be killed, or says that it failed. One that was killed before is no error.
    pub async fn stop(&self) -> Result<()> {
        if self.process.exit_status().is_some() {
            return Ok(());
        }
        let status = self.process.stop(Signal::SIGTERM, STOP_DEADLINE).await?;
        ensure!(status.success(), self.process.obituary());
        Ok(())
    }

    /// Kills it (`SIGKILL`) and waits until it is gone.
    pub async fn kill(&self) {
        self.process.kill().await;
    }

    /// Starts it again where it was, after [`Instance::stop`] or [`Instance::kill`].
    ///
    /// # Errors
    /// As for [`Instance::start`].
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.exit_status().is_some(), "{} already runs", self.process.name());
        self.process = self.launch.spawn()?;
        self.ready().await
    }

    /// Waits until it ends, however it does.
    pub async fn ended(&self) -> anyhow::Error {
        self.process.wait().await;
        self.process.obituary()
    }

    async fn ready(&self) -> Result<()> {
        let ask = async || {
            let answer = self.endpoint.get("/readyz").await?;
            ensure!(answer.status == 200, answer.body);
            Ok(())
        };
        self.process.ready(READY_DEADLINE, ask).await
    }
}
