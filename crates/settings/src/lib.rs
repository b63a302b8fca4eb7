//! Every setting of the service, its default and its bounds, in one place. All come from the
//! environment. [`SETTINGS`] is the table; [`Config`] is what a program holds once it has read them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

mod otel;
mod table;

use table::setting;
pub use table::{Fallback, SETTINGS, Setting, Values, settings_text};

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
    /// Returns the address itself, to be parsed and never shown.
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

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
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
    /// Clients that may wait apart, each for a row that somebody else holds; 0 where calls are not shared.
    pub row_waits: usize,
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
    /// Requests whose body has not come yet, at once.
    pub bodies_awaited: usize,
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
    /// For a request to arrive, from its first byte to its last.
    pub read: Duration,
    /// PostgreSQL's own, for one statement.
    pub statement: Duration,
    /// For one database call as the instance sees it.
    pub call: Duration,
    /// For an answer, queueing included.
    pub answer: Duration,
    /// Idle time of an actor.
    pub passivate_after: Duration,
    /// How long it goes on once it is told to end, and says that it is not ready.
    pub lame_duck: Duration,
    /// For a key to be remembered, at least.
    pub keys_kept: Duration,
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
    /// Says what is wrong with a variable, and what it must be.
    pub fn new(variable: &'static str, problem: impl Into<String>) -> Self {
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
        let mode = vars.word("MODE")?;
        let workers = vars.number_or("WORKERS", available_cpus())?;
        let bounds = Bounds::read(&vars, mode)?;
        let deadlines = Deadlines::read(&vars)?;
        let instance = vars.get("INSTANCE").map_or_else(host_name, str::to_owned);
        Ok(Self {
            listen: vars.listen()?,
            metrics_listen: vars.metrics_listen()?,
            trace: vars.trace(&instance)?,
            otlp: otel::exports(vars.0)?,
            instance,
            database_url: vars.database_url()?,
            profile: vars.word("PROFILE")?,
            mode,
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

    /// Clients of each worker that may wait apart, each on a connection of its own. Those leave what the
    /// other calls may need.
    pub fn row_waits_per_worker(&self) -> usize {
        let others = self.bounds.calls_in_flight.max(self.bounds.overlap_calls);
        let wanted = self.bounds.row_waits.div_ceil(self.workers);
        wanted.min(self.pool_size_per_worker().saturating_sub(others))
    }
}

impl Mode {
    /// Returns the name that the setting `MODE` has for it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl Profile {
    /// Returns the name that the setting `PROFILE` and the files of `sql/settings/` have for it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl Bounds {
    fn read(vars: &Vars<'_>, mode: Mode) -> Result<Self, ConfigError> {
        let pool_size = vars.number("POOL_SIZE")?;
        let (clients_per_call, batch_max) = match mode {
            Mode::Batched => (vars.number("CLIENTS_PER_CALL")?, vars.number("BATCH_MAX")?),
            // Without batching a call is one request's, whatever the settings say.
            Mode::Direct | Mode::Serial => (1, 1),
        };
        let calls_default = if clients_per_call == 1 { pool_size } else { 1 };
        let calls_in_flight = vars.number_or("CALLS_IN_FLIGHT", calls_default)?;
        let overlap_calls = vars.number("OVERLAP_CALLS")?;
        let row_waits = vars.number("ROW_WAITS")?;
        let requests_in_flight = vars.number("REQUESTS_IN_FLIGHT")?;
        let connections = vars.number("CONNECTIONS")?;
        if connections <= requests_in_flight {
            return Err(ConfigError::new(
                "CONNECTIONS",
                "must be more than REQUESTS_IN_FLIGHT, so that a request beyond that bound is refused at once",
            ));
        }
        Ok(Self {
            clients_per_call,
            calls_in_flight,
            overlap_below: vars.number("OVERLAP_BELOW")?,
            overlap_calls: overlap_calls.max(calls_in_flight),
            row_waits: if clients_per_call == 1 { 0 } else { row_waits },
            batch_max,
            queue_per_client: vars.number("QUEUE_PER_CLIENT")?,
            live_actors: vars.number("LIVE_ACTORS")?,
            requests_in_flight,
            connections,
            bodies_awaited: vars.number("BODIES_AWAITED")?,
            pool_size,
            body_limit_bytes: vars.number("BODY_LIMIT_BYTES")?,
        })
    }
}

impl Deadlines {
    fn read(vars: &Vars<'_>) -> Result<Self, ConfigError> {
        let deadlines = Self {
            read: vars.millis("READ_TIMEOUT_MS")?,
            statement: vars.millis("STATEMENT_TIMEOUT_MS")?,
            call: vars.millis("CALL_DEADLINE_MS")?,
            answer: vars.millis("ANSWER_DEADLINE_MS")?,
            passivate_after: vars.millis("PASSIVATE_AFTER_MS")?,
            lame_duck: vars.millis("LAME_DUCK_MS")?,
            keys_kept: Duration::from_secs(vars.number("KEYS_KEPT_S")? as u64),
            drain: vars.millis("DRAIN_TIMEOUT_MS")?,
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

/// A look-up of settings by name: what is unset has the table's default, what is not usable is
/// told with what the table says it may be.
struct Vars<'a>(&'a BTreeMap<String, String>);

impl Vars<'_> {
    /// Returns the value, with an empty one counting as unset (as compose files pass them).
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Returns the value, or the table's default where there is one.
    fn text(&self, name: &'static str) -> Option<&str> {
        self.get(name).or(match setting(name).default {
            Fallback::Is(default) => Some(default),
            Fallback::Found(_) | Fallback::Required => None,
        })
    }

    /// Returns the value where it is not `off`.
    fn unless_off(&self, name: &'static str) -> Option<&str> {
        self.text(name).filter(|text| *text != "off")
    }

    /// Returns one of the words that the table lists.
    fn word<T: FromStr>(&self, name: &'static str) -> Result<T, ConfigError> {
        let text = self.text(name).unwrap_or_default();
        text.parse().map_err(|_| not_usable(name, text))
    }

    fn number(&self, name: &'static str) -> Result<usize, ConfigError> {
        self.number_or(name, 0)
    }

    /// Returns a number within the table's bounds; `found` where the table leaves the default to be found.
    fn number_or(&self, name: &'static str, found: usize) -> Result<usize, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(found) };
        let Values::Number(min, max) = setting(name).values else { return Err(not_usable(name, text)) };
        let number = text.parse::<usize>().ok().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| not_usable(name, text))
    }

    /// Returns a duration in whole milliseconds.
    fn millis(&self, name: &'static str) -> Result<Duration, ConfigError> {
        Ok(Duration::from_millis(self.number(name)? as u64))
    }

    fn listen(&self) -> Result<Listen, ConfigError> {
        let text = self.text("LISTEN").unwrap_or_default();
        text.parse().map_err(|why| ConfigError::new("LISTEN", format!("{text:?} is not usable: {why}")))
    }

    fn metrics_listen(&self) -> Result<Option<SocketAddr>, ConfigError> {
        let wrong = |text, why| ConfigError::new("METRICS_LISTEN", format!("{text:?} is not usable: {why}"));
        let text = self.unless_off("METRICS_LISTEN");
        text.map(|text| socket_address(text).map_err(|why| wrong(text, why))).transpose()
    }

    fn trace(&self, instance: &str) -> Result<Option<TraceFiles>, ConfigError> {
        let max_file_bytes = self.number("TRACE_MAX_BYTES")? as u64;
        let (files, queue) = (self.number("TRACE_FILES")?, self.number("TRACE_QUEUE")?);
        // An instance's name must not lead to another directory.
        let path =
            self.unless_off("TRACE").map(|path| path.replace("{instance}", &instance.replace('/', "_")));
        Ok(path.map(|path| TraceFiles { path: path.into(), max_file_bytes, files, queue }))
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

fn not_usable(name: &'static str, text: &str) -> ConfigError {
    ConfigError::new(name, format!("{text:?} is not usable: expected {}", setting(name).values))
}

/// Returns the variables that are UTF-8: other programs' may be anything, ours are.
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
        Vars(&environment()).listen()
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

/// `on` or `off`.
#[derive(Clone, Copy, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
enum Switch {
    On,
    Off,
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.to_socket_addrs()
        .map_err(|why| format!("expected host:port ({why})"))?
        .next()
        .ok_or_else(|| "the host has no address".to_owned())
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
            ("CONNECTIONS", "400", "more than REQUESTS_IN_FLIGHT"),
            ("SERVER_TIMING", "yes", "expected on or off"),
            ("LOG_FORMAT", "xml", "expected human or json"),
            ("TRACE_MAX_BYTES", "1000", "from 1048576 to"),
        ] {
            let error = read(&[(name, value)]).expect_err(name).to_string();
            assert!(error.contains(name) && error.contains(says), "{error}");
        }
    }

    #[test]
    fn every_default_is_what_the_setting_may_be() {
        for setting in SETTINGS {
            let Fallback::Is(default) = setting.default else { continue };
            let fits = match setting.values {
                Values::Number(min, max) => {
                    default.parse().is_ok_and(|number: usize| (min..=max).contains(&number))
                }
                Values::Word(words) => words.contains(&default),
                Values::Text(_) => true,
            };
            assert!(fits, "{setting:?}");
            read(&[(setting.name, default)]).expect(setting.name);
        }
    }

    #[test]
    fn the_table_knows_every_word_of_a_choice() {
        for (name, known) in [
            ("MODE", [Mode::Direct, Mode::Serial, Mode::Batched].map(Mode::name).to_vec()),
            ("PROFILE", [Profile::Durable, Profile::Contest].map(Profile::name).to_vec()),
        ] {
            assert_eq!(setting(name).values, Values::Word(known.leak()));
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
