//! What a program holds once it has read its settings.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::bounds::{Bounds, Deadlines};
use super::choices::{Listen, LogFormat, Mode, Profile, Shards, Switch, socket_address};
use super::database_url::DatabaseUrl;
use super::error::ConfigError;
use super::otel::Otlp;
use super::vars::{Vars, environment};

/// All settings of an instance, checked against each other.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where HTTP is served.
    pub listen: Listen,
    /// Where metrics are served, if anywhere.
    pub metrics_listen: Option<SocketAddr>,
    /// The instance's name.
    pub instance: String,
    /// How PostgreSQL is reached; parsed by the ledger.
    pub database_url: DatabaseUrl,
    /// What the database must be.
    pub profile: Profile,
    /// How transactions reach the database.
    pub mode: Mode,
    /// How they reach the servers of a database that is on several.
    pub shards: Shards,
    /// Threads that serve.
    pub workers: usize,
    /// Everything that bounds growth.
    pub bounds: Bounds,
    /// Everything that bounds time.
    pub deadlines: Deadlines,
    /// The log filter, in `tracing`'s syntax.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Whether answers carry `Server-Timing`.
    pub server_timing: bool,
    /// Where a trace is written, if anywhere.
    pub trace: Option<TraceFiles>,
    /// What is sent over OTLP.
    pub otlp: Otlp,
}

/// Where a trace is written, and its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceFiles {
    /// The newest file; older ones are beside it as `path.1`, `path.2` …
    pub path: PathBuf,
    /// Bytes of one file.
    pub max_file_bytes: u64,
    /// Files kept, the newest included.
    pub files: usize,
    /// Lines that may wait to be written.
    pub queue: usize,
}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// The first setting that is missing, malformed, out of bounds or at odds with another.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_vars(&environment())
    }

    /// Reads settings out of `vars`, as [`Config::from_env`] does out of the environment.
    ///
    /// # Errors
    /// As [`Config::from_env`].
    pub fn from_vars(vars: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let vars = Vars(vars);
        let mode = vars.word("MODE")?;
        let workers = vars.number_or("WORKERS", available_cpus())?;
        let bounds = Bounds::read(&vars, mode)?;
        let deadlines = Deadlines::read(&vars)?;
        let instance = vars.get("INSTANCE").map_or_else(host_name, str::to_owned);
        Ok(Self {
            listen: Listen::read(&vars)?,
            metrics_listen: metrics_listen(&vars)?,
            trace: TraceFiles::read(&vars, &instance)?,
            otlp: Otlp::read(&vars)?,
            instance,
            database_url: DatabaseUrl::read(&vars)?,
            profile: vars.word("PROFILE")?,
            mode,
            shards: vars.word("SHARDS")?,
            workers,
            bounds,
            deadlines,
            log: vars.text("LOG").unwrap_or_default().to_owned(),
            log_format: vars.word("LOG_FORMAT")?,
            server_timing: vars.word::<Switch>("SERVER_TIMING")? == Switch::On,
        })
    }

    /// HTTP connections that each worker may hold.
    pub fn connections_per_worker(&self) -> usize {
        (self.bounds.connections / self.workers).max(1)
    }

    /// Database connections that each worker may hold.
    pub fn pool_size_per_worker(&self) -> usize {
        (self.bounds.pool_size / self.workers).max(2)
    }

    /// Calls that each worker may have out at once, beside those of clients that wait apart.
    pub fn calls_per_worker(&self) -> usize {
        let Bounds { calls_in_flight, overlap_below, overlap_calls, .. } = self.bounds;
        if overlap_below > 0 { overlap_calls } else { calls_in_flight }
    }

    /// Clients of each worker that may wait apart, each on a connection of its own. Those leave what the
    /// other calls may need.
    pub fn row_waits_per_worker(&self) -> usize {
        let wanted = self.bounds.row_waits.div_ceil(self.workers);
        wanted.min(self.pool_size_per_worker().saturating_sub(self.calls_per_worker()))
    }
}

impl TraceFiles {
    fn read(vars: &Vars<'_>, instance: &str) -> Result<Option<Self>, ConfigError> {
        let max_file_bytes = vars.number("TRACE_MAX_BYTES")? as u64;
        let (files, queue) = (vars.number("TRACE_FILES")?, vars.number("TRACE_QUEUE")?);
        // An instance's name must not lead to another directory.
        let path =
            vars.unless_off("TRACE").map(|path| path.replace("{instance}", &instance.replace('/', "_")));
        Ok(path.map(|path| Self { path: path.into(), max_file_bytes, files, queue }))
    }
}

impl Listen {
    /// Reads `LISTEN` alone, for whoever asks an instance how it is.
    ///
    /// # Errors
    /// When it is neither `host:port` nor `unix:/path`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(&Vars(&environment()))
    }

    fn read(vars: &Vars<'_>) -> Result<Self, ConfigError> {
        let text = vars.text("LISTEN").unwrap_or_default();
        text.parse().map_err(|why| ConfigError::new("LISTEN", format!("{text:?} is not usable: {why}")))
    }
}

fn metrics_listen(vars: &Vars<'_>) -> Result<Option<SocketAddr>, ConfigError> {
    let wrong = |text, why| ConfigError::new("METRICS_LISTEN", format!("{text:?} is not usable: {why}"));
    let text = vars.unless_off("METRICS_LISTEN");
    text.map(|text| socket_address(text).map_err(|why| wrong(text, why))).transpose()
}

/// Returns what the CPU limits leave this process, at least one: cgroup quotas count.
fn available_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "guiche".to_owned())
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
