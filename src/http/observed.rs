//! A request as it is told to whoever observes, from its head to its answer.

use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use traces::format::{ABANDONED, RequestRecord, UNHEARD};

use crate::mailbox::Ticket;
use crate::observing::{Observer, telemetry};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest request id that is taken over from a caller, in bytes.
const REQUEST_ID_MAX: usize = 128;

/// A request that is being worked on. Dropped without an answer, it says that its caller has left.
pub(super) struct Observed<'a> {
    /// What is known of it so far.
    pub(super) record: RequestRecord<'static>,
    /// What goes through the mailbox with it.
    pub(super) ticket: Ticket,
    observer: &'a Observer,
    started: Instant,
    told: bool,
}

impl<'a> Observed<'a> {
    /// Begins with a request whose head has arrived. It is given an id only if somebody follows it.
    pub(super) fn begin(request: &HttpRequest, observer: &'a Observer, kind: &'static str) -> Self {
        let started = Instant::now();
        let span = telemetry::request_span();
        let mut record = RequestRecord { kind: kind.into(), ..RequestRecord::default() };
        if observer.follows(&span) {
            let client = request.match_info().get("id").unwrap_or_default();
            record.id = request_id(request).into();
            record.client = client.parse().ok();
            span.record("request_id", &*record.id);
            span.record("client", client);
            let parent = request.headers().get(TRACEPARENT).and_then(|parent| parent.to_str().ok());
            if let Some(parent) = parent.filter(|_| !span.is_disabled()) {
                telemetry::adopt_parent(&span, parent);
            }
        }
        Self { record, ticket: Ticket::new(span), observer, started, told: false }
    }

    /// Tells how it was answered.
    pub(super) fn answered(&mut self, outcome: &'static str, status: u16) {
        self.record.status = Some(status);
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: &'static str) {
        self.told = true;
        self.record.outcome = outcome.into();
        self.record.call = self.ticket.call();
        self.record.took = Some(self.started.elapsed().as_micros() as u64);
        self.observer.request(&mut self.record, self.ticket.span());
    }
}

impl Drop for Observed<'_> {
    fn drop(&mut self) {
        if !self.told {
            // The caller's end of the channel is gone by now: what was not sent will not be.
            self.tell(if self.ticket.call().is_some() { UNHEARD } else { ABANDONED });
        }
    }
}

/// The caller's `X-Request-Id` where it is short and printable, or a new one.
fn request_id(request: &HttpRequest) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    match given.filter(|id| !id.is_empty() && id.len() <= REQUEST_ID_MAX) {
        Some(id) => id.to_owned(),
        None => format!("{:032x}", fastrand::u128(..)),
    }
}
