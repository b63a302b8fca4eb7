//! The tracing subscriber: which lines are logged, and how they look.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt as fmt_layer};

use crate::config::{Config, ConfigError, LogFormat};

/// Starts logging to standard error, each line with the instance's name.
///
/// # Errors
/// When `LOG` is no filter.
pub fn start(config: &Config) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|why| ConfigError::new("LOG", format!("{:?} is not a tracing filter: {why}", config.log)))?;
    let instance = config.instance.clone();
    let layer = fmt_layer::layer().with_writer(std::io::stderr).with_ansi(false);
    let registry = tracing_subscriber::registry().with(filter);
    match config.log_format {
        LogFormat::Human => {
            let format = NamedHuman { instance, inner: fmt_layer::format().with_ansi(false) };
            registry.with(layer.event_format(format)).init();
        }
        LogFormat::Json => {
            let format = NamedJson { instance: json_string(&instance), inner: fmt_layer::format().json() };
            registry.with(layer.fmt_fields(JsonFields::new()).event_format(format)).init();
        }
    }
    Ok(())
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
