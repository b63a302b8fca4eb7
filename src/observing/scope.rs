//! A request, or a call to the database, while it lasts, as those see it who read of it.

use tracing::Span;

use super::otlp::{OpenSpan, Place};

/// The log's span, and a collector's. Where nobody listens there is neither.
pub struct Scope {
    pub(super) log: Span,
    pub(super) open: Option<OpenSpan>,
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

    /// Returns its trace's id, if a collector is sent it.
    pub(super) fn trace_id(&self) -> Option<String> {
        self.place().map(|place| place.trace_id())
    }

    /// Tells the log which trace it belongs to.
    pub(super) fn log_trace_id(&self) {
        if !self.log.is_disabled() {
            self.log.record("trace_id", self.trace_id());
        }
    }
}
