//! What `/metrics` shows, in OTLP's form and by the names of OpenTelemetry's semantic conventions where they have
//! one. What they have none for is named `guiche.…`.
//!
//! It is read from the text that `/metrics` is made of, so the two never differ. Exemplars are left out: the
//! collector has the spans themselves.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
};

use super::families::{Family, Sample, families};

/// Metrics that the conventions have a name for: Prometheus' name, theirs, their unit.
const CONVENTIONS: [(&str, &str, &str); 10] = [
    ("guiche_http_request_duration_seconds", "http.server.request.duration", "s"),
    ("guiche_database_seconds", "db.client.operation.duration", "s"),
    ("guiche_connection_wait_seconds", "db.client.connection.wait_time", "s"),
    ("guiche_pool_connections_in_use", CONNECTIONS, "{connection}"),
    ("guiche_pool_connections_max", "db.client.connection.max", "{connection}"),
    ("process_cpu_seconds", "process.cpu.time", "s"),
    ("process_resident_memory_bytes", "process.memory.usage", "By"),
    ("process_virtual_memory_bytes", "process.memory.virtual", "By"),
    ("process_threads", "process.thread.count", "{thread}"),
    ("process_open_fds", "process.unix.file_descriptor.count", "{file_descriptor}"),
];

/// It tells idle connections from used ones, where Prometheus' metrics tell used ones from all.
const CONNECTIONS: &str = "db.client.connection.count";
const OPEN_CONNECTIONS: &str = "guiche_pool_connections_open";

/// When the process started is told by each point.
const STARTED: &str = "process_start_time_seconds";

/// Turns the OpenMetrics text of `now`, in nanoseconds since the Unix epoch, into OTLP's metrics.
pub(super) fn metrics(open_metrics: &str, now: u64) -> Vec<Metric> {
    let families = families(open_metrics);
    let value = |name: &str| {
        let family = families.iter().find(|family| family.name == name)?;
        family.samples.first()?.value.parse::<f64>().ok()
    };
    let times = Times { start: value(STARTED).map_or(0, |start| (start * 1e9) as u64), now };
    let told = families.iter().filter(|family| ![STARTED, OPEN_CONNECTIONS].contains(&family.name));
    let metrics = told.map(|family| {
        let mut metric = metric(family, times);
        if let (CONNECTIONS, Some(Data::Sum(sum))) = (&*metric.name, &mut metric.data)
            && let (Some(open), Some(used)) = (value(OPEN_CONNECTIONS), value(family.name))
        {
            let mut idle = sum.data_points.clone();
            for (points, state) in [(&mut sum.data_points, "used"), (&mut idle, "idle")] {
                let points = points.iter_mut();
                points.for_each(|point| point.attributes.push(text("db.client.connection.state", state)));
            }
            // The two are read one after the other.
            idle.iter_mut().for_each(|point| point.value = Some(Value::AsInt((open - used).max(0.0) as i64)));
            sum.data_points.append(&mut idle);
        }
        metric
    });
    metrics.collect()
}

/// When what is counted began, and when it is looked at.
#[derive(Clone, Copy)]
struct Times {
    start: u64,
    now: u64,
}

fn metric(family: &Family<'_>, times: Times) -> Metric {
    let convention = CONVENTIONS.iter().find(|(name, ..)| *name == family.name);
    let (name, unit) = match convention {
        Some((_, name, unit)) => ((*name).to_owned(), *unit),
        None => own_name(family),
    };
    let attributes = |sample: &Sample<'_>| attributes(&name, &sample.labels);
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    let data = match family.kind {
        "histogram" => Data::Histogram(Histogram {
            data_points: histograms(family, times, &attributes),
            aggregation_temporality,
        }),
        kind => {
            let data_points = family.samples.iter().map(|sample| NumberDataPoint {
                attributes: attributes(sample),
                start_time_unix_nano: times.start,
                time_unix_nano: times.now,
                value: Some(number(sample.value)),
                ..NumberDataPoint::default()
            });
            let data_points = data_points.collect();
            // The conventions' gauges are sums: those of several instances may be added.
            match kind == "counter" || convention.is_some() {
                true => {
                    Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: kind == "counter" })
                }
                false => Data::Gauge(Gauge { data_points }),
            }
        }
    };
    let (description, unit) = (family.help.to_owned(), unit.to_owned());
    Metric { name, description, unit, metadata: Vec::new(), data: Some(data) }
}

