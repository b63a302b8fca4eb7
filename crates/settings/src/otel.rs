//! What is exported over OTLP, as OpenTelemetry's own variables say it, and which of their values this program
//! cannot follow. What is of spans themselves (`OTEL_BSP_*`, `OTEL_SPAN_*`, the sampler) OpenTelemetry's library reads.

use std::time::Duration;

use super::error::ConfigError;
use super::vars::Vars;

const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";

/// What is exported over OTLP, and whose trace context is taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// How spans are sent, if they are.
    pub spans: Option<Reach>,
    /// How metrics are sent, if they are.
    pub metrics: Option<MetricsExport>,
    /// Whether a request's `traceparent` and `tracestate` are read.
    pub trace_context: bool,
}

/// How metrics are sent, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsExport {
    /// From one export to the next.
    pub interval: Duration,
    /// How the collector is reached.
    pub reach: Reach,
}

/// How a collector is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The whole URL.
    pub url: String,
    /// Headers that the collector wants.
    pub headers: Vec<(String, String)>,
    /// Time for one export.
    pub timeout: Duration,
    /// By whose certificates, where its endpoint is https.
    pub tls: Option<CollectorTls>,
}

/// Whose certificates are shown and trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectorTls {
    /// Those that are trusted; without it, the system's.
    pub roots: Option<PemFile>,
    /// The instance's own certificate and its key, if the collector asks for one.
    pub own: Option<[PemFile; 2]>,
}

/// A file of PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemFile {
    /// The variable that names it.
    pub variable: &'static str,
    /// Where it is.
    pub path: String,
}

