//! Who is told of what happened: metrics, the trace, the log, a collector.
//!
//! What is known of a request, and of a call to the database, is one record each
//! ([`RequestRecord`], [`CallRecord`]), made where it becomes known and handed once to the
//! [`Observer`]. `tracing` carries log lines and spans; no figure passes through a field of it.

pub mod exposition;
pub mod lag;
pub mod metrics;
pub mod telemetry;

mod labelled;
#[cfg(feature = "otlp")]
mod otlp;
mod process;
mod targets;

use traces::format::{ActorChange, CallRecord, Line, RequestRecord};
use traces::{LineSender, now_micros};
use tracing::Span;

use metrics::{HttpMetrics, MailboxMetrics, Metrics};

/// Hands each record to everybody who observes. Cheap to clone: all clones tell the same ones.
#[derive(Clone)]
pub struct Observer {
    /// Counts what happens in the mailboxes.
    pub mailbox: MailboxMetrics,
    /// Counts answers.
    pub http: HttpMetrics,
    trace: Option<LineSender>,
}

impl Observer {
    /// Makes one that counts into `metrics` and writes to `trace`, if there is one.
    pub fn new(metrics: &Metrics, trace: Option<LineSender>) -> Self {
        Self { mailbox: metrics.mailbox.clone(), http: metrics.http.clone(), trace }
    }

    /// Makes one whose metrics nobody reads, for tests and measurements.
    pub fn unheard() -> Self {
        Self::new(&Metrics::new("unheard"), None)
    }

    /// Says whether anybody wants to know more of a request than metrics do.
    pub fn follows(&self, request: &Span) -> bool {
        self.trace.is_some() || !request.is_disabled()
    }

    /// Tells of a request that was answered, or whose caller has gone. What the record says may be
    /// taken out of it.
    pub fn request(&self, record: &mut RequestRecord<'static>, span: &Span) {
        self.http.observe(record);
        if self.follows(span) {
            record.at = now_micros().saturating_sub(record.took.unwrap_or(0));
            telemetry::tell_request(span, record);
            self.write(|| Line::Request(std::mem::take(record)));
        }
    }

    /// Tells of a call that is over, once everybody in it is answered. What the record says may be
    /// taken out of it.
    pub fn call(&self, record: &mut CallRecord<'static>, span: &Span) {
        self.mailbox.observe(record);
        if self.follows(span) {
            record.at = now_micros().saturating_sub(record.total);
            telemetry::tell_call(span, record);
            self.write(|| Line::Call(std::mem::take(record)));
        }
    }

    /// Tells of something that happened to a client's actor.
    pub fn actor(&self, client: i32, state: &'static str) {
        tracing::debug!(target: targets::ACTOR, client, "{state}");
        self.write(|| Line::Actor(ActorChange { client, at: now_micros(), state: state.into() }));
    }

    fn write(&self, line: impl FnOnce() -> Line<'static>) {
        if let Some(trace) = &self.trace {
            trace.send(line());
        }
    }
}
