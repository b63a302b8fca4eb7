//! Who is told of what happened: metrics, the trace, the log, a collector.
//!
//! What is known of a request, and of a call to the database, is one record each
//! ([`RequestRecord`], [`CallRecord`]), made where it becomes known and handed once to the
//! [`Observer`]. While they last each has a [`Scope`]. `tracing` carries log lines and their spans; no figure
//! passes through a field of it.

pub mod exposition;
pub mod lag;
pub mod metrics;
pub mod telemetry;

mod head;
mod labelled;
mod log;
#[cfg_attr(not(feature = "otlp"), path = "otlp_absent.rs")]
mod otlp;
mod process;
mod request_id;
mod scope;
mod series;

use traces::format::{ActorChange, CallRecord, Line, RequestRecord};
use traces::{LineSender, now_micros};

use metrics::{HttpMetrics, MailboxMetrics, Metrics};
use otlp::Collector;

pub use head::RequestHead;
pub use log::LogLevel;
pub use otlp::Place;
pub use request_id::RequestId;
pub use scope::Scope;

/// Hands each record to everybody who observes. Cheap to clone: all clones tell the same ones.
#[derive(Clone)]
pub struct Observer {
    /// Counts what happens in the mailboxes.
    pub mailbox: MailboxMetrics,
    /// Counts answers.
    pub http: HttpMetrics,
    trace: Option<LineSender>,
    collector: Option<Collector>,
}

impl Observer {
    /// Makes one that counts into `metrics`, and writes and sends where `telemetry` does.
    pub fn new(metrics: &Metrics, telemetry: &telemetry::Telemetry) -> Self {
        let (trace, collector) = (telemetry.trace(), telemetry.collector());
        Self { trace, collector, ..Self::of(metrics) }
    }

    /// Makes one whose metrics nobody reads, for tests and measurements.
    pub fn unheard() -> Self {
        Self::of(&Metrics::new("unheard"))
    }

    fn of(metrics: &Metrics) -> Self {
        Self { mailbox: metrics.mailbox.clone(), http: metrics.http.clone(), trace: None, collector: None }
    }

    /// Begins with a request whose head has arrived; `head` is asked only if somebody listens.
    pub fn begin_request<'a>(&self, id: &RequestId, head: impl FnOnce() -> RequestHead<'a>) -> Scope {
        let mut scope = Scope { log: log::request_span(), open: None };
        if self.collector.is_some() || scope.is_heard() {
            let head = head();
            scope.open = self.collector.as_ref().and_then(|collector| collector.open_request(&head));
            scope.log.record("request_id", id.as_str());
            scope.log.record("client", head.client);
            scope.log_trace_id();
        }
        scope
    }

    /// Says whether anybody wants to know more of a request, or a call, than metrics do.
    pub fn follows(&self, scope: &Scope) -> bool {
        self.trace.is_some() || scope.is_heard()
    }

    /// Tells of a request that was answered, or whose caller has gone. What the record says may be
    /// taken out of it. `calls` are those that carried it, as far as a collector is sent them.
    pub fn request(&self, record: &mut RequestRecord<'static>, scope: &mut Scope, calls: &[Place]) {
        self.http.observe(record, scope.trace_id());
        if self.follows(scope) {
            record.at = now_micros().saturating_sub(record.took.unwrap_or(0));
            log::tell_request(&scope.log, record);
            if let Some(open) = scope.open.take() {
                open.close_request(record, calls);
            }
            self.write(|| Line::Request(std::mem::take(record)));
        }
    }

    /// Begins with a call. `requests` are those that it carries, as far as a collector is sent them: it is sent
    /// the call only if there are any.
    pub fn begin_call<'a>(&self, number: u64, requests: impl Iterator<Item = &'a Place>) -> Scope {
        let open = self.collector.as_ref().and_then(|collector| collector.open_call(requests));
        let scope = Scope { log: log::call_span(), open };
        scope.log.record("flush", number);
        scope.log_trace_id();
        scope
    }

    /// Tells of a call that is over, once everybody in it is answered. What the record says may be
    /// taken out of it.
    pub fn call(&self, record: &mut CallRecord<'static>, scope: &mut Scope) {
        self.mailbox.observe(record, scope.trace_id());
        if self.follows(scope) {
            record.at = now_micros().saturating_sub(record.total);
            log::tell_call(&scope.log, record);
            if let Some(open) = scope.open.take() {
                open.close_call(record);
            }
            self.write(|| Line::Call(std::mem::take(record)));
        }
    }

    /// Tells of something that happened to a client's actor.
    pub fn actor(&self, client: i32, state: &'static str) {
        log::tell_actor(client, state);
        self.write(|| Line::Actor(ActorChange { client, at: now_micros(), state: state.into() }));
    }

    fn write(&self, line: impl FnOnce() -> Line<'static>) {
        if let Some(trace) = &self.trace {
            trace.send(line());
        }
    }
}