/// Returns the name, and the unit, of what the conventions do not know.
fn own_name<'a>(family: &Family<'a>) -> (String, &'a str) {
    let name = family.name.strip_prefix("guiche_").unwrap_or(family.name);
    match family.unit {
        "seconds" => (format!("guiche.{}", name.trim_end_matches("_seconds")), "s"),
        "bytes" => (format!("guiche.{}", name.trim_end_matches("_bytes")), "By"),
        unit => (format!("guiche.{name}"), unit),
    }
}

/// Puts buckets, sums and counts together that have the same labels. Prometheus' buckets count what is below them
/// too; OTLP's do not.
fn histograms(
    family: &Family<'_>,
    times: Times,
    attributes: &dyn Fn(&Sample<'_>) -> Vec<KeyValue>,
) -> Vec<HistogramDataPoint> {
    let mut points: Vec<HistogramDataPoint> = Vec::new();
    let mut below = 0;
    // In a family's text a series' sum comes first, then its count, then its buckets.
    for sample in &family.samples {
        match (sample.suffix, points.last_mut()) {
            ("_sum", _) => {
                below = 0;
                points.push(HistogramDataPoint {
                    attributes: attributes(sample),
                    start_time_unix_nano: times.start,
                    time_unix_nano: times.now,
                    sum: sample.value.parse().ok(),
                    ..HistogramDataPoint::default()
                });
            }
            ("_count", Some(point)) => point.count = sample.value.parse().unwrap_or_default(),
            ("_bucket", Some(point)) => {
                let count = sample.value.parse::<u64>().unwrap_or_default();
                point.bucket_counts.push(count.saturating_sub(below));
                below = count;
                // The last one, +Inf, is no bound.
                point.explicit_bounds.extend(sample.bound().filter(|bound| bound.is_finite()));
            }
            _ => {}
        }
    }
    points
}

/// Translates a series' labels. Whose they are, `service.instance.id` of the resource says.
fn attributes(metric: &str, labels: &[(&str, String)]) -> Vec<KeyValue> {
    let mut attributes = Vec::new();
    if metric.starts_with("db.client.operation") {
        attributes.push(text("db.system.name", "postgresql"));
    } else if metric.starts_with("db.client.connection") {
        attributes.push(text("db.client.connection.pool.name", "guiche"));
    }
    for (name, value) in labels {
        match (*name, &**value) {
            ("instance_name" | "le", _) => {}
            ("route", route) => attributes.extend(route_of(route).map(|route| text("http.route", route))),
            ("status", status) => {
                let route = labels.iter().find(|(name, _)| *name == "route").map_or("", |(_, route)| route);
                attributes.push(text("http.request.method", method_of(route, status)));
                attributes.push(text("url.scheme", "http"));
                attributes.push(attribute(
                    "http.response.status_code",
                    any_value::Value::IntValue(status.parse().unwrap_or_default()),
                ));
                if status.starts_with('5') {
                    attributes.push(text("error.type", status));
                }
            }
            ("carried", carried) => attributes.push(text("db.operation.name", operation(carried))),
            ("fate", "answered") if metric.starts_with("db.") => {}
            ("fate", fate) if metric.starts_with("db.") => attributes.push(text("error.type", fate)),
            (name, value) => attributes.push(text(name, value)),
        }
    }
    attributes
}

/// Returns the path's pattern of a route, as a span has it.
fn route_of(route: &str) -> Option<&'static str> {
    Some(match route {
        "transacoes" => "/clientes/{id}/transacoes",
        "extrato" => "/clientes/{id}/extrato",
        "healthz" => "/healthz",
        "readyz" => "/readyz",
        "openapi" => "/openapi.json",
        "problems" => "/problems/{slug}",
        _ => return None,
    })
}

/// Returns the method that a route takes, a HEAD counting as its GET: Prometheus' metrics do not tell methods. One
/// that is not taken is some other.
fn method_of(route: &str, status: &str) -> &'static str {
    match (route, status) {
        (_, "405") | ("none", _) => "_OTHER",
        ("transacoes", _) => "POST",
        _ => "GET",
    }
}

/// Returns what a call did, in a span's words.
fn operation(carried: &str) -> &str {
    match carried {
        "transactions" => "apply",
        "statements" => "read",
        "both" => "apply and read",
        other => other,
    }
}

fn number(text: &str) -> Value {
    text.parse().map_or_else(|_| Value::AsDouble(text.parse().unwrap_or(f64::NAN)), Value::AsInt)
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
