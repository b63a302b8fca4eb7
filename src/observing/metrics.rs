//! What an instance counts, and the Prometheus registry that shows it.
//!
//! A metric is a line of a `metrics!` table and the place that counts. Labels are bounded: routes,
//! statuses, outcomes and bounds. Nothing is labelled by client. Series whose labels are known are there
//! from the start, at 0: a rate misses what a series begins with.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{prometheus_protobuf, prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use settings::{Config, Mode};
use traces::format::{CallRecord, RequestRecord};

use super::exposition::Format;
use super::labelled::{Labelled, LabelledHistogram, natively, with_native};
use super::process::ProcessCollector;
use super::series::{
    ANSWERED, BOTH, CallLabels, NO_ROUTE, RequestLabels, STATEMENTS, TRANSACTIONS, known_calls,
    known_requests,
};

/// Everything an instance counts. Cheap to clone: all clones count together.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Counts requests as HTTP sees them.
    pub http: HttpMetrics,
    /// Counts what happens in the mailboxes.
    pub mailbox: MailboxMetrics,
    /// Counts the database connections.
    pub pool: PoolMetrics,
    /// Counts what the threads that serve have of the processor.
    pub threads: ThreadMetrics,
    /// Counts what a collector is sent.
    pub spans: SpanMetrics,
}

/// A count of whole or part seconds.
type Seconds = Counter<f64, AtomicU64>;

/// Declares metrics that are registered together: field, type, how it is made, name, unit, help.
macro_rules! metrics {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty = $make:expr, $metric:literal $(in $unit:ident)?, $help:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name { $(#[doc = $help] pub $field: $type,)* }

        impl $name {
            fn register(registry: &mut Registry) -> Self {
                $(let $field: $type = $make; metrics!(@ registry, $metric, $help, $field $(, $unit)?);)*
                Self { $($field),* }
            }
        }
    };
    (@ $registry:ident, $metric:literal, $help:literal, $field:ident) => {
        $registry.register($metric, $help, $field.clone());
    };
    (@ $registry:ident, $metric:literal, $help:literal, $field:ident, $unit:ident) => {
        $registry.register_with_unit($metric, $help, Unit::$unit, $field.clone());
    };
}

metrics! {
    /// Requests by route and status, and their time.
    HttpMetrics {
        connections: Gauge = Gauge::default(), "http_connections", "HTTP connections open, idle ones included";
        requests: LabelledHistogram<RequestLabels> = known_requests(&SECONDS), "http_request_duration" in Seconds, "Time from a request's head to its answer, by route and status";
    }
}

metrics! {
    /// What happens in the mailboxes.
    MailboxMetrics {
        requests: Gauge = Gauge::default(), "requests_in_flight", "Requests being worked on, those that wait in mailboxes among them";
        calls: Gauge = Gauge::default(), "calls_in_flight", "Database calls that are out, those of clients that wait apart aside";
        row_waits: Gauge = Gauge::default(), "row_waits", "Database calls of clients that wait apart, for a row that somebody else holds";
        depth: Gauge = Gauge::default(), "mailbox_depth", "Requests waiting in mailboxes";
        live_actors: Gauge = Gauge::default(), "live_actors", "Actors alive";
        activations: Counter = Counter::default(), "activations", "Actors started";
        passivations: Counter = Counter::default(), "passivations", "Idle actors forgotten";
        actor_panics: Counter = Counter::default(), "actor_panics", "Actors that panicked";
        abandoned: Counter = Counter::default(), "abandoned", "Requests whose caller left before they were sent";
        flushes: Counter = Counter::default(), "flushes", "Database calls that sent transactions, whatever came of them";
        batch_transactions: Histogram = batch_sizes(), "batch_transactions", "Transactions in one call";
        batch_clients: Histogram = batch_sizes(), "batch_clients", "Clients in one call";
        wait_seconds: Histogram = seconds(), "mailbox_wait" in Seconds, "Time from a transaction's arrival to its call";
        connection_seconds: Histogram = seconds(), "connection_wait" in Seconds, "Time to get a connection for a call";
        database_seconds: LabelledHistogram<CallLabels> = known_calls(&SECONDS), "database" in Seconds, "Time of a database call, by what it carried and what became of it";
        row_wait_seconds: Seconds = Counter::default(), "lock_wait" in Seconds, "Time that calls waited for row locks, as the database reports";
        work_seconds: Seconds = Counter::default(), "work" in Seconds, "Time that calls worked with their locks, as the database reports";
        statement_queries: Counter = Counter::default(), "statement_queries", "Queries that read statements, of one client or of several";
        statements: Counter = Counter::default(), "statements", "Statements answered, several of which may share a query";
        outcomes: Labelled<8> = Labelled::new("outcome", ["applied", "limit_exceeded", "balance_overflow", "unknown_client", "repeated", "key_reused", "rolled_back", "unknown"]), "transactions", "Transactions sent, by outcome";
        sheds: Labelled<4> = Labelled::new("bound", ["client_queue", "live_actors", "requests_in_flight", "row_waits"]), "sheds", "Requests refused because a bound was reached";
        failures: Labelled<3> = Labelled::new("fate", ["not_sent", "rolled_back", "unknown"]), "database_failures", "Database calls that brought no answer";
    }
}

metrics! {
    /// What is allowed of that which other metrics count.
    BoundMetrics {
        http_connections: Gauge = Gauge::default(), "http_connections_max", "HTTP connections that may be open (CONNECTIONS)";
        requests: Gauge = Gauge::default(), "requests_in_flight_max", "Requests that may be worked on (REQUESTS_IN_FLIGHT)";
        calls: Gauge = Gauge::default(), "calls_in_flight_max", "Database calls that may be out (CALLS_IN_FLIGHT, OVERLAP_CALLS)";
        row_waits: Gauge = Gauge::default(), "row_waits_max", "Clients that may wait apart (ROW_WAITS)";
        live_actors: Gauge = Gauge::default(), "live_actors_max", "Actors that may be alive (LIVE_ACTORS)";
        connections: Gauge = Gauge::default(), "pool_connections_max", "Database connections that may be open (POOL_SIZE)";
    }
}

metrics! {
    /// The threads that serve.
    ThreadMetrics {
        lag: Histogram = seconds(), "event_loop_lag" in Seconds, "How much later than asked for a thread that serves went on, sampled";
    }
}

metrics! {
    /// Database connections of the instance.
    PoolMetrics {
        open: Gauge = Gauge::default(), "pool_connections_open", "Database connections open";
        in_use: Gauge = Gauge::default(), "pool_connections_in_use", "Database connections in use";
    }
}

metrics! {
    /// What a collector is sent (OTLP).
    SpanMetrics {
        fates: Labelled<3> = Labelled::new("fate", ["sent", "refused", "queue_full"]), "spans", "Spans that ended, by whether the collector took them";
        exports: Labelled<2> = Labelled::new("fate", ["sent", "refused"]), "metric_exports", "Times that all metrics were sent to a collector, by whether it took them";
    }
}

/// Powers of two: batches grow by queueing, which doubles.
fn batch_sizes() -> Histogram {
    Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0])
}

