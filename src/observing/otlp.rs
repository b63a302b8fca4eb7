//! Spans and metrics over OTLP/HTTP to an OpenTelemetry collector, by its semantic conventions.
//!
//! - A request is a `SERVER` span under its caller's. Whether it is sampled its caller has decided, or
//!   `OTEL_TRACES_SAMPLER`.
//! - A call is a `CLIENT` span, and is sent only if a request in it is sampled: under the first such, and linked
//!   to all of them, as they are to it.
//!
//! Batches leave from a thread of their own. What waits there is bounded (`OTEL_BSP_*`); where
//! the collector is slow or away, spans are dropped and counted, and no request waits.

mod client;
mod families;
mod loss;
mod metrics;
mod push;
mod span;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use prost::Message;

use settings::{Config, ConfigError};

use super::metrics::Metrics;
use client::Destination;
use loss::{Bounded, Loss, Sender};
use push::Pusher;

pub use span::Place;
pub(super) use span::{Collector, OpenSpan};

/// Links that a span may have: a call's are one for each request it carries. OpenTelemetry's own
/// default is less than a full batch.
const LINKS_PER_SPAN: u32 = 1_024;

/// How long the process waits at its end for a collector to take what is left.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Spans that may wait, unless `OTEL_BSP_MAX_QUEUE_SIZE` says otherwise: OpenTelemetry's default.
const QUEUE: usize = 2_048;

/// What is sent while the process runs. Dropping it sends what waits.
pub(super) struct Exporter {
    spans: Option<Spans>,
    _metrics: Option<Pusher>,
}

impl Exporter {
    /// Returns where spans are sent, if they are.
    pub(super) fn collector(&self) -> Option<Collector> {
        self.spans.as_ref().map(|spans| Collector::new(spans.provider.tracer("guiche"), spans.trace_context))
    }
}

struct Spans {
    provider: SdkTracerProvider,
    loss: Arc<Loss>,
    trace_context: bool,
}

impl Drop for Spans {
    fn drop(&mut self) {
        // What is not taken by then is counted as lost, and told.
        let _ = self.provider.shutdown_with_timeout(LAST_WORDS);
        self.loss.tell_all();
    }
}

/// Starts to export what is to be exported. `metrics` counts what is sent and what is lost.
pub(super) fn start(config: &Config, metrics: &Metrics) -> Result<Option<Exporter>, ConfigError> {
    if !config.otlp.is_on() {
        return Ok(None);
    }
    let resource = ResourceAttributesWithSchema::from(&resource(config)).attributes.0;
    let resource = Resource { attributes: resource, ..Resource::default() };
    let (spans, export) = (config.otlp.spans.as_ref(), config.otlp.metrics.as_ref());
    let spans_to = spans.map(|reach| Destination::new(reach, None)).transpose()?;
    let pusher = export.map(|export| {
        let destination = Destination::new(&export.reach, spans_to.as_ref())?;
        Pusher::start(destination, export.interval, resource.clone(), metrics)
    });
    let pusher = pusher.transpose()?;
    let spans = spans_to.map(|destination| start_spans(config, destination, &resource, metrics));
    Ok(Some(Exporter { spans, _metrics: pusher }))
}

fn start_spans(config: &Config, destination: Destination, resource: &Resource, metrics: &Metrics) -> Spans {
    let loss = Arc::new(Loss::new(metrics.spans.fates.clone()));
    let sender =
        Sender { destination, resource: wire::Resource(resource.encode_to_vec()), loss: Arc::clone(&loss) };
    let queue = number("OTEL_BSP_MAX_QUEUE_SIZE").filter(|size| *size > 0).unwrap_or(QUEUE);
    let batches = BatchConfigBuilder::default().with_max_queue_size(queue).build();
    let processor = BatchSpanProcessor::builder(sender).with_batch_config(batches).build();
    let mut builder =
        SdkTracerProvider::builder().with_span_processor(Bounded::new(processor, queue, Arc::clone(&loss)));
    if number("OTEL_SPAN_LINK_COUNT_LIMIT").is_none() {
        builder = builder.with_max_links_per_span(LINKS_PER_SPAN);
    }
    Spans { provider: builder.build(), loss, trace_context: config.otlp.trace_context }
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.trim().parse().ok()
}

fn resource(config: &Config) -> opentelemetry_sdk::Resource {
    let builder = opentelemetry_sdk::Resource::builder();
    let builder = match std::env::var_os("OTEL_SERVICE_NAME") {
        Some(_) => builder,
        None => builder.with_service_name("guiche"),
    };
    builder
        .with_attribute(KeyValue::new("service.instance.id", config.instance.clone()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}
