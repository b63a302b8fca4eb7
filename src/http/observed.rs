//! A request as it is told to whoever observes, from its head to its answer.

use std::time::Instant;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use traces::format::{ABANDONED, RequestRecord, UNHEARD};
use tracing::Span;

use super::path::Path;
use crate::mailbox::Ticket;
use crate::observing::{Observer, RequestHead, RequestId, Scope};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request that is being worked on. Dropped without an answer, it says that its caller has left.
pub(super) struct Observed<'a> {
    /// What is known of it so far.
    pub(super) record: RequestRecord<'static>,
    /// What goes through the mailbox with it.
    pub(super) ticket: Ticket,
    scope: Scope,
    observer: &'a Observer,
    started: Instant,
    told: bool,
}

impl<'a> Observed<'a> {
    /// Begins with a request whose head has arrived.
    pub(super) fn begin(request: &HttpRequest, observer: &'a Observer, path: Path) -> Self {
        let started = Instant::now();
        let kind = if path == Path::Statement { "statement" } else { "transaction" };
        let mut record = RequestRecord { kind: kind.into(), ..RequestRecord::default() };
        let id = given_id(request).unwrap_or_else(RequestId::made);
        let client = || request.match_info().get("id").unwrap_or_default().parse().ok();
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let scope = observer.begin_request(&id, || RequestHead {
            method: request.method().as_str(),
            path: request.path(),
            route: path.pattern(),
            client: client(),
            trace_context: ["traceparent", "tracestate"].map(header),
        });
        if observer.follows(&scope) {
            record.id = id.as_str().to_owned().into();
            record.client = client();
        }
        let ticket = Ticket::new(id, scope.place());
        Self { record, ticket, scope, observer, started, told: false }
    }

    /// Returns the log's span of it.
    pub(super) fn span(&self) -> Span {
        self.scope.log().clone()
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
        self.observer.request(&mut self.record, &mut self.scope, &self.ticket.places_of_calls());
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

fn given_id(request: &HttpRequest) -> Option<RequestId> {
    RequestId::given(request.headers().get(REQUEST_ID)?.as_bytes())
}

/// Says in an answer what its request is called: by that it is found in the log.
pub(super) fn name(response: &mut HttpResponse, id: &RequestId) {
    let id = HeaderValue::from_bytes(id.as_bytes()).expect("an id is visible ASCII");
    response.headers_mut().insert(REQUEST_ID, id);
}

/// The same for a request that nobody follows.
pub(super) fn name_as_asked(response: &mut HttpResponse, request: &HttpRequest) {
    name(response, &given_id(request).unwrap_or_else(RequestId::made));
}
