//! A request's span and a call's, in the words of OpenTelemetry's semantic conventions. What they have no word
//! for is named `guiche.…` as the trace names it.

use std::sync::{Arc, LazyLock};

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Link, Span as _, SpanContext, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Array, Context, Key, KeyValue, StringValue, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, Span};
use traces::format::{CallRecord, CallReport, Figure, RequestRecord, Unit};

use super::super::head::RequestHead;

/// What attributes call the figures of the database's report.
static FIGURES: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let unit = |figure: &Figure| if figure.unit == Unit::Micros { "_us" } else { "" };
    let name = |figure: &Figure| Arc::from(format!("guiche.{}{}", figure.name, unit(figure)));
    CallReport::FIGURES.iter().map(|figure| Key::from(name(figure))).collect()
});

/// Where spans are sent.
#[derive(Clone)]
pub(in super::super) struct Collector {
    tracer: SdkTracer,
    /// Whether a request is under its caller's span (`OTEL_PROPAGATORS`).
    trace_context: bool,
}

/// The place of a request, or a call, in a trace.
#[derive(Clone, Debug)]
pub struct Place(SpanContext);

/// A span that is not over yet, and will be sent.
pub(in super::super) struct OpenSpan(Span);

impl Collector {
    pub(super) fn new(tracer: SdkTracer, trace_context: bool) -> Self {
        Self { tracer, trace_context }
    }

    /// Opens a request's span, if it is sampled.
    pub(in super::super) fn open_request(&self, head: &RequestHead<'_>) -> Option<OpenSpan> {
        let given = TraceContext(if self.trace_context { head.trace_context } else { [None; 2] });
        let parent = match given.0[0] {
            Some(_) => TraceContextPropagator::new().extract_with_context(&Context::new(), &given),
            None => Context::new(),
        };
        // What is not sampled is not described: no sampler looks at more than the trace.
        let span = self.tracer.span_builder(head.route).with_kind(SpanKind::Server);
        let mut open = OpenSpan::sampled(span.start_with_context(&self.tracer, &parent))?;
        open.0.update_name(format!("{} {}", head.method, head.route));
        open.0.set_attributes([
            KeyValue::new("http.request.method", head.method.to_owned()),
            KeyValue::new("http.route", head.route),
            KeyValue::new("url.path", head.path.to_owned()),
            KeyValue::new("url.scheme", "http"),
        ]);
        Some(open)
    }

    /// Opens the span of a call that carries these requests, if there are any.
    pub(in super::super) fn open_call<'a>(
        &self,
        requests: impl Iterator<Item = &'a Place>,
    ) -> Option<OpenSpan> {
        let links: Vec<Link> = requests.map(|Place(request)| Link::with_context(request.clone())).collect();
        let parent = Context::new().with_remote_span_context(links.first()?.span_context.clone());
        let span = self.tracer.span_builder("call").with_kind(SpanKind::Client).with_links(links);
        OpenSpan::sampled(span.start_with_context(&self.tracer, &parent))
    }
}

impl Place {
    /// Returns the trace's id, in hexadecimal digits.
    pub fn trace_id(&self) -> String {
        self.0.trace_id().to_string()
    }
}

impl OpenSpan {
    fn sampled(span: Span) -> Option<Self> {
        span.span_context().is_sampled().then_some(Self(span))
    }

    pub(in super::super) fn place(&self) -> Place {
        Place(self.0.span_context().clone())
    }

