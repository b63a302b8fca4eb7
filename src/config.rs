//! Every setting, its default and its bounds, in one place. All come from the environment.
//!
//! | variable | default | what it sets |
//! |---|---|---|
//! | `LISTEN` | `0.0.0.0:8080` | where HTTP is served: `host:port` (port 0 picks a free one) or `unix:/path` |
//! | `METRICS_LISTEN` | off | `host:port` where `/metrics` is served, or `off` |
//! | `INSTANCE` | the host's name | the instance's name in logs, metrics and traces |
//! | `DATABASE_URL` | required | PostgreSQL, as a URL or as `key=value` pairs (`host=/run/postgresql …`) |
//! | `PROFILE` | `durable` | `durable` or `contest`; a database of the other profile is refused |
//! | `MODE` | `batched` | `direct`, `serial` or `batched` |
//! | `WORKERS` | the CPUs available | threads that serve HTTP, actors and connections |
//! | `CLIENTS_PER_CALL` | 64 | clients that one database call may span; 1 for a sharded database |
//! | `CALLS_IN_FLIGHT` | 1 | calls at once per worker (`batched`); with `CLIENTS_PER_CALL=1`, `POOL_SIZE` |
//! | `OVERLAP_BELOW` | 0 | while fewer requests than this are in flight, `OVERLAP_CALLS` are allowed; 0: never |
//! | `OVERLAP_CALLS` | 4 | calls at once per worker while what is in flight is that small |
//! | `BATCH_MAX` | 256 | transactions that one call may carry |
//! | `QUEUE_PER_CLIENT` | 1024 | requests that one client may have waiting or in flight |
//! | `LIVE_ACTORS` | 16384 | actors alive at once; at the bound the longest idle one makes room |
//! | `REQUESTS_IN_FLIGHT` | 4096 | requests that the instance works on at once |
//! | `CONNECTIONS` | 8192 | HTTP connections, idle ones included; further ones wait to be accepted |
//! | `POOL_SIZE` | 16 | database connections per instance, shared out over the workers |
//! | `BODY_LIMIT_BYTES` | 4096 | the largest request body |
//! | `READ_TIMEOUT_MS` | 5000 | time for a request's head, and again for its body |
//! | `STATEMENT_TIMEOUT_MS` | 5000 | PostgreSQL's `statement_timeout` |
//! | `CALL_DEADLINE_MS` | 6000 | time for one database call; then its connection is discarded |
//! | `ANSWER_DEADLINE_MS` | 10000 | time for an answer, queueing included |
//! | `PASSIVATE_AFTER_MS` | 10000 | idle time after which an actor is forgotten |
//! | `DRAIN_TIMEOUT_MS` | 10000 | time to finish what is queued after SIGTERM |
//! | `LOG` | `info` | a `tracing` filter, such as `guiche=debug` |
//! | `LOG_FORMAT` | `human` | `human` or `json` |
//! | `SERVER_TIMING` | `off` | `on` adds a `Server-Timing` header to answers |
//! | `TRACE` | `off` | the file that a trace of the mailboxes is written to (`guiche traces` reads it); `{instance}` in it is replaced by the instance's name |
//! | `TRACE_MAX_BYTES` | 67108864 | bytes of one trace file; then it becomes `TRACE.1`, and that `TRACE.2`, … |
//! | `TRACE_FILES` | 4 | trace files kept, the one being written included |
//! | `TRACE_QUEUE` | 16384 | trace lines that may wait to be written; further ones are dropped and counted |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | off | where spans are sent over OTLP/HTTP (cargo feature `otlp`); OpenTelemetry's other `OTEL_*` variables hold too |

use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

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
    /// Whether spans are sent over OTLP.
    pub otlp: bool,
}

/// A database's address. It may hold a password: nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The address itself, to be parsed and never shown.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

/// Where HTTP is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// How much the database promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Logged tables, fsync, synchronous commit.
    Durable,
    /// UNLOGGED tables and no fsync: a crash of the server loses all data.
    Contest,
}

