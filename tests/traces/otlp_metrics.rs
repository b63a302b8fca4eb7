//! The metrics that reach a collector, decoded as the real protocol.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, ResourceMetrics};

use crate::collector::Collector;
use crate::harness::{Database, Guiche, Launcher, Request, until};
use crate::otlp::{attribute, number, text};

fn sent_to(launcher: Launcher, collector: &Collector) -> Launcher {
    let launcher = launcher.set("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.address));
    // The instance ends with a last export; no other is waited for.
    launcher.set("OTEL_METRICS_EXPORTER", "otlp").set("OTEL_METRIC_EXPORT_INTERVAL", 3_600_000)
}

/// Ends it, and returns the last metrics that the collector was sent.
async fn ended(mut guiche: Guiche, collector: &Collector) -> ResourceMetrics {
    guiche.signal(Signal::SIGTERM);
    assert!(guiche.ended().await.success());
    collector.metrics().pop().expect("the last are sent at the end")
}

#[tokio::test]
async fn metrics_have_the_conventions_names_where_there_are_some() {
    let collector = Collector::start();
    let database = Database::create().await;
    let launcher = sent_to(Guiche::launcher(&database).set("INSTANCE", "one \"two\"}, x"), &collector);
    let guiche = launcher.set("OTEL_TRACES_EXPORTER", "none").start().await;
    for balance in 1..=3 {
        assert_eq!(guiche.credit(1, 1, "x").await.balance(), balance);
    }
    guiche.statement(6).await;
    guiche.get("/nowhere").await;
    let sent = ended(guiche, &collector).await;
    assert!(collector.spans().is_empty(), "only metrics are asked for");
    let resource = sent.resource.as_ref().expect("they have a resource");
    assert_eq!(attribute(&resource.attributes, "service.instance.id"), text("one \"two\"}, x"));
    assert_eq!(attribute(&resource.attributes, "service.name"), text("guiche"));

    let requests = metric(&sent, "http.server.request.duration");
    assert_eq!(requests.unit, "s");
    let counted = |method: &str, route: Option<&str>, status| {
        let wanted = [
            ("http.request.method", text(method)),
            ("http.route", route.and_then(text)),
            ("http.response.status_code", number(status)),
            ("url.scheme", text("http")),
        ];
        series(requests, &wanted)
    };
    assert_eq!(counted("POST", Some("/clientes/{id}/transacoes"), 200).count, 3.0);
    assert_eq!(counted("POST", Some("/clientes/{id}/transacoes"), 503).count, 0.0, "known series are there");
    assert_eq!(counted("GET", Some("/clientes/{id}/extrato"), 404).count, 1.0);
    assert_eq!(counted("_OTHER", None, 404).count, 1.0);

    let calls = metric(&sent, "db.client.operation.duration");
    let call = |operation: &str, error: Option<&str>| {
        series(calls, &[("db.operation.name", text(operation)), ("error.type", error.and_then(text))]).count
    };
    assert_eq!((call("apply", None), call("read", None), call("apply", Some("unknown"))), (3.0, 1.0, 0.0));

    let connections = |state: &str| {
        let found = metric(&sent, "db.client.connection.count");
        series(found, &[("db.client.connection.state", text(state))]).count
    };
    assert!(connections("idle") <= 1.0 && connections("used") == 0.0, "at its end it has let go of all");
    assert_eq!(series(metric(&sent, "db.client.connection.max"), &[]).count, 16.0);
    for (name, unit) in [
        ("process.cpu.time", "s"),
        ("process.memory.usage", "By"),
        ("process.thread.count", "{thread}"),
        ("guiche.mailbox_wait", "s"),
        ("guiche.batch_transactions", ""),
        ("guiche.sheds", ""),
        ("guiche.live_actors", ""),
    ] {
        assert_eq!(metric(&sent, name).unit, unit, "{name}");
    }
    let applied = series(metric(&sent, "guiche.transactions"), &[("outcome", text("applied"))]);
    assert_eq!(applied.count, 3.0);
}

#[tokio::test]
async fn a_histogram_holds_each_value_in_one_bucket_and_begins_with_the_process() {
    let collector = Collector::start();
    let database = Database::create().await;
    let guiche = sent_to(Guiche::launcher(&database), &collector).start().await;
    for _ in 0..5 {
        guiche.credit(1, 1, "x").await.balance();
    }
    let sent = ended(guiche, &collector).await;
    let Some(Data::Histogram(histogram)) = &metric(&sent, "guiche.mailbox_wait").data else {
        panic!("it is a histogram")
    };
    assert_eq!(histogram.aggregation_temporality(), AggregationTemporality::Cumulative);
    let [point] = &histogram.data_points[..] else { panic!("{histogram:?}") };
    assert_eq!((point.count, point.bucket_counts.iter().sum::<u64>()), (5, 5), "{point:?}");
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1, "{point:?}");
    assert!(point.explicit_bounds.is_sorted() && point.sum > Some(0.0), "{point:?}");
    assert!(0 < point.start_time_unix_nano && point.start_time_unix_nano < point.time_unix_nano);
}

