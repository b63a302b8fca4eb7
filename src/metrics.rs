//! What an instance counts, and the Prometheus registry that shows it.
//!
//! Labels are bounded: routes, statuses, outcomes and bounds. Nothing is labelled by client.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Everything an instance counts. Cheap to clone: all clones count together.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Requests as HTTP sees them.
    pub http: HttpMetrics,
    /// What happens in the mailboxes.
    pub mailbox: MailboxMetrics,
    /// The database connections.
    pub pool: PoolMetrics,
}

/// Requests by route and status, and their time.
#[derive(Clone)]
pub struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    transaction_seconds: Histogram,
    statement_seconds: Histogram,
}

/// What happens in the mailboxes.
#[derive(Clone)]
pub struct MailboxMetrics {
    /// Requests waiting in queues.
    pub depth: Gauge,
    /// Actors alive.
    pub live_actors: Gauge,
    /// Actors started.
    pub activations: Counter,
    /// Idle actors forgotten.
    pub passivations: Counter,
    /// Actors that panicked.
    pub actor_panics: Counter,
    /// Requests whose caller had gone before they were sent.
    pub abandoned: Counter,
    flushes: Counter,
    batch_transactions: Histogram,
    batch_clients: Histogram,
    wait_seconds: Histogram,
    connection_seconds: Histogram,
    database_seconds: Histogram,
    lock_wait_seconds: Counter<f64, AtomicU64>,
    work_seconds: Counter<f64, AtomicU64>,
    statement_queries: Counter,
    statements: Counter,
    outcomes: [Counter; 4],
    /// Requests refused at a bound.
    pub sheds: Sheds,
    /// Calls that brought no answer.
    pub failures: Failures,
}

/// Requests refused, by the bound that was reached.
#[derive(Clone)]
pub struct Sheds {
    /// One client's queue.
    pub client_queue: Counter,
    /// Live actors.
    pub live_actors: Counter,
    /// Requests in flight.
    pub requests_in_flight: Counter,
}

/// Database calls that brought no answer, by what became of them.
#[derive(Clone)]
pub struct Failures {
    /// Nothing was sent.
    pub not_sent: Counter,
    /// The database undid it.
    pub rolled_back: Counter,
    /// Nobody knows.
    pub unknown: Counter,
}

/// One call that brought its outcomes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flush {
    /// Clients that it spanned.
    pub clients: usize,
    /// Transactions that were applied.
    pub applied: u64,
    /// Debits beyond the credit limit.
    pub limit_exceeded: u64,
    /// Transactions that would have left the range of a balance.
    pub balance_overflow: u64,
    /// Transactions of clients that do not exist.
    pub unknown_client: u64,
    /// Time to get a connection.
    pub connection: Duration,
    /// Time of the call.
    pub database: Duration,
    /// Time that the database waited for row locks.
    pub lock_wait: Duration,
    /// Time that the database worked with them.
    pub work: Duration,
}

/// Database connections of the instance.
#[derive(Clone)]
pub struct PoolMetrics {
    /// Connections open.
    pub open: Gauge,
    /// Connections in use.
    pub in_use: Gauge,
}

/// The routes that requests are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// `POST /clientes/{id}/transacoes`
    Transaction,
    /// `GET /clientes/{id}/extrato`
    Statement,
    /// Everything else.
    Other,
}

impl Route {
    fn label(self) -> &'static str {
        match self {
            Self::Transaction => "transacoes",
            Self::Statement => "extrato",
            Self::Other => "other",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: u16,
}

/// Powers of two: batches grow by queueing, which doubles.
const SIZES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// From a tenth of a millisecond to ten seconds.
const SECONDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0];

fn sizes() -> Histogram {
    Histogram::new(SIZES)
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
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

    /// The OpenMetrics text of now.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes everything that is written to it");
        text
    }
}

impl HttpMetrics {
    fn register(registry: &mut Registry) -> Self {
        let this = Self {
            requests: Family::default(),
            transaction_seconds: seconds(),
            statement_seconds: seconds(),
        };
        registry.register("http_requests", "Requests answered, by route and status", this.requests.clone());
        let (name, help) =
            ("http_transaction_duration", "Time from a request's head to its answer, transactions");
        registry.register_with_unit(name, help, Unit::Seconds, this.transaction_seconds.clone());
        let (name, help) =
            ("http_statement_duration", "Time from a request's head to its answer, statements");
        registry.register_with_unit(name, help, Unit::Seconds, this.statement_seconds.clone());
        this
    }

    /// Counts one answer.
    pub fn answered(&self, route: Route, status: u16, took: Duration) {
        self.requests.get_or_create(&RequestLabels { route: route.label(), status }).inc();
        match route {
            Route::Transaction => self.transaction_seconds.observe(took.as_secs_f64()),
            Route::Statement => self.statement_seconds.observe(took.as_secs_f64()),
            Route::Other => {}
        }
    }
}

impl PoolMetrics {
    fn register(registry: &mut Registry) -> Self {
        let this = Self { open: Gauge::default(), in_use: Gauge::default() };
        registry.register("pool_connections_open", "Database connections open", this.open.clone());
        registry.register("pool_connections_in_use", "Database connections in use", this.in_use.clone());
        this
    }
}