/// How transactions reach the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each request takes a connection and calls the function for one transaction.
    Direct,
    /// Through the mailbox, one call per transaction.
    Serial,
    /// Through the mailbox, what has queued in one call.
    Batched,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Bounds on everything that can grow. Counts unless named otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Clients in one call.
    pub clients_per_call: usize,
    /// Calls at once per worker.
    pub calls_in_flight: usize,
    /// Fewer transactions than this in flight allow [`Bounds::overlap_calls`].
    pub overlap_below: usize,
    /// Calls at once per worker while little is in flight.
    pub overlap_calls: usize,
    /// Transactions in one call.
    pub batch_max: usize,
    /// Requests of one client, waiting or in flight.
    pub queue_per_client: usize,
    /// Actors alive at once.
    pub live_actors: usize,
    /// Requests that the instance works on at once.
    pub requests_in_flight: usize,
    /// HTTP connections, idle ones included. More than requests in flight, so that a request
    /// beyond that bound is refused and not left waiting.
    pub connections: usize,
    /// Database connections per instance.
    pub pool_size: usize,
    /// Bytes of a request's body.
    pub body_limit_bytes: usize,
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

/// Bounds on time. They nest: statement < call < answer < NGINX's.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For a request's head, and again for its body.
    pub read: Duration,
    /// PostgreSQL's own, for one statement.
    pub statement: Duration,
    /// For one database call as the instance sees it.
    pub call: Duration,
    /// For an answer, queueing included.
    pub answer: Duration,
    /// Idle time of an actor.
    pub passivate_after: Duration,
    /// For finishing what is queued at shutdown.
    pub drain: Duration,
}

/// A setting that cannot be used: which one, what it says, and what it must be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {problem}")]
pub struct ConfigError {
    variable: &'static str,
    problem: String,
}

impl ConfigError {
    pub(crate) fn new(variable: &'static str, problem: impl Into<String>) -> Self {
        Self { variable, problem: problem.into() }
    }
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
        let mode = vars.parse("MODE", Mode::Batched)?;
        let workers = vars.number("WORKERS", available_cpus(), 1, 256)?;
        let bounds = Bounds::read(&vars, mode)?;
        let deadlines = Deadlines::read(&vars)?;
        let instance = vars.get("INSTANCE").map_or_else(host_name, str::to_owned);
        Ok(Self {
            listen: Listen::read(&vars)?,
            metrics_listen: vars.metrics_listen()?,
            trace: vars.trace(&instance)?,
            otlp: vars.get("OTEL_EXPORTER_OTLP_ENDPOINT").is_some(),
            instance,
            database_url: vars.database_url()?,
            profile: vars.parse("PROFILE", Profile::Durable)?,
            mode,
            workers,
            bounds,
            deadlines,
            log: vars.get("LOG").unwrap_or("info").to_owned(),
            log_format: vars.parse("LOG_FORMAT", LogFormat::Human)?,
            server_timing: vars.parse("SERVER_TIMING", Switch(false))?.0,
        })
    }

    /// Connections that each worker may hold.
    pub fn pool_size_per_worker(&self) -> usize {
        (self.bounds.pool_size / self.workers).max(2)
    }
}

impl Bounds {
    fn read(vars: &Vars<'_>, mode: Mode) -> Result<Self, ConfigError> {
        let pool_size = vars.number("POOL_SIZE", 16, 2, 1_000)?;
        let (clients_per_call, batch_max) = match mode {
            Mode::Batched => {
                (vars.number("CLIENTS_PER_CALL", 64, 1, 10_000)?, vars.number("BATCH_MAX", 256, 1, 10_000)?)
            }
            // Without batching a call is one request's, whatever the settings say.
            Mode::Direct | Mode::Serial => (1, 1),
        };
        let calls_default = if clients_per_call == 1 { pool_size } else { 1 };
        let calls_in_flight = vars.number("CALLS_IN_FLIGHT", calls_default, 1, 1_000)?;
        let overlap_calls = vars.number("OVERLAP_CALLS", 4, 1, 1_000)?;
        let requests_in_flight = vars.number("REQUESTS_IN_FLIGHT", 4_096, 1, 1_000_000)?;
        let connections = vars.number("CONNECTIONS", 8_192, 1, 1_000_000)?;
        if connections <= requests_in_flight {
            return Err(ConfigError::new(
                "CONNECTIONS",
                "must be more than REQUESTS_IN_FLIGHT, so that a request beyond that bound is refused at once",
            ));
        }
        Ok(Self {
            clients_per_call,
            calls_in_flight,
            overlap_below: vars.number("OVERLAP_BELOW", 0, 0, 10_000)?,
            overlap_calls: overlap_calls.max(calls_in_flight),
            batch_max,
            queue_per_client: vars.number("QUEUE_PER_CLIENT", 1_024, 1, 1_000_000)?,
            live_actors: vars.number("LIVE_ACTORS", 16_384, 1, 10_000_000)?,
            requests_in_flight,
            connections,
            pool_size,
            body_limit_bytes: vars.number("BODY_LIMIT_BYTES", 4_096, 64, 1_048_576)?,
        })
    }
}

