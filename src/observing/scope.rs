//! A request, or a call to the database, while it lasts, as those see it who read of it.

use tracing::Span;

use super::otlp::{OpenSpan, Place};

/// The log's span, and a collector's. Where nobody listens there is neither.
pub struct Scope {
    pub(super) log: Span,
    pub(super) open: Option<OpenSpan>,
}

/// What a request's head says of it.
pub struct RequestHead<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path, without a query.
    pub path: &'a str,
    /// The pattern that its path fits.
    pub route: Option<String>,
    /// The client, unless the path names none.
    pub client: Option<i32>,
    /// `traceparent` and `tracestate`: its caller's trace (W3C Trace Context).
    pub trace_context: [Option<&'a str>; 2],
}

impl Scope {
    /// Returns the log's span; a disabled one where the log does not tell of requests.
    pub fn log(&self) -> &Span {
        &self.log
    }

    /// Returns where it stands in a trace, if a collector is sent it.
    pub fn place(&self) -> Option<Place> {
        self.open.as_ref().map(OpenSpan::place)
    }

    /// Says whether anybody listens.
    pub(super) fn is_heard(&self) -> bool {
        !self.log.is_disabled() || self.open.is_some()
    }

    /// Tells the log which trace it belongs to.
    pub(super) fn log_trace_id(&self) {
        if let Some(place) = self.place() {
            self.log.record("trace_id", place.trace_id());
        }
    }
}
