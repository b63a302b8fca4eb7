//! The log on standard error: its lines, the spans that they are in, and how much it tells.
//!
//! What its filter does not want is never made: at `info` the spans of requests and calls cost one load and a
//! branch each.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use traces::format::{CallRecord, RequestRecord};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Span, Subscriber, field};
use tracing_subscriber::fmt::format::{Format, Full, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt as fmt_layer, reload};

use settings::{Config, ConfigError, LogFormat};

const REQUEST: &str = "guiche::request";
const CALL: &str = "guiche::flush";
const ACTOR: &str = "guiche::actor";

/// Makes a request's span; a disabled one where the log does not tell of requests.
pub(super) fn request_span() -> Span {
    let empty = field::Empty;
    tracing::debug_span!(target: REQUEST, "request", request_id = empty, client = empty, trace_id = empty)
}

/// Makes a call's span; a disabled one where the log does not tell of calls.
pub(super) fn call_span() -> Span {
    tracing::debug_span!(target: CALL, parent: None, "flush", flush = field::Empty, trace_id = field::Empty)
}

/// Tells of a request that is over.
pub(super) fn tell_request(span: &Span, record: &RequestRecord<'_>) {
    if !span.is_disabled() {
        tracing::debug!(target: REQUEST, parent: span, record = json(record), "answered");
    }
}

/// Tells of a call that is over.
pub(super) fn tell_call(span: &Span, record: &CallRecord<'_>) {
    if !span.is_disabled() {
        tracing::debug!(target: CALL, parent: span, record = json(record), "flushed");
    }
}

fn json(record: &impl serde::Serialize) -> String {
    serde_json::to_string(record).expect("a record is always JSON")
}

/// Tells of something that happened to a client's actor.
pub(super) fn tell_actor(client: i32, state: &str) {
    tracing::debug!(target: ACTOR, client, "{state}");
}

/// How much the log tells, which may be changed while it runs. Clones change the same.
#[derive(Clone)]
pub struct LogLevel {
    /// As set.
    filter: String,
    /// The most that it lets through.
    set: LevelFilter,
    now: Arc<Mutex<LevelFilter>>,
    handle: reload::Handle<EnvFilter, Registry>,
}

/// From the least to the most.
const LEVELS: [LevelFilter; 6] = [
    LevelFilter::OFF,
    LevelFilter::ERROR,
    LevelFilter::WARN,
    LevelFilter::INFO,
    LevelFilter::DEBUG,
    LevelFilter::TRACE,
];

impl LogLevel {
    /// Has the service's own lines go one level further than now, until `trace`.
    pub fn more(&self) {
        self.step(1);
        tracing::info!(level = %self.now(), "the log tells more from here on");
    }

    /// Has the service's own lines go one level less far than now, until `error`.
    pub fn less(&self) {
        tracing::info!(below = %self.now(), "the log tells less from here on");
        self.step(-1);
    }

    fn now(&self) -> LevelFilter {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, by: isize) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let position = LEVELS.iter().position(|level| level == &*now).unwrap_or_default();
        let Some(next) = LEVELS.get(position.saturating_add_signed(by)) else { return };
        if *next == LevelFilter::OFF {
            return;
        }
        *now = *next;
        let filter = match *now == self.set {
            true => self.filter.clone(),
            false => format!("{},guiche={now}", self.filter),
        };
        // It fails where there is no log any more.
        let _ = self.handle.reload(EnvFilter::new(filter));
    }
}

/// Makes the layer that logs, each line with the instance's name, and what changes how much it tells.
///
/// # Errors
/// When `LOG` is no filter.
pub(super) fn layer(
    config: &Config,
) -> Result<(Box<dyn Layer<Registry> + Send + Sync>, LogLevel), ConfigError> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|why| ConfigError::new("LOG", format!("{:?} is not a tracing filter: {why}", config.log)))?;
    let set = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    let (filter, handle) = reload::Layer::new(filter);
    let level = LogLevel { filter: config.log.clone(), set, now: Arc::new(Mutex::new(set)), handle };
    let instance = config.instance.clone();
    let layer = fmt_layer::layer().with_writer(std::io::stderr).with_ansi(false);
    let layer = match config.log_format {
        LogFormat::Human => {
            let format = NamedHuman { instance, inner: fmt_layer::format().with_ansi(false) };
            layer.event_format(format).with_filter(filter).boxed()
        }
        LogFormat::Json => {
            let instance = serde_json::Value::from(instance).to_string();
            // Spans are not within each other: the current one is all there is.
            let format = NamedJson { instance, inner: fmt_layer::format().json().with_span_list(false) };
            layer.fmt_fields(JsonFields::new()).event_format(format).with_filter(filter).boxed()
        }
    };
    Ok((layer, level))
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
