//! Spans over OTLP/HTTP to an OpenTelemetry collector: each request with its caller's trace as
//! parent, each database call as a trace of its own that is linked to the requests it carried.
//!
//! Batches leave from a thread of their own. What waits there is bounded (`OTEL_BSP_*`); where
//! the collector is slow or away, spans are dropped, and no request waits.

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{KeyValue, trace::TraceContextExt};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;

use settings::{Config, ConfigError};
use traces::format::{CallReport, Unit};

use super::targets::{BoxedLayer, targets};

/// Links that a call's span may have: one for each request it carries. OpenTelemetry's own
/// default is less than a full batch.
const LINKS_PER_SPAN: u32 = 1_024;

/// The running exporter. Dropping it sends what waits.
pub(super) struct Exporter(SdkTracerProvider);

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// Adds the layer that exports, if there is somewhere to export to.
pub(super) fn start(config: &Config, layers: &mut Vec<BoxedLayer>) -> Result<Option<Exporter>, ConfigError> {
    if !config.otlp {
        return Ok(None);
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .build()
        .map_err(|why| ConfigError::new("OTEL_EXPORTER_OTLP_ENDPOINT", why.to_string()))?;
    let mut builder =
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource(config));
    if std::env::var_os("OTEL_SPAN_LINK_COUNT_LIMIT").is_none() {
        builder = builder.with_max_links_per_span(LINKS_PER_SPAN);
    }
    let provider = builder.build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("guiche"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    layers.push(layer.with_filter(targets()).boxed());
    Ok(Some(Exporter(provider)))
}

/// See [`adopt_parent`](super::telemetry::adopt_parent).
pub(super) fn adopt_parent(span: &Span, traceparent: &str) {
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    let parent = TraceContextPropagator::new().extract(&carrier);
    if parent.span().span_context().is_valid() {
        // Fails where there is no such layer: then there is nothing to adopt for.
        let _ = span.set_parent(parent);
    }
}

/// Gives a span what its record says, each figure as an attribute: durations are named with their
/// unit, `id` is named `id_name`.
pub(super) fn describe(span: &Span, id_name: &'static str, record: &impl serde::Serialize) {
    const DURATIONS: [&str; 6] = ["queued", "took", "oldest_wait", "connection", "database", "total"];
    let Ok(serde_json::Value::Object(figures)) = serde_json::to_value(record) else { return };
    for (name, value) in figures {
        let reported = CallReport::FIGURES.iter().find(|figure| figure.name == name);
        let timed = DURATIONS.contains(&&*name) || reported.is_some_and(|figure| figure.unit == Unit::Micros);
        let key = match &*name {
            "id" => id_name.to_owned(),
            _ if timed => format!("{name}_us"),
            _ => name,
        };
        match value {
            serde_json::Value::String(text) => span.set_attribute(key, text),
            serde_json::Value::Number(number) => span.set_attribute(key, number.as_i64().unwrap_or(i64::MAX)),
            other => span.set_attribute(key, other.to_string()),
        }
    }
}

fn resource(config: &Config) -> Resource {
    let builder = Resource::builder();
    let builder = match std::env::var_os("OTEL_SERVICE_NAME") {
        Some(_) => builder,
        None => builder.with_service_name("guiche"),
    };
    builder
        .with_attribute(KeyValue::new("service.instance.id", config.instance.clone()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}
