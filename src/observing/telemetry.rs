//! What tells of an instance beside its metrics: the log, the trace, a collector. Each is started here, and
//! ended.

use traces::{LineSender, TraceOptions, TraceWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use settings::{Config, ConfigError, TraceFiles};

use super::log::{self, LogLevel};
use super::metrics::Metrics;
use super::otlp::{self, Collector, Exporter};

/// What has to be finished before the process ends. Dropping it writes and sends what waits; do
/// so outside of any runtime.
pub struct Telemetry {
    level: LogLevel,
    trace: Option<TraceWriter>,
    exporter: Option<Exporter>,
}

/// Starts logging to standard error, tracing to where the settings say, and sending to a collector, whose losses
/// `metrics` counts.
///
/// # Errors
/// When `LOG` is no filter, the file of `TRACE` cannot be written, or OTLP's settings are unusable.
pub fn start(config: &Config, metrics: &Metrics) -> Result<Telemetry, ConfigError> {
    let (layer, level) = log::layer(config)?;
    let trace = start_trace(config)?;
    let exporter = otlp::start(config, metrics)?;
    tracing_subscriber::registry().with(layer).init();
    if config.otlp.is_on() && exporter.is_none() {
        tracing::warn!("a collector is set (OTEL_*), but this build has no OTLP (cargo feature otlp)");
    }
    Ok(Telemetry { level, trace, exporter })
}

impl Telemetry {
    /// Returns what changes how much the log tells.
    pub fn level(&self) -> LogLevel {
        self.level.clone()
    }

    /// Returns an end to give the trace's records to, if there is a trace.
    pub fn trace(&self) -> Option<LineSender> {
        self.trace.as_ref().map(TraceWriter::sender)
    }

    pub(super) fn collector(&self) -> Option<Collector> {
        self.exporter.as_ref().and_then(Exporter::collector)
    }
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
