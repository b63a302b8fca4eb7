//! What an instance counts, and the Prometheus registry that shows it.
//!
//! A metric is a line of a `metrics!` table and the place that counts. Labels are bounded: routes,
//! statuses, outcomes and bounds. Nothing is labelled by client.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use traces::format::{CallRecord, RequestRecord};

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
        requests: Family<RequestLabels, Counter> = Family::default(), "http_requests", "Requests answered, by route and status";
        transaction_seconds: Histogram = seconds(), "http_transaction_duration" in Seconds, "Time from a request's head to its answer, transactions";
        statement_seconds: Histogram = seconds(), "http_statement_duration" in Seconds, "Time from a request's head to its answer, statements";
    }
}

metrics! {
    /// What happens in the mailboxes.
    MailboxMetrics {
        depth: Gauge = Gauge::default(), "mailbox_depth", "Requests waiting in mailboxes";
        live_actors: Gauge = Gauge::default(), "live_actors", "Actors alive";
        activations: Counter = Counter::default(), "activations", "Actors started";
        passivations: Counter = Counter::default(), "passivations", "Idle actors forgotten";
        actor_panics: Counter = Counter::default(), "actor_panics", "Actors that panicked";
        abandoned: Counter = Counter::default(), "abandoned", "Requests whose caller left before they were sent";
        flushes: Counter = Counter::default(), "flushes", "Database calls that carried transactions";
        batch_transactions: Histogram = batch_sizes(), "batch_transactions", "Transactions in one call";
        batch_clients: Histogram = batch_sizes(), "batch_clients", "Clients in one call";
        wait_seconds: Histogram = seconds(), "mailbox_wait" in Seconds, "Time from a request's arrival to its call";
        connection_seconds: Histogram = seconds(), "connection_wait" in Seconds, "Time to get a connection for a call";
        database_seconds: Histogram = seconds(), "database" in Seconds, "Time of a database call";
        row_wait_seconds: Seconds = Counter::default(), "lock_wait" in Seconds, "Time that calls waited for row locks, as the database reports";
        work_seconds: Seconds = Counter::default(), "work" in Seconds, "Time that calls worked with their locks, as the database reports";
        statement_queries: Counter = Counter::default(), "statement_queries", "Queries that read a statement";
        statements: Counter = Counter::default(), "statements", "Statements answered, several of which may share a query";
        outcomes: Labelled<4> = Labelled::new("outcome", ["applied", "limit_exceeded", "balance_overflow", "unknown_client"]), "transactions", "Transactions by outcome";
        sheds: Labelled<4> = Labelled::new("bound", ["client_queue", "live_actors", "requests_in_flight", "row_waits"]), "sheds", "Requests refused because a bound was reached";
        failures: Labelled<3> = Labelled::new("fate", ["not_sent", "rolled_back", "unknown"]), "database_failures", "Database calls that brought no answer";
    }
}

metrics! {
    /// Database connections of the instance.
    PoolMetrics {
        open: Gauge = Gauge::default(), "pool_connections_open", "Database connections open";
        in_use: Gauge = Gauge::default(), "pool_connections_in_use", "Database connections in use";
    }
}

/// A request's route and status.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    route: &'static str,
    status: u16,
}

/// Counters by the values of one label, so that counting looks nothing up.
#[derive(Clone, Debug)]
pub struct Labelled<const N: usize> {
    family: Family<Vec<(&'static str, &'static str)>, Counter>,
    counters: [(&'static str, Counter); N],
}

impl<const N: usize> Labelled<N> {
    fn new(label: &'static str, values: [&'static str; N]) -> Self {
        let family = Family::<Vec<(&'static str, &'static str)>, Counter>::default();
        let counters = values.map(|value| (value, family.get_or_create(&vec![(label, value)]).clone()));
        Self { family, counters }
    }

    /// Counts one more of `value`, which is one of the declared ones.
    pub fn inc(&self, value: &str) {
        let counter = self.counters.iter().find(|(known, _)| *known == value);
        debug_assert!(counter.is_some(), "{value} is not declared");
        if let Some((_, counter)) = counter {
            counter.inc();
        }
    }

    /// Adds to every counter, in the declared order.
    fn add(&self, counts: [u64; N]) {
        for ((_, counter), count) in self.counters.iter().zip(counts).filter(|(_, count)| *count > 0) {
            counter.inc_by(count);
        }
    }
}

impl<const N: usize> EncodeMetric for Labelled<N> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.family.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.family.metric_type()
    }
}

/// Powers of two: batches grow by queueing, which doubles.
fn batch_sizes() -> Histogram {
    Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0])
}

/// Returns a histogram from a tenth of a millisecond to ten seconds.
fn seconds() -> Histogram {
    Histogram::new([
        0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
        10.0,
    ])
}

impl Metrics {
    /// Makes and registers everything, under the prefix `guiche` and with the instance's name.
    pub fn new(instance: &str) -> Self {
        let labels = [("instance_name".into(), instance.to_owned().into())];
        let mut registry = Registry::with_prefix_and_labels("guiche", labels.into_iter());
        let http = HttpMetrics::register(&mut registry);
        let mailbox = MailboxMetrics::register(&mut registry);
        let pool = PoolMetrics::register(&mut registry);
        Self { registry: Arc::new(registry), http, mailbox, pool }
    }

    /// Returns the OpenMetrics text of now.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes everything that is written to it");
        text
    }
}

impl HttpMetrics {
    /// Counts one answer. A request without a status was not answered.
    pub(super) fn observe(&self, request: &RequestRecord<'_>) {
        let (Some(status), Some(took)) = (request.status, request.took) else { return };
        let (route, duration) = match &*request.kind {
            "statement" => ("extrato", &self.statement_seconds),
            _ => ("transacoes", &self.transaction_seconds),
        };
        self.requests.get_or_create(&RequestLabels { route, status }).inc();
        duration.observe(seconds_of(took));
    }
}

impl MailboxMetrics {
    /// Counts a call that is over.
    pub(super) fn observe(&self, call: &CallRecord<'_>) {
        let outcomes = [call.applied, call.limit_exceeded, call.balance_overflow, call.unknown_client];
        let transactions: u64 = outcomes.iter().sum();
        self.statement_queries.inc_by(call.queries);
        if transactions == 0 {
            return;
        }
        self.flushes.inc();
        self.batch_transactions.observe(transactions as f64);
        self.batch_clients
            .observe(call.carries.iter().filter(|(_, transactions, _)| *transactions > 0).count() as f64);
        self.connection_seconds.observe(seconds_of(call.connection));
        self.database_seconds.observe(seconds_of(call.database));
        self.row_wait_seconds.inc_by(seconds_of(call.report.row_wait));
        self.work_seconds.inc_by(seconds_of(call.report.work));
        self.outcomes.add(outcomes);
    }

    /// Counts how long one transaction waited for its call.
    pub fn waited(&self, queued: Duration) {
        self.wait_seconds.observe(queued.as_secs_f64());
    }
}

fn seconds_of(micros: u64) -> f64 {
    micros as f64 / 1e6
}