impl Deadlines {
    fn read(vars: &Vars<'_>) -> Result<Self, ConfigError> {
        let deadlines = Self {
            read: vars.millis("READ_TIMEOUT_MS", 5_000)?,
            statement: vars.millis("STATEMENT_TIMEOUT_MS", 5_000)?,
            call: vars.millis("CALL_DEADLINE_MS", 6_000)?,
            answer: vars.millis("ANSWER_DEADLINE_MS", 10_000)?,
            passivate_after: vars.millis("PASSIVATE_AFTER_MS", 10_000)?,
            drain: vars.millis("DRAIN_TIMEOUT_MS", 10_000)?,
        };
        if deadlines.statement >= deadlines.call {
            return Err(ConfigError::new(
                "CALL_DEADLINE_MS",
                "must be longer than STATEMENT_TIMEOUT_MS, so that PostgreSQL gives up first",
            ));
        }
        if deadlines.call >= deadlines.answer {
            return Err(ConfigError::new(
                "ANSWER_DEADLINE_MS",
                "must be longer than CALL_DEADLINE_MS, so that a call's fate is known before the answer",
            ));
        }
        Ok(deadlines)
    }
}

/// A look-up of settings by name, each with its own error.
struct Vars<'a>(&'a BTreeMap<String, String>);

impl Vars<'_> {
    /// The value, with an empty one counting as unset (as compose files pass them).
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn parse<T>(&self, name: &'static str, default: T) -> Result<T, ConfigError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        match self.get(name) {
            None => Ok(default),
            Some(text) => {
                text.parse().map_err(|why| ConfigError::new(name, format!("{text:?} is not usable: {why}")))
            }
        }
    }

    fn number(
        &self,
        name: &'static str,
        default: usize,
        min: usize,
        max: usize,
    ) -> Result<usize, ConfigError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        match text.parse::<usize>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            _ => Err(ConfigError::new(
                name,
                format!("{text:?} is not usable: expected a whole number from {min} to {max}"),
            )),
        }
    }

    /// A duration in whole milliseconds, from one millisecond to an hour.
    fn millis(&self, name: &'static str, default: usize) -> Result<Duration, ConfigError> {
        let millis = self.number(name, default, 1, 3_600_000)?;
        Ok(Duration::from_millis(millis as u64))
    }

    fn metrics_listen(&self) -> Result<Option<SocketAddr>, ConfigError> {
        match self.get("METRICS_LISTEN") {
            None | Some("off") => Ok(None),
            Some(text) => socket_address(text)
                .map(Some)
                .map_err(|why| ConfigError::new("METRICS_LISTEN", format!("{text:?} is not usable: {why}"))),
        }
    }

    fn trace(&self, instance: &str) -> Result<Option<TraceFiles>, ConfigError> {
        let max_file_bytes = self.number("TRACE_MAX_BYTES", 64 << 20, 1 << 20, 1 << 40)? as u64;
        let files = self.number("TRACE_FILES", 4, 1, 1_000)?;
        let queue = self.number("TRACE_QUEUE", 16_384, 1, 10_000_000)?;
        let path = self.get("TRACE").filter(|path| *path != "off");
        // An instance's name must not lead to another directory.
        let path = path.map(|path| path.replace("{instance}", &instance.replace('/', "_")).into());
        Ok(path.map(|path| TraceFiles { path, max_file_bytes, files, queue }))
    }

    fn database_url(&self) -> Result<DatabaseUrl, ConfigError> {
        self.get("DATABASE_URL").map(|url| DatabaseUrl(url.to_owned())).ok_or_else(|| {
            ConfigError::new(
                "DATABASE_URL",
                "is not set; give it a value such as postgresql://guiche:guiche@localhost:5432/rinha",
            )
        })
    }
}