#[tokio::test]
async fn every_interval_metrics_are_sent_with_the_headers_that_are_wanted() {
    let collector = Collector::start();
    let database = Database::create().await;
    let guiche = sent_to(Guiche::launcher(&database), &collector)
        .set("OTEL_METRIC_EXPORT_INTERVAL", 50)
        .set("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x")
        .start()
        .await;
    until("they come again and again", async || collector.metrics().len() > 2).await;
    assert!(collector.head().contains(&"authorization: Bearer x".to_owned()), "{:?}", collector.head());
    assert!(guiche.metrics().await.with("guiche_metric_exports_total", "fate=\"sent\"") > 1);
}

/// One end says nothing, the other is not there.
#[tokio::test]
async fn a_collector_that_does_not_take_metrics_is_told_of_and_holds_nobody_up() {
    let database = Database::create().await;
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent = format!("http://{}/v1/metrics", silent.local_addr().expect("it is bound"));
    for (endpoint, interval) in [("http://127.0.0.1:1/v1/metrics", 50), (&silent, 3_600_000)] {
        let launcher = Guiche::launcher(&database).set("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", endpoint);
        let launcher = launcher.set("OTEL_EXPORTER_OTLP_TIMEOUT", 60_000);
        let mut guiche = launcher.set("OTEL_METRIC_EXPORT_INTERVAL", interval).start().await;
        if interval == 50 {
            until("they are refused", async || {
                guiche.metrics().await.with("guiche_metric_exports_total", "fate=\"refused\"") > 2
            })
            .await;
            assert_eq!(guiche.logged("metrics do not reach the collector; told once").len(), 1);
        }
        assert_eq!(guiche.ask(&Request::statement(1)).await.status, 200);
        guiche.signal(Signal::SIGTERM);
        guiche.until_logged("stopped").await;
        let stopped = Instant::now();
        assert!(guiche.ended().await.success());
        assert!(stopped.elapsed() < Duration::from_secs(20), "{endpoint}: {:?}", stopped.elapsed());
        if interval == 50 {
            guiche.until_logged("the last metrics could not be sent").await;
        }
    }
}

fn metric<'a>(sent: &'a ResourceMetrics, name: &str) -> &'a Metric {
    let metrics = || sent.scope_metrics.iter().flat_map(|scope| &scope.metrics);
    let mut found = metrics().filter(|metric| metric.name == name);
    let metric = found.next().unwrap_or_else(|| {
        panic!("no {name} in {:?}", metrics().map(|metric| &metric.name).collect::<Vec<_>>())
    });
    assert!(found.next().is_none(), "{name} is there twice");
    metric
}

/// What a series says: how many, or how much.
struct Told {
    count: f64,
}

/// The series with these attributes, which is one.
fn series(
    metric: &Metric,
    wanted: &[(&str, Option<opentelemetry_proto::tonic::common::v1::any_value::Value>)],
) -> Told {
    let value = |value: Option<Value>| match value {
        Some(Value::AsInt(value)) => value as f64,
        Some(Value::AsDouble(value)) => value,
        None => f64::NAN,
    };
    let points: Vec<(&Vec<KeyValue>, f64)> = match metric.data.as_ref().expect("it has data") {
        Data::Sum(sum) => {
            sum.data_points.iter().map(|point| (&point.attributes, value(point.value))).collect()
        }
        Data::Gauge(gauge) => {
            gauge.data_points.iter().map(|point| (&point.attributes, value(point.value))).collect()
        }
        Data::Histogram(histogram) => {
            histogram.data_points.iter().map(|point| (&point.attributes, point.count as f64)).collect()
        }
        other => panic!("{other:?}"),
    };
    let fits =
        |attributes: &[KeyValue]| wanted.iter().all(|(name, value)| attribute(attributes, name) == *value);
    let found: Vec<f64> =
        points.iter().filter(|(attributes, _)| fits(attributes)).map(|(_, count)| *count).collect();
    let [count] = found[..] else { panic!("{found:?} of {wanted:?} in {metric:?}") };
    Told { count }
}
