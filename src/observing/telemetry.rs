//! The tracing subscriber and its layers: the log and OTLP.
//!
//! Each has a filter of its own. What none of them wants is never made: with OTLP off and the log at
//! `info`, the spans of requests and calls cost one load and a branch each.

use std::fmt;

use traces::format::{CallRecord, RequestRecord};
use traces::{TraceOptions, TraceWriter};
use tracing::{Event, Span, Subscriber, field};
use tracing_subscriber::fmt::format::{Format, Full, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt as fmt_layer};

use settings::{Config, ConfigError, LogFormat, TraceFiles};

#[cfg(feature = "otlp")]
use super::otlp;
use super::targets::{BoxedLayer, CALL, REQUEST};

/// What has to be finished before the process ends. Dropping it writes and sends what waits; do
/// so outside of any runtime.
#[derive(Default)]
pub struct Telemetry {
    trace: Option<TraceWriter>,
    #[cfg(feature = "otlp")]
    _otlp: Option<otlp::Exporter>,
}

/// Starts logging to standard error, each line with the instance's name, and tracing to where
/// the settings say.
///
/// # Errors
/// When `LOG` is no filter, the file of `TRACE` cannot be written, or OTLP's settings are unusable.
pub fn start(config: &Config) -> Result<Telemetry, ConfigError> {
    #[cfg_attr(not(feature = "otlp"), expect(unused_mut, reason = "OTLP is another layer"))]
    let mut layers = vec![log_layer(config)?];
    let trace = start_trace(config)?;
    #[cfg(feature = "otlp")]
    let otlp = otlp::start(config, &mut layers)?;
    tracing_subscriber::registry().with(layers).init();
    #[cfg(not(feature = "otlp"))]
    if config.otlp {
        tracing::warn!("OTEL_EXPORTER_OTLP_ENDPOINT is set, but this build has no OTLP (cargo feature otlp)");
    }
    Ok(Telemetry {
        trace,
        #[cfg(feature = "otlp")]
        _otlp: otlp,
    })
}

impl Telemetry {
    /// Returns an end to give the trace's records to, if there is a trace.
    pub fn trace(&self) -> Option<traces::LineSender> {
        self.trace.as_ref().map(TraceWriter::sender)
    }
}

/// Makes a request's span; a disabled one while nobody listens.
pub fn request_span() -> Span {
    tracing::debug_span!(target: REQUEST, "request", request_id = field::Empty, client = field::Empty)
}

/// Makes a call's span; a disabled one while nobody listens.
pub fn call_span() -> Span {
    tracing::debug_span!(target: CALL, parent: None, "flush", flush = field::Empty)
}

/// Makes a request's span part of its caller's trace, which `traceparent` (W3C Trace Context)
/// names. Call it before the span is entered.
#[cfg_attr(not(feature = "otlp"), expect(unused_variables, reason = "only OTLP has parents elsewhere"))]
pub fn adopt_parent(span: &Span, traceparent: &str) {
    #[cfg(feature = "otlp")]
    otlp::adopt_parent(span, traceparent);
}

/// Tells the log and the collector of a request.
pub(super) fn tell_request(span: &Span, record: &RequestRecord<'_>) {
    if !span.is_disabled() {
        #[cfg(feature = "otlp")]
        otlp::describe(span, "request_id", record);
        tracing::debug!(target: REQUEST, parent: span, record = json(record), "answered");
    }
}

/// Tells the log and the collector of a call.
pub(super) fn tell_call(span: &Span, record: &CallRecord<'_>) {
    if !span.is_disabled() {
        #[cfg(feature = "otlp")]
        otlp::describe(span, "flush", record);
        tracing::debug!(target: CALL, parent: span, record = json(record), "flushed");
    }
}

fn json(record: &impl serde::Serialize) -> String {
    serde_json::to_string(record).expect("a record is always JSON")
}

fn log_layer(config: &Config) -> Result<BoxedLayer, ConfigError> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|why| ConfigError::new("LOG", format!("{:?} is not a tracing filter: {why}", config.log)))?;
    let instance = config.instance.clone();
    let layer = fmt_layer::layer().with_writer(std::io::stderr).with_ansi(false);
    Ok(match config.log_format {
        LogFormat::Human => {
            let format = NamedHuman { instance, inner: fmt_layer::format().with_ansi(false) };
            layer.event_format(format).with_filter(filter).boxed()
        }
        LogFormat::Json => {
            let format = NamedJson { instance: json_string(&instance), inner: fmt_layer::format().json() };
            layer.fmt_fields(JsonFields::new()).event_format(format).with_filter(filter).boxed()
        }
    })
}

fn start_trace(config: &Config) -> Result<Option<TraceWriter>, ConfigError> {
    let Some(TraceFiles { path, max_file_bytes, files, queue }) = config.trace.clone() else {
        return Ok(None);
    };
    let shown = path.display().to_string();
    let options = TraceOptions { path, max_file_bytes, files, queue };
    TraceWriter::start(&options, &config.instance, config.mode.name())
        .map(Some)
        .map_err(|why| ConfigError::new("TRACE", format!("cannot write {shown}: {why}")))
}

/// Lines for people, with the instance's name in front.
struct NamedHuman {
    instance: String,
    inner: Format<Full>,
}

impl<S, N> FormatEvent<S, N> for NamedHuman
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "[{}] ", self.instance)?;
        self.inner.format_event(context, writer, event)
    }
}

/// One JSON object a line, with the instance's name as its first member.
struct NamedJson {
    /// Already quoted.
    instance: String,
    inner: Format<Json>,
}

impl<S, N> FormatEvent<S, N> for NamedJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        match line.strip_prefix('{') {
            Some(rest) => write!(writer, "{{\"instance\":{},{rest}", self.instance),
            None => writer.write_str(&line),
        }
    }
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