/// Other programs' variables may be anything; ours are UTF-8.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
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
        vars.parse("LISTEN", Self::Tcp(SocketAddr::from(([0, 0, 0, 0], 8080))))
    }
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

impl FromStr for Profile {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "durable" => Ok(Self::Durable),
            "contest" => Ok(Self::Contest),
            _ => Err("expected durable or contest"),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Durable => "durable",
            Self::Contest => "contest",
        })
    }
}

impl FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "direct" => Ok(Self::Direct),
            "serial" => Ok(Self::Serial),
            "batched" => Ok(Self::Batched),
            _ => Err("expected direct, serial or batched"),
        }
    }
}

impl Mode {
    /// As the setting spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Serial => "serial",
            Self::Batched => "batched",
        }
    }
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err("expected human or json"),
        }
    }
}

struct Switch(bool);

impl FromStr for Switch {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "on" => Ok(Self(true)),
            "off" => Ok(Self(false)),
            _ => Err("expected on or off"),
        }
    }
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.to_socket_addrs()
        .map_err(|why| format!("expected host:port ({why})"))?
        .next()
        .ok_or_else(|| "the host has no address".to_owned())
}

/// What the CPU limits leave this process, at least one: cgroup quotas count.
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
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let mut all = BTreeMap::from([(
            "DATABASE_URL".to_owned(),
            "postgresql://guiche:secret@localhost/rinha".to_owned(),
        )]);
        all.extend(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Config::from_vars(&all)
    }

    #[test]
    fn defaults_are_usable() {
        let config = read(&[]).expect("the defaults agree with each other");
        assert_eq!(config.mode, Mode::Batched);
        assert_eq!(config.profile, Profile::Durable);
        assert_eq!(config.bounds.calls_in_flight, 1);
    }

    #[test]
    fn a_bad_setting_is_named_with_what_it_must_be() {
        for (name, value, says) in [
            ("MODE", "fast", "expected direct, serial or batched"),
            ("PROFILE", "x", "expected durable or contest"),
            ("LISTEN", "unix:relative", "absolute path"),
            ("LISTEN", "8080", "expected host:port"),
            ("BATCH_MAX", "0", "from 1 to 10000"),
            ("QUEUE_PER_CLIENT", "-1", "whole number"),
            ("CALL_DEADLINE_MS", "5000", "longer than STATEMENT_TIMEOUT_MS"),
            ("ANSWER_DEADLINE_MS", "6000", "longer than CALL_DEADLINE_MS"),
            ("CONNECTIONS", "4096", "more than REQUESTS_IN_FLIGHT"),
            ("SERVER_TIMING", "yes", "expected on or off"),
            ("LOG_FORMAT", "xml", "expected human or json"),
            ("TRACE_MAX_BYTES", "1000", "from 1048576 to"),
        ] {
            let error = read(&[(name, value)]).expect_err(name).to_string();
            assert!(error.contains(name) && error.contains(says), "{error}");
        }
    }

    #[test]
    fn the_database_is_required() {
        assert!(!format!("{:?}", read(&[])).contains("secret"), "a password is never printed");
        let error = Config::from_vars(&BTreeMap::new()).expect_err("nothing is set");
        assert!(error.to_string().starts_with("DATABASE_URL: is not set"), "{error}");
    }

    #[test]
    fn one_client_per_call_opens_more_calls_by_default() {
        let config = read(&[("CLIENTS_PER_CALL", "1"), ("POOL_SIZE", "9")]).expect("valid");
        assert_eq!(config.bounds.calls_in_flight, 9);
        assert_eq!(read(&[]).expect("valid").bounds.calls_in_flight, 1);
    }

    #[test]
    fn a_trace_is_off_unless_it_has_a_path() {
        assert!(read(&[]).expect("valid").trace.is_none());
        assert!(read(&[("TRACE", "off")]).expect("valid").trace.is_none());
        let vars = [("TRACE", "/traces/{instance}.jsonl"), ("INSTANCE", "../api1")];
        let trace = read(&vars).expect("valid").trace.expect("it has a path");
        assert_eq!(trace.path, PathBuf::from("/traces/.._api1.jsonl"));
    }

    #[test]
    fn without_batching_a_call_carries_one() {
        let config = read(&[("MODE", "serial"), ("BATCH_MAX", "64")]).expect("valid");
        assert_eq!((config.bounds.batch_max, config.bounds.clients_per_call), (1, 1));
    }
}
