//! The tracing subscriber and its layers: the log, the trace file, OTLP.
//!
//! Each has a filter of its own. What none of them wants is never made: with `TRACE` and OTLP off
//! and the log at `info`, the spans of requests and calls cost one load and a branch each.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt as fmt_layer};

use settings::{Config, ConfigError, LogFormat, TraceFiles};
use traces::{self, TraceOptions, TraceWriter};

#[cfg(feature = "otlp")]
mod otlp;

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// What has to be finished before the process ends. Dropping it writes and sends what waits; do
/// so outside of any runtime.
#[derive(Default)]
pub struct Telemetry {
    _trace: Option<TraceWriter>,
    #[cfg(feature = "otlp")]
    _otlp: Option<otlp::Exporter>,
}

/// Starts logging to standard error, each line with the instance's name, and tracing to where
/// the settings say.
///
/// # Errors
/// When `LOG` is no filter, the file of `TRACE` cannot be written, or OTLP's settings are unusable.
pub fn start(config: &Config) -> Result<Telemetry, ConfigError> {
    let mut layers = vec![log_layer(config)?];
    let trace = start_trace(config, &mut layers)?;
    #[cfg(feature = "otlp")]
    let otlp = otlp::start(config, &mut layers)?;
    tracing_subscriber::registry().with(layers).init();
    #[cfg(not(feature = "otlp"))]
    if config.otlp {
        tracing::warn!("OTEL_EXPORTER_OTLP_ENDPOINT is set, but this build has no OTLP (cargo feature otlp)");
    }
    Ok(Telemetry {
        _trace: trace,
        #[cfg(feature = "otlp")]
        _otlp: otlp,
    })
}

/// Makes a request's span part of its caller's trace, which `traceparent` (W3C Trace Context)
/// names. Call it before the span is entered.
#[cfg_attr(not(feature = "otlp"), expect(unused_variables, reason = "only OTLP has parents elsewhere"))]
pub fn adopt_parent(span: &tracing::Span, traceparent: &str) {
    #[cfg(feature = "otlp")]
    otlp::adopt_parent(span, traceparent);
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

fn start_trace(config: &Config, layers: &mut Vec<BoxedLayer>) -> Result<Option<TraceWriter>, ConfigError> {
    let Some(TraceFiles { path, max_file_bytes, files, queue }) = config.trace.clone() else {
        return Ok(None);
    };
    let shown = path.display().to_string();
    let options = TraceOptions { path, max_file_bytes, files, queue };
    let writer = TraceWriter::start(&options, &config.instance, config.mode.name())
        .map_err(|why| ConfigError::new("TRACE", format!("cannot write {shown}: {why}")))?;
    layers.push(traces::layer(&writer).with_filter(traces::targets()).boxed());
    Ok(Some(writer))
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
