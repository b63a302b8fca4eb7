//! The table of settings: what each is called, what it is by default, what it may be, what it means.

use super::setting::{Fallback, Setting, Values};

/// Milliseconds up to an hour.
const MILLIS: Values = Values::Number(1, 3_600_000);

/// Every setting of the service, in the order in which people look for them.
pub const SETTINGS: &[Setting] = {
    use Fallback::{Found, Is, Required};
    use Values::{Number, Text, Word};
    const fn row(name: &'static str, default: Fallback, values: Values, meaning: &'static str) -> Setting {
        Setting { name, default, values, meaning }
    }
    &[
        row(
            "LISTEN",
            Is("0.0.0.0:8080"),
            Text("host:port or unix:/path"),
            "where HTTP is served; port 0 picks a free one, and a socket is for its user and group",
        ),
        row("METRICS_LISTEN", Is("off"), Text("host:port or off"), "where /metrics is served"),
        row(
            "INSTANCE",
            Found("the host's name"),
            Text("a name"),
            "the instance's name in logs, metrics and traces",
        ),
        row(
            "DATABASE_URL",
            Required,
            Text("a URL or key=value pairs"),
            "PostgreSQL (host=/run/postgresql … for a unix socket; sslmode=verify-full … for TLS, see docs/tls.md; \
             several hosts, see docs/failover.md), unless DATABASE_URL_FILE has it",
        ),
        row(
            "DATABASE_URL_FILE",
            Is("off"),
            Text("a path or off"),
            "a file with the same, such as a Docker secret, so that no password is in the environment",
        ),
        row(
            "PROFILE",
            Is("durable"),
            Word(&["durable", "contest"]),
            "what a commit promises; a database of the other profile is refused",
        ),
        row(
            "MODE",
            Is("batched"),
            Word(&["direct", "serial", "batched"]),
            "how transactions reach the database",
        ),
        row(
            "SHARDS",
            Is("direct"),
            Word(&["direct", "front"]),
            "where the database is on several servers: a call for each (direct), if the one in front of them says where \
             they are, or all calls through that one, a client each (front)",
        ),
        row(
            "WORKERS",
            Found("the CPUs available"),
            Number(1, 256),
            "threads that serve HTTP, actors and connections",
        ),
        row(
            "CLIENTS_PER_CALL",
            Is("64"),
            Number(1, 10_000),
            "clients that one database call may span; 1 where calls go through one server to several, whatever it says",
        ),
        row(
            "CALLS_IN_FLIGHT",
            Found("1; with CLIENTS_PER_CALL=1 POOL_SIZE"),
            Number(1, 1_000),
            "calls at once per worker",
        ),
        row(
            "OVERLAP_BELOW",
            Is("0"),
            Number(0, 10_000),
            "while fewer requests than this are in flight, OVERLAP_CALLS are allowed; 0: never",
        ),
        row(
            "OVERLAP_CALLS",
            Is("4"),
            Number(1, 1_000),
            "calls at once per worker while what is in flight is that small",
        ),
        row(
            "ROW_WAITS",
            Is("8"),
            Number(0, 1_000),
            "clients that may wait apart, each for a row that somebody else holds; 0: all wait together",
        ),
        row("BATCH_MAX", Is("256"), Number(1, 10_000), "transactions that one call may carry"),
        row(
            "QUEUE_PER_CLIENT",
            Is("80"),
            Number(1, 1_000_000),
            "requests that one client may have waiting or in flight; NGINX passes on 100",
        ),
        row(
            "LIVE_ACTORS",
            Is("16384"),
            Number(1, 10_000_000),
            "actors alive at once; at the bound the longest idle one makes room",
        ),
        row(
            "REQUESTS_IN_FLIGHT",
            Is("400"),
            Number(1, 1_000_000),
            "requests that the instance works on at once",
        ),
        row(
            "CONNECTIONS",
            Is("448"),
            Number(1, 1_000_000),
            "HTTP connections, idle ones included; near it the longest idle gives way, at it others wait",
        ),
        row(
            "BODIES_AWAITED",
            Is("32"),
            Number(1, 1_000_000),
            "requests whose body has not come yet; at the bound the one that has taken longest goes",
        ),
        row(
            "POOL_SIZE",
            Found("16; in direct and serial 2"),
            Number(2, 1_000),
            "database connections per instance, to each server, shared out over the workers, two for each at least",
        ),
        row("BODY_LIMIT_BYTES", Is("4096"), Number(64, 1_048_576), "bytes of the largest request body"),
        row(
            "READ_TIMEOUT_MS",
            Is("5000"),
            MILLIS,
            "time for a request to arrive, from its first byte to its last",
        ),
        row("STATEMENT_TIMEOUT_MS", Is("5000"), MILLIS, "PostgreSQL's statement_timeout"),
        row(
            "CALL_DEADLINE_MS",
            Is("6000"),
            MILLIS,
            "time for one database call; then its connection is discarded",
        ),
        row("ANSWER_DEADLINE_MS", Is("10000"), MILLIS, "time for an answer, queueing included"),
        row("PASSIVATE_AFTER_MS", Is("10000"), MILLIS, "idle time after which an actor is forgotten"),
        row(
            "LAME_DUCK_MS",
            Is("0"),
            Number(0, 3_600_000),
            "time after SIGTERM in which /readyz is 503 and all else goes on, so that callers are led elsewhere",
        ),
        row(
            "KEYS_KEPT_S",
            Is("86400"),
            Number(60, 31_536_000),
            "seconds for which an Idempotency-Key is remembered, at least",
        ),
        row("DRAIN_TIMEOUT_MS", Is("10000"), MILLIS, "time to finish what is queued after SIGTERM"),
        row(
            "LOG",
            Is("info,actix_http=off"),
            Text("a tracing filter"),
            "what is logged; actix_http tells of each caller that sends no HTTP",
        ),
        row("LOG_FORMAT", Is("human"), Word(&["human", "json"]), "how log lines look"),
        row("SERVER_TIMING", Is("off"), Word(&["on", "off"]), "whether answers carry a Server-Timing header"),
        row(
            "TRACE",
            Is("off"),
            Text("a path or off"),
            "the file that a trace of the mailboxes is written to; {instance} in it is replaced by the instance's name",
        ),
        row(
            "TRACE_MAX_BYTES",
            Is("67108864"),
            Number(1 << 20, 1 << 40),
            "bytes of one trace file; then it becomes TRACE.1, and that TRACE.2, …",
        ),
        row("TRACE_FILES", Is("4"), Number(1, 1_000), "trace files kept, the one being written included"),
        row(
            "TRACE_QUEUE",
            Is("16384"),
            Number(1, 10_000_000),
            "trace lines that may wait to be written; further ones are dropped and counted",
        ),
        row(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            Is("off"),
            Text("a URL"),
            "where spans are sent over OTLP/HTTP (cargo feature otlp): the start of a URL, of which \
             OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is the whole; OpenTelemetry's other OTEL_* variables hold too",
        ),
    ]
};