    /// Ends a request's span with what became of it; `calls` carried it.
    pub(in super::super) fn close_request(self, record: &RequestRecord<'static>, calls: &[Place]) {
        let Self(mut span) = self;
        for Place(call) in calls {
            span.add_link(call.clone(), Vec::new());
        }
        describe_request(&mut span, record);
        if let Some(status) = record.status {
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        // A caller's own mistake is no failure of a server.
        if record.status.is_none_or(|status| status >= 500) {
            fail(&mut span, &record.outcome);
        }
        span.end();
    }

    /// Ends a call's span with what became of it.
    pub(in super::super) fn close_call(self, record: &CallRecord<'static>) {
        let Self(mut span) = self;
        let wrote = record.carries.iter().any(|(_, transactions, _)| *transactions > 0);
        let size = record.size();
        let [one, batch] = match (wrote, record.queries > 0) {
            (true, false) => ["apply", "BATCH apply"],
            (true, true) => ["apply and read", "BATCH apply and read"],
            (false, _) => ["read", "BATCH read"],
        };
        let operation = if size > 1 { batch } else { one };
        span.update_name(operation);
        span.set_attribute(KeyValue::new("db.system.name", "postgresql"));
        span.set_attribute(KeyValue::new("db.operation.name", operation));
        // By the conventions one is no batch.
        if size > 1 {
            span.set_attribute(KeyValue::new("db.operation.batch.size", size as i64));
        }
        describe_call(&mut span, record);
        let clients = record.runs(None).map(|(client, ..)| i64::from(client)).collect();
        span.set_attribute(KeyValue::new("guiche.clients", Value::Array(Array::I64(clients))));
        if let Some(fate) = &record.failure {
            fail(&mut span, fate);
        }
        span.end();
    }
}

fn fail(span: &mut Span, why: &str) {
    span.set_attribute(KeyValue::new("error.type", why.to_owned()));
    span.set_status(Status::error(""));
}

/// Gives a span what a request's record says, and the conventions have no words for; durations are named with their
/// unit.
fn describe_request(span: &mut Span, record: &RequestRecord<'static>) {
    let texts = [("guiche.id", Some(&record.id)), ("guiche.kind", Some(&record.kind))];
    let more = [("guiche.shed", record.shed.as_ref()), ("guiche.outcome", Some(&record.outcome))];
    for (name, text) in texts.into_iter().chain(more) {
        if let Some(text) = text {
            span.set_attribute(KeyValue::new(name, StringValue::from(text.clone())));
        }
    }
    let client = record.client.map(i64::from);
    let numbers =
        [("guiche.flush", record.call), ("guiche.queued_us", record.queued), ("guiche.took_us", record.took)];
    let numbers = numbers.map(|(name, number)| (name, number.map(whole)));
    for (name, number) in numbers.into_iter().chain([("guiche.client", client)]) {
        if let Some(number) = number {
            span.set_attribute(KeyValue::new(name, number));
        }
    }
}

/// Does the same with a call's record. Counts that are zero are left out, as in the trace.
fn describe_call(span: &mut Span, record: &CallRecord<'static>) {
    span.set_attribute(KeyValue::new("guiche.cut", StringValue::from(record.cut.clone())));
    let always = [
        ("guiche.id", record.id),
        ("guiche.oldest_wait_us", record.oldest_wait),
        ("guiche.connection_us", record.connection),
        ("guiche.database_us", record.database),
        ("guiche.total_us", record.total),
    ];
    let counts = [
        ("guiche.queries", record.queries),
        ("guiche.applied", record.applied),
        ("guiche.limit_exceeded", record.limit_exceeded),
        ("guiche.balance_overflow", record.balance_overflow),
        ("guiche.unknown_client", record.unknown_client),
        ("guiche.repeated", record.repeated),
        ("guiche.key_reused", record.key_reused),
        ("guiche.unanswered", record.unanswered),
    ];
    for (name, number) in always.into_iter().chain(counts.into_iter().filter(|(_, count)| *count > 0)) {
        span.set_attribute(KeyValue::new(name, whole(number)));
    }
    for (name, value) in FIGURES.iter().zip(record.report.values()) {
        span.set_attribute(KeyValue::new(name.clone(), whole(value)));
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A request's headers, as far as they tell of its caller's trace.
struct TraceContext<'a>([Option<&'a str>; 2]);

impl TraceContext<'_> {
    const NAMES: [&'static str; 2] = ["traceparent", "tracestate"];
}

impl Extractor for TraceContext<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let at = Self::NAMES.iter().position(|known| *known == name)?;
        self.0[at]
    }

    fn keys(&self) -> Vec<&str> {
        Self::NAMES.to_vec()
    }
}
