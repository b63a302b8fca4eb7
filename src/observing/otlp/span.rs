//! A request's span and a call's, in the words of OpenTelemetry's semantic conventions. What they have no word
//! for is named `guiche.…` as the trace names it.

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Link, Span as _, SpanContext, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Array, Context, KeyValue, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, Span};
use traces::format::{CallRecord, CallReport, RequestRecord, Unit};

use super::super::head::RequestHead;

/// Where spans are sent.
#[derive(Clone)]
pub(in super::super) struct Collector(SdkTracer);

/// The place of a request, or a call, in a trace.
#[derive(Clone, Debug)]
pub struct Place(SpanContext);

/// A span that is not over yet, and will be sent.
pub(in super::super) struct OpenSpan(Span);

impl Collector {
    pub(super) fn new(tracer: SdkTracer) -> Self {
        Self(tracer)
    }

    /// Opens a request's span, if it is sampled.
    pub(in super::super) fn open_request(&self, head: &RequestHead<'_>) -> Option<OpenSpan> {
        let names = ["traceparent", "tracestate"].into_iter().map(str::to_owned);
        let given = names.zip(head.trace_context).filter_map(|(name, value)| Some((name, value?.to_owned())));
        let parent = TraceContextPropagator::new().extract(&given.collect::<HashMap<_, _>>());
        let route = head.route.clone().unwrap_or_default();
        let span = self
            .0
            .span_builder(format!("{} {route}", head.method))
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new("http.request.method", head.method.to_owned()),
                KeyValue::new("http.route", route),
                KeyValue::new("url.path", head.path.to_owned()),
                KeyValue::new("url.scheme", "http"),
            ])
            .start_with_context(&self.0, &parent);
        OpenSpan::sampled(span)
    }

    /// Opens the span of a call that carries these requests, if there are any.
    pub(in super::super) fn open_call<'a>(
        &self,
        requests: impl Iterator<Item = &'a Place>,
    ) -> Option<OpenSpan> {
        let links: Vec<Link> = requests.map(|Place(request)| Link::with_context(request.clone())).collect();
        let parent = Context::new().with_remote_span_context(links.first()?.span_context.clone());
        let span = self.0.span_builder("call").with_kind(SpanKind::Client).with_links(links);
        OpenSpan::sampled(span.start_with_context(&self.0, &parent))
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
    pub(in super::super) fn close_request(self, record: &RequestRecord<'_>, calls: &[Place]) {
        let Self(mut span) = self;
        for Place(call) in calls {
            span.add_link(call.clone(), Vec::new());
        }
        describe(&mut span, record);
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
    pub(in super::super) fn close_call(self, record: &CallRecord<'_>) {
        let Self(mut span) = self;
        let wrote = record.carries.iter().any(|(_, transactions, _)| *transactions > 0);
        let operation = match (wrote, record.queries > 0) {
            (true, false) => "apply",
            (true, true) => "apply and read",
            (false, _) => "read",
        };
        let size = record.size();
        let operation = if size > 1 { format!("BATCH {operation}") } else { operation.to_owned() };
        span.update_name(operation.clone());
        span.set_attribute(KeyValue::new("db.system.name", "postgresql"));
        span.set_attribute(KeyValue::new("db.operation.name", operation));
        // By the conventions one is no batch.
        if size > 1 {
            span.set_attribute(KeyValue::new("db.operation.batch.size", size as i64));
        }
        describe(&mut span, record);
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

/// Gives a span what its record says, each figure as an attribute; durations are named with their unit.
fn describe(span: &mut Span, record: &impl serde::Serialize) {
    const DURATIONS: [&str; 6] = ["queued", "took", "oldest_wait", "connection", "database", "total"];
    /// What the conventions have words for, and when it began.
    const TOLD: [&str; 4] = ["at", "status", "carries", "failure"];
    let Ok(serde_json::Value::Object(figures)) = serde_json::to_value(record) else { return };
    for (name, value) in figures.into_iter().filter(|(name, _)| !TOLD.contains(&&**name)) {
        let reported = CallReport::FIGURES.iter().find(|figure| figure.name == name);
        let timed = DURATIONS.contains(&&*name) || reported.is_some_and(|figure| figure.unit == Unit::Micros);
        let key = format!("guiche.{name}{}", if timed { "_us" } else { "" });
        let value: Value = match value {
            serde_json::Value::Number(number) => number.as_i64().unwrap_or(i64::MAX).into(),
            serde_json::Value::String(text) => text.into(),
            other => other.to_string().into(),
        };
        span.set_attribute(KeyValue::new(key, value));
    }
}