/// Returns the setting of that name.
///
/// # Panics
/// Where there is none: a setting that the program reads stands in the table.
pub(crate) fn setting(name: &str) -> &'static Setting {
    let found = SETTINGS.iter().find(|setting| setting.name == name);
    found.unwrap_or_else(|| panic!("{name} stands in the table of settings"))
}

/// Names that the table does not list: OpenTelemetry's, and those that Rust itself reads.
const OTHERS: [&str; 2] = ["OTEL_", "RUST_"];

/// Makes sure that there is a setting of that name, and that it may have the value.
///
/// # Errors
/// What there is, or what it may be.
pub fn check(name: &str, value: &str) -> Result<(), String> {
    let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
        if OTHERS.iter().any(|other| name.starts_with(other)) {
            return Ok(());
        }
        let names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        return Err(format!("{name} is no setting of the service; there are {}", names.join(", ")));
    };
    let is_usable = match setting.values {
        Values::Number(..) => setting.values.number(value).is_some(),
        Values::Word(words) => words.contains(&value),
        Values::Text(_) => true,
    };
    // An empty one is as none.
    let fits = value.trim().is_empty() || is_usable;
    fits.then_some(()).ok_or_else(|| format!("{name}={value}: expected {}", setting.values))
}

/// Returns the whole table as text for a terminal, two lines a setting.
pub fn settings_text() -> String {
    let mut text = String::from("Settings, all from the environment (default; what it may be):\n");
    for Setting { name, default, values, meaning } in SETTINGS {
        text.push_str(&format!("\n  {name} ({default}; {values})\n      {meaning}\n"));
    }
    text
}
