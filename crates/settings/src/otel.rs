//! What is exported over OTLP, as OpenTelemetry's own variables say it, and which of their values this program
//! cannot follow. The exporters read the others themselves.

use std::time::Duration;

use super::error::ConfigError;
use super::vars::Vars;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
const COMPRESSION: [&str; 2] = ["OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];

/// What is exported over OTLP, and whose trace context is taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// Whether spans are sent.
    pub spans: bool,
    /// Where metrics are sent, if anywhere.
    pub metrics: Option<MetricsExport>,
    /// Whether a request's `traceparent` and `tracestate` are read.
    pub trace_context: bool,
}

/// Where metrics are sent, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsExport {
    /// The whole URL.
    pub url: String,
    /// Headers that the collector wants.
    pub headers: Vec<(String, String)>,
    /// From one export to the next.
    pub interval: Duration,
    /// Time for one export.
    pub timeout: Duration,
}

/// What is told of one of the two: the variables that it has for itself.
struct Signal {
    exporter: &'static str,
    endpoint: &'static str,
    protocol: &'static str,
    /// Whether the endpoint of all signals switches it on by itself.
    by_endpoint: bool,
}

const SPANS: Signal = Signal {
    exporter: "OTEL_TRACES_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    by_endpoint: true,
};

/// They are shown at `METRICS_LISTEN` anyway, so they are sent only where that is asked for by name.
const METRICS: Signal = Signal {
    exporter: "OTEL_METRICS_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    by_endpoint: false,
};

impl Otlp {
    /// Reads them. Spans are exported where an endpoint is named, or `OTEL_TRACES_EXPORTER=otlp`; metrics where
    /// their own endpoint is, or `OTEL_METRICS_EXPORTER=otlp`; neither where something switches it off.
    ///
    /// # Errors
    /// When a variable asks for what is not built in.
    pub(super) fn read(vars: &Vars<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            spans: SPANS.is_exported(vars)?,
            metrics: MetricsExport::read(vars)?,
            trace_context: trace_context(vars)?,
        })
    }

    /// Says whether anything is exported.
    pub fn is_on(&self) -> bool {
        self.spans || self.metrics.is_some()
    }
}

impl Signal {
    /// Returns the endpoint that holds for it, with its variable's name.
    fn endpoint<'a>(&self, vars: &'a Vars<'_>) -> Option<(&'static str, &'a str)> {
        [self.endpoint, ENDPOINT].into_iter().find_map(|name| Some((name, vars.get(name)?)))
    }

    fn is_exported(&self, vars: &Vars<'_>) -> Result<bool, ConfigError> {
        let exporter = vars.get(self.exporter);
        let endpoint = self.endpoint(vars);
        let disabled = vars.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if disabled || exporter == Some("none") || endpoint.is_some_and(|(_, endpoint)| endpoint == "off") {
            return Ok(false);
        }
        if let Some(other) = exporter.filter(|exporter| *exporter != "otlp") {
            let elsewhere = if other == "prometheus" { "; METRICS_LISTEN serves /metrics" } else { "" };
            let problem = format!("{other:?} is not built in: expected otlp or none{elsewhere}");
            return Err(ConfigError::new(self.exporter, problem));
        }
        let named = endpoint.is_some_and(|(name, _)| name == self.endpoint || self.by_endpoint);
        if !named && exporter.is_none() {
            return Ok(false);
        }
        let protocol = [self.protocol, PROTOCOL].into_iter().find_map(|name| Some((name, vars.get(name)?)));
        if let Some((name, protocol)) = protocol.filter(|(_, protocol)| *protocol != "http/protobuf") {
            let problem = format!("{protocol:?} is not built in: expected http/protobuf (port 4318)");
            return Err(ConfigError::new(name, problem));
        }
        if let Some((name, endpoint)) = endpoint.filter(|(_, endpoint)| !endpoint.starts_with("http://")) {
            let problem = format!(
                "{endpoint:?} is not usable: expected http://host:port; TLS is not built in, so send to a \
                 collector nearby and let that one encrypt"
            );
            return Err(ConfigError::new(name, problem));
        }
        Ok(true)
    }
}

impl MetricsExport {
    fn read(vars: &Vars<'_>) -> Result<Option<Self>, ConfigError> {
        if !METRICS.is_exported(vars)? {
            return Ok(None);
        }
        refuse(vars, TEMPORALITY, "cumulative")?;
        for name in COMPRESSION {
            refuse(vars, name, "none")?;
        }
        let url = match METRICS.endpoint(vars) {
            Some((name, whole)) if name == METRICS.endpoint => whole.to_owned(),
            Some((_, start)) => format!("{}/v1/metrics", start.trim_end_matches('/')),
            None => "http://localhost:4318/v1/metrics".to_owned(),
        };
        let either =
            |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, vars.get(name)?)));
        let headers = either(["OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"]);
        let timeout = either(["OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]);
        let interval =
            vars.get("OTEL_METRIC_EXPORT_INTERVAL").map(|text| ("OTEL_METRIC_EXPORT_INTERVAL", text));
        Ok(Some(Self {
            url,
            headers: headers.map(|(name, text)| pairs(name, text)).transpose()?.unwrap_or_default(),
            interval: millis(interval, 60_000)?,
            timeout: millis(timeout, 10_000)?,
        }))
    }
}

/// Refuses any other value than the one that is built in.
fn refuse(vars: &Vars<'_>, name: &'static str, built_in: &str) -> Result<(), ConfigError> {
    match vars.get(name).filter(|value| !value.eq_ignore_ascii_case(built_in)) {
        Some(other) => {
            Err(ConfigError::new(name, format!("{other:?} is not built in for metrics: expected {built_in}")))
        }
        None => Ok(()),
    }
}

fn millis(given: Option<(&'static str, &str)>, default: u64) -> Result<Duration, ConfigError> {
    let Some((name, text)) = given else { return Ok(Duration::from_millis(default)) };
    let number = text.parse().ok().filter(|millis| (1..=86_400_000).contains(millis));
    let wrong =
        || ConfigError::new(name, format!("{text:?} is not usable: expected milliseconds, up to a day"));
    number.map(Duration::from_millis).ok_or_else(wrong)
}

/// Reads `name=value,name=value`, as OpenTelemetry writes headers; nothing of it is shown, it may hold a secret.
fn pairs(name: &'static str, text: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim().to_owned(), unescaped(value.trim())?)).filter(|(name, _)| !name.is_empty())
    };
    let read = text.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect::<Option<Vec<_>>>();
    read.ok_or_else(|| ConfigError::new(name, "is not usable: expected name=value,name=value".to_owned()))
}

/// Replaces `%41` by `A`.
fn unescaped(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// Says whether requests' trace context (W3C) is read. Baggage is carried nowhere: nothing is called that could be
/// handed it.
fn trace_context(vars: &Vars<'_>) -> Result<bool, ConfigError> {
    const NAME: &str = "OTEL_PROPAGATORS";
    let names: Vec<&str> = vars.get(NAME).unwrap_or("tracecontext").split(',').map(str::trim).collect();
    match names.iter().find(|name| !["tracecontext", "baggage", "none"].contains(*name)) {
        Some(other) => {
            let problem = format!("{other:?} is not built in: expected tracecontext, baggage or none");
            Err(ConfigError::new(NAME, problem))
        }
        None => Ok(names.contains(&"tracecontext")),
    }
}

#[cfg(test)]
#[path = "otel_tests.rs"]
mod tests;