/// What is told of one of the two signals: its own variable first, then the one of both.
struct Signal {
    path: &'static str,
    exporter: &'static str,
    endpoint: [&'static str; 2],
    protocol: [&'static str; 2],
    headers: [&'static str; 2],
    timeout: [&'static str; 2],
    compression: [&'static str; 2],
    certificate: [&'static str; 2],
    client_certificate: [&'static str; 2],
    client_key: [&'static str; 2],
    /// Whether the endpoint of all signals switches it on by itself.
    by_endpoint: bool,
}

macro_rules! signal {
    ($name:literal, $path:literal, by_endpoint: $by_endpoint:literal) => {
        Signal {
            path: $path,
            exporter: concat!("OTEL_", $name, "_EXPORTER"),
            endpoint: signal!(@ $name, "ENDPOINT"),
            protocol: signal!(@ $name, "PROTOCOL"),
            headers: signal!(@ $name, "HEADERS"),
            timeout: signal!(@ $name, "TIMEOUT"),
            compression: signal!(@ $name, "COMPRESSION"),
            certificate: signal!(@ $name, "CERTIFICATE"),
            client_certificate: signal!(@ $name, "CLIENT_CERTIFICATE"),
            client_key: signal!(@ $name, "CLIENT_KEY"),
            by_endpoint: $by_endpoint,
        }
    };
    (@ $name:literal, $what:literal) => {
        [concat!("OTEL_EXPORTER_OTLP_", $name, "_", $what), concat!("OTEL_EXPORTER_OTLP_", $what)]
    };
}

const SPANS: Signal = signal!("TRACES", "/v1/traces", by_endpoint: true);

/// They are shown at `METRICS_LISTEN` anyway, so they are sent only where that is asked for by name.
const METRICS: Signal = signal!("METRICS", "/v1/metrics", by_endpoint: false);

impl Otlp {
    /// Reads them. Spans are exported where an endpoint is named, or `OTEL_TRACES_EXPORTER=otlp`; metrics where
    /// their own endpoint is, or `OTEL_METRICS_EXPORTER=otlp`; neither where something switches it off.
    ///
    /// # Errors
    /// When a variable asks for what is not built in.
    pub(super) fn read(vars: &Vars<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            spans: SPANS.reach(vars)?,
            metrics: MetricsExport::read(vars)?,
            trace_context: trace_context(vars)?,
        })
    }

    /// Says whether anything is exported.
    pub fn is_on(&self) -> bool {
        self.spans.is_some() || self.metrics.is_some()
    }
}

/// Returns the value that holds, with its variable's name.
fn first<'a>(vars: &'a Vars<'_>, names: [&'static str; 2]) -> Option<(&'static str, &'a str)> {
    names.into_iter().find_map(|name| Some((name, vars.get(name)?)))
}

impl Signal {
    /// Returns how it is sent, unless it is not.
    fn reach(&self, vars: &Vars<'_>) -> Result<Option<Reach>, ConfigError> {
        let exporter = vars.get(self.exporter);
        let endpoint = first(vars, self.endpoint);
        let disabled = vars.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if disabled || exporter == Some("none") || endpoint.is_some_and(|(_, endpoint)| endpoint == "off") {
            return Ok(None);
        }
        if let Some(other) = exporter.filter(|exporter| *exporter != "otlp") {
            let elsewhere = if other == "prometheus" { "; METRICS_LISTEN serves /metrics" } else { "" };
            let problem = format!("{other:?} is not built in: expected otlp or none{elsewhere}");
            return Err(ConfigError::new(self.exporter, problem));
        }
        let named = endpoint.is_some_and(|(name, _)| name == self.endpoint[0] || self.by_endpoint);
        if !named && exporter.is_none() {
            return Ok(None);
        }
        let protocol = first(vars, self.protocol);
        if let Some((name, protocol)) = protocol.filter(|(_, protocol)| *protocol != "http/protobuf") {
            let problem = format!("{protocol:?} is not built in: expected http/protobuf (port 4318)");
            return Err(ConfigError::new(name, problem));
        }
        let is = |scheme| endpoint.is_some_and(|(_, endpoint)| endpoint.starts_with(scheme));
        if let Some((name, endpoint)) = endpoint.filter(|_| !is("http://") && !is("https://")) {
            let problem =
                format!("{endpoint:?} is not usable: expected http://host:port or https://host:port");
            return Err(ConfigError::new(name, problem));
        }
        let tls = is("https://").then(|| self.tls(vars)).transpose()?;
        for name in self.compression {
            refuse(vars, name, "none")?;
        }
        let url = match endpoint {
            Some((name, whole)) if name == self.endpoint[0] => whole.to_owned(),
            Some((_, start)) => format!("{}{}", start.trim_end_matches('/'), self.path),
            None => format!("http://localhost:4318{}", self.path),
        };
        let headers = first(vars, self.headers).map(|(name, text)| pairs(name, text)).transpose()?;
        let timeout = millis(first(vars, self.timeout), 10_000)?;
        Ok(Some(Reach { url, headers: headers.unwrap_or_default(), timeout, tls }))
    }

    fn tls(&self, vars: &Vars<'_>) -> Result<CollectorTls, ConfigError> {
        let file =
            |names| first(vars, names).map(|(variable, path)| PemFile { variable, path: path.to_owned() });
        let own = match (file(self.client_certificate), file(self.client_key)) {
            (Some(certificate), Some(key)) => Some([certificate, key]),
            (None, None) => None,
            (Some(one), None) => {
                return Err(ConfigError::new(one.variable, format!("needs {}", self.client_key[1])));
            }
            (None, Some(one)) => {
                return Err(ConfigError::new(one.variable, format!("needs {}", self.client_certificate[1])));
            }
        };
        Ok(CollectorTls { roots: file(self.certificate), own })
    }
}

impl MetricsExport {
    fn read(vars: &Vars<'_>) -> Result<Option<Self>, ConfigError> {
        let Some(reach) = METRICS.reach(vars)? else { return Ok(None) };
        refuse(vars, TEMPORALITY, "cumulative")?;
        let interval =
            vars.get("OTEL_METRIC_EXPORT_INTERVAL").map(|text| ("OTEL_METRIC_EXPORT_INTERVAL", text));
        Ok(Some(Self { interval: millis(interval, 60_000)?, reach }))
    }
}

/// Refuses any other value than the one that is built in.
fn refuse(vars: &Vars<'_>, name: &'static str, built_in: &str) -> Result<(), ConfigError> {
    match vars.get(name).filter(|value| !value.eq_ignore_ascii_case(built_in)) {
        Some(other) => Err(ConfigError::new(name, format!("{other:?} is not built in: expected {built_in}"))),
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