/// Bounds of times: from a tenth of a millisecond to ten seconds.
const SECONDS: [f64; 20] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0,
    3.0, 4.0, 5.0, 10.0,
];

fn seconds() -> Histogram {
    with_native(&SECONDS)
}

impl Metrics {
    /// Makes and registers everything, under the prefix `guiche` and with the instance's name, and the
    /// process's own without a prefix.
    pub fn new(instance: &str) -> Self {
        let labels = [("instance_name".into(), instance.to_owned().into())];
        let mut registry = Registry::with_labels(labels.into_iter());
        registry.register_collector(Box::new(ProcessCollector));
        let own = registry.sub_registry_with_prefix("guiche");
        let http = HttpMetrics::register(own);
        let mailbox = MailboxMetrics::register(own);
        let pool = PoolMetrics::register(own);
        let threads = ThreadMetrics::register(own);
        let spans = SpanMetrics::register(own);
        Self { registry: Arc::new(registry), http, mailbox, pool, threads, spans }
    }

    /// Does the same, and shows what the instance is and the bounds that it was given.
    pub fn of(config: &Config) -> Self {
        let mut metrics = Self::new(&config.instance);
        let registry = Arc::get_mut(&mut metrics.registry).expect("nobody else has it yet");
        let own = registry.sub_registry_with_prefix("guiche");
        let (mode, profile) = (config.mode.name(), config.profile.name());
        let build = [("version", env!("CARGO_PKG_VERSION")), ("mode", mode), ("profile", profile)];
        own.register("build", "What runs", Info::new(build.to_vec()));
        let bounds = &config.bounds;
        let calls = config.calls_per_worker() * config.workers;
        let max = BoundMetrics::register(own);
        for (gauge, bound) in [
            (max.http_connections, config.connections_per_worker() * config.workers),
            (max.requests, bounds.requests_in_flight),
            (max.calls, if config.mode == Mode::Direct { bounds.requests_in_flight } else { calls }),
            (max.row_waits, config.row_waits_per_worker() * config.workers),
            (max.live_actors, bounds.live_actors),
            (max.connections, config.pool_size_per_worker() * config.workers),
        ] {
            gauge.set(i64::try_from(bound).unwrap_or(i64::MAX));
        }
        metrics
    }