/// Registers a counter for each value of one label, so that counting looks nothing up.
fn labelled<const N: usize>(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    label: &'static str,
    values: [&'static str; N],
) -> [Counter; N] {
    let family = Family::<Vec<(&'static str, &'static str)>, Counter>::default();
    registry.register(name, help, family.clone());
    values.map(|value| family.get_or_create(&vec![(label, value)]).clone())
}

impl MailboxMetrics {
    /// Metrics that nobody reads, for tests.
    pub fn unregistered() -> Self {
        Self::register(&mut Registry::default())
    }

    fn register(registry: &mut Registry) -> Self {
        let outcomes = labelled(
            registry,
            "transactions",
            "Transactions by outcome",
            "outcome",
            ["applied", "limit_exceeded", "balance_overflow", "unknown_client"],
        );
        let [client_queue, live_actors, requests_in_flight] = labelled(
            registry,
            "sheds",
            "Requests refused because a bound was reached",
            "bound",
            ["client_queue", "live_actors", "requests_in_flight"],
        );
        let [not_sent, rolled_back, unknown] = labelled(
            registry,
            "database_failures",
            "Database calls that brought no answer",
            "fate",
            ["not_sent", "rolled_back", "unknown"],
        );
        let this = Self {
            depth: Gauge::default(),
            live_actors: Gauge::default(),
            activations: Counter::default(),
            passivations: Counter::default(),
            actor_panics: Counter::default(),
            abandoned: Counter::default(),
            flushes: Counter::default(),
            batch_transactions: sizes(),
            batch_clients: sizes(),
            wait_seconds: seconds(),
            connection_seconds: seconds(),
            database_seconds: seconds(),
            lock_wait_seconds: Counter::default(),
            work_seconds: Counter::default(),
            statement_queries: Counter::default(),
            statements: Counter::default(),
            outcomes,
            sheds: Sheds { client_queue, live_actors, requests_in_flight },
            failures: Failures { not_sent, rolled_back, unknown },
        };
        this.register_counts(registry);
        this.register_distributions(registry);
        this
    }

    fn register_counts(&self, registry: &mut Registry) {
        registry.register("mailbox_depth", "Requests waiting in mailboxes", self.depth.clone());
        registry.register("live_actors", "Actors alive", self.live_actors.clone());
        registry.register("activations", "Actors started", self.activations.clone());
        registry.register("passivations", "Idle actors forgotten", self.passivations.clone());
        registry.register("actor_panics", "Actors that panicked", self.actor_panics.clone());
        registry.register(
            "abandoned",
            "Requests whose caller left before they were sent",
            self.abandoned.clone(),
        );
        registry.register("flushes", "Database calls that carried transactions", self.flushes.clone());
        registry.register(
            "statement_queries",
            "Queries that read a statement",
            self.statement_queries.clone(),
        );
        registry.register(
            "statements",
            "Statements answered, several of which may share a query",
            self.statements.clone(),
        );
    }

    fn register_distributions(&self, registry: &mut Registry) {
        let help = "Transactions in one call";
        registry.register("batch_transactions", help, self.batch_transactions.clone());
        registry.register("batch_clients", "Clients in one call", self.batch_clients.clone());
        for (name, help, histogram) in [
            ("mailbox_wait", "Time from a request's arrival to its call", &self.wait_seconds),
            ("connection_wait", "Time to get a connection for a call", &self.connection_seconds),
            ("database", "Time of a database call", &self.database_seconds),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        for (name, help, counter) in [
            (
                "lock_wait",
                "Time that calls waited for row locks, as the database reports",
                &self.lock_wait_seconds,
            ),
            ("work", "Time that calls worked with their locks, as the database reports", &self.work_seconds),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, counter.clone());
        }
    }

    /// Counts a call that brought its outcomes.
    pub fn flushed(&self, flush: &Flush) {
        let counts = [flush.applied, flush.limit_exceeded, flush.balance_overflow, flush.unknown_client];
        self.flushes.inc();
        self.batch_transactions.observe(counts.iter().sum::<u64>() as f64);
        self.batch_clients.observe(flush.clients as f64);
        self.connection_seconds.observe(flush.connection.as_secs_f64());
        self.database_seconds.observe(flush.database.as_secs_f64());
        self.lock_wait_seconds.inc_by(flush.lock_wait.as_secs_f64());
        self.work_seconds.inc_by(flush.work.as_secs_f64());
        for (counter, count) in self.outcomes.iter().zip(counts).filter(|(_, count)| *count > 0) {
            counter.inc_by(count);
        }
    }

    /// Counts how long one request waited for its call.
    pub fn waited(&self, queued: Duration) {
        self.wait_seconds.observe(queued.as_secs_f64());
    }

    /// Counts one statement's query, whose answer went to `callers`.
    pub fn read(&self, callers: usize) {
        self.statement_queries.inc();
        self.statements.inc_by(callers as u64);
    }
}