    /// Returns the OpenMetrics text of now.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("a String takes everything that is written to it");
        text
    }

    /// Returns the same in this format.
    pub fn encode_as(&self, format: Format) -> Vec<u8> {
        match format {
            Format::OpenMetrics => self.encode().into_bytes(),
            Format::Text => {
                let mut text = String::new();
                let written = prometheus_text::encode(&mut text, &self.registry);
                written.expect("a String takes everything that is written to it");
                text.into_bytes()
            }
            Format::Protobuf => {
                let encoded = natively(|| prometheus_protobuf::encode_to_vec(&self.registry));
                encoded.expect("a Vec takes everything that is written to it")
            }
        }
    }
}

impl HttpMetrics {
    /// Counts the answer to a request of this route, which has arrived `took` ago.
    pub fn answered(&self, route: Option<&'static str>, status: u16, took: Duration) {
        let labels = RequestLabels { status, route: route.unwrap_or(NO_ROUTE) };
        self.requests.observe(&labels, took.as_secs_f64(), None);
    }

    /// Counts one answer. A request without a status was not answered.
    pub(super) fn observe(&self, request: &RequestRecord<'_>, trace_id: Option<String>) {
        let (Some(status), Some(took)) = (request.status, request.took) else { return };
        let route = match &*request.kind {
            "statement" => "extrato",
            _ => "transacoes",
        };
        self.requests.observe(&RequestLabels { status, route }, seconds_of(took), trace_id);
    }
}

impl MailboxMetrics {
    /// Counts a call that is over.
    pub(super) fn observe(&self, call: &CallRecord<'_>, trace_id: Option<String>) {
        let unanswered = |fate| if call.failure.as_deref() == Some(fate) { call.unanswered } else { 0 };
        let outcomes = [
            call.applied,
            call.limit_exceeded,
            call.balance_overflow,
            call.unknown_client,
            call.repeated,
            call.key_reused,
            unanswered("rolled_back"),
            unanswered("unknown"),
        ];
        let transactions: u64 = outcomes.iter().sum();
        let fate = match call.failure.as_deref() {
            None => ANSWERED,
            Some("rolled_back") => "rolled_back",
            Some("unknown") => "unknown",
            Some(_not_sent) => return self.connection_seconds.observe(seconds_of(call.connection)),
        };
        self.statement_queries.inc_by(call.queries);
        // One whose runs all wait apart from now on is undone, and brought nothing.
        let wrote = transactions > 0 || (fate != ANSWERED && call.queries == 0);
        let carried = match (wrote, call.queries > 0) {
            (true, false) => TRANSACTIONS,
            (true, true) => BOTH,
            (false, true) => STATEMENTS,
            (false, false) => return,
        };
        self.connection_seconds.observe(seconds_of(call.connection));
        self.database_seconds.observe(&CallLabels { carried, fate }, seconds_of(call.database), trace_id);
        if !wrote {
            return;
        }
        self.flushes.inc();
        self.row_wait_seconds.inc_by(seconds_of(call.report.row_wait));
        self.work_seconds.inc_by(seconds_of(call.report.work));
        if transactions > 0 {
            self.batch_transactions.observe(transactions as f64);
            let clients = call.carries.iter().filter(|(_, transactions, _)| *transactions > 0).count();
            self.batch_clients.observe(clients as f64);
            self.outcomes.add(outcomes);
        }
    }

    /// Counts how long one transaction waited for its call.
    pub fn waited(&self, queued: Duration) {
        self.wait_seconds.observe(queued.as_secs_f64());
    }
}

fn seconds_of(micros: u64) -> f64 {
    micros as f64 / 1e6
}
