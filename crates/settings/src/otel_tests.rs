//! What OpenTelemetry's variables switch on and off, and what is refused.

use super::*;

const TRACES_ENDPOINT: &str = SPANS.endpoint[0];
const ENDPOINT: &str = SPANS.endpoint[1];
const METRICS_ENDPOINT: &str = METRICS.endpoint[0];

fn read(given: &[(&str, &str)]) -> Result<Otlp, String> {
    let vars = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Otlp::read(&Vars(&vars)).map_err(|error| error.to_string())
}

#[test]
fn it_is_switched_on_and_off_as_opentelemetry_says() {
    let (endpoint, traces) = ((ENDPOINT, "http://one:4318"), (TRACES_ENDPOINT, "http://one:4318/v1/traces"));
    for (given, exported) in [
        (&[][..], false),
        (&[endpoint], true),
        (&[traces], true),
        (&[("OTEL_TRACES_EXPORTER", "otlp")], true),
        (&[(ENDPOINT, "")], false),
        (&[(ENDPOINT, "off")], false),
        (&[endpoint, ("OTEL_SDK_DISABLED", "true")], false),
        (&[endpoint, ("OTEL_SDK_DISABLED", "false")], true),
        (&[endpoint, ("OTEL_TRACES_EXPORTER", "none")], false),
        (&[endpoint, ("OTEL_TRACES_EXPORTER", "")], true),
        (&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")], true),
        // What is switched off need not be usable.
        (&[("OTEL_SDK_DISABLED", "true"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], false),
    ] {
        assert_eq!(read(given).map(|otlp| otlp.spans.is_some()), Ok(exported), "{given:?}");
    }
}

#[test]
fn what_is_not_built_in_is_refused_by_its_name() {
    let (endpoint, metrics) = ((ENDPOINT, "http://one:4318"), ("OTEL_METRICS_EXPORTER", "otlp"));
    for (given, says) in [
        (&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")][..], "OTEL_EXPORTER_OTLP_PROTOCOL: \"grpc\""),
        (&[endpoint, ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json")], "TRACES_PROTOCOL"),
        (&[endpoint, ("OTEL_TRACES_EXPORTER", "zipkin")], "expected otlp or none"),
        (&[(ENDPOINT, "one:4318")], "expected http://host:port or https://host:port"),
        (
            &[(ENDPOINT, "https://one:4318"), ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k")],
            "OTLP_CLIENT_CERTIFICATE",
        ),
        (&[endpoint, ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "10s")], "expected milliseconds"),
        (&[(TRACES_ENDPOINT, "one:4317")], "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        (&[("OTEL_METRICS_EXPORTER", "prometheus")], "METRICS_LISTEN serves /metrics"),
        (&[(METRICS_ENDPOINT, "one:4318/v1/metrics")], "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
        (&[metrics, (TEMPORALITY, "delta")], "expected cumulative"),
        (&[metrics, ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")], "expected none"),
        (&[metrics, ("OTEL_METRIC_EXPORT_INTERVAL", "1m")], "expected milliseconds"),
        (&[metrics, ("OTEL_EXPORTER_OTLP_HEADERS", "secret")], "HEADERS: is not usable"),
        (&[("OTEL_PROPAGATORS", "tracecontext,b3")], "\"b3\" is not built in"),
    ] {
        let error = read(given).expect_err(says);
        assert!(error.contains(says), "{error}");
    }
}
#[test]
fn metrics_are_sent_where_they_are_asked_for_by_name() {
    let (endpoint, by_name) = ((ENDPOINT, "http://one:4318/"), ("OTEL_METRICS_EXPORTER", "otlp"));
    let whole = (METRICS_ENDPOINT, "http://two:1/here");
    for (given, url) in [
        (&[][..], None),
        (&[endpoint], None),
        (&[by_name], Some("http://localhost:4318/v1/metrics")),
        (&[endpoint, by_name], Some("http://one:4318/v1/metrics")),
        (&[endpoint, whole], Some("http://two:1/here")),
        (&[whole, ("OTEL_METRICS_EXPORTER", "none")], None),
        (&[whole, ("OTEL_SDK_DISABLED", "TRUE")], None),
    ] {
        let read = read(given).expect("it is usable");
        assert_eq!(read.metrics.map(|metrics| metrics.reach.url).as_deref(), url, "{given:?}");
    }
    let metrics = read(&[
        by_name,
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x, a=b=c"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "50"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "20"),
    ]);
    let MetricsExport { interval, reach: Reach { headers, timeout, tls: None, .. } } =
        metrics.expect("it is usable").metrics.expect("it is on")
    else {
        panic!("it is not by https")
    };
    assert_eq!(headers, [("authorization", "Bearer x"), ("a", "b=c")].map(|(a, b)| (a.into(), b.into())));
    assert_eq!([interval, timeout], [50, 20].map(Duration::from_millis));
}

#[test]
fn by_https_each_signal_may_have_certificates_of_its_own() {
    let (all, own) = ("OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE");
    let read =
        read(&[(ENDPOINT, "https://one:4318"), ("OTEL_METRICS_EXPORTER", "otlp"), (all, "/a"), (own, "/b")]);
    let otlp = read.expect("it is usable");
    let metrics = otlp.metrics.map(|metrics| metrics.reach);
    for (reach, variable, path) in [(otlp.spans, all, "/a"), (metrics, own, "/b")] {
        let roots = Some(PemFile { variable, path: path.to_owned() });
        assert_eq!(reach.expect("it is sent").tls, Some(CollectorTls { roots, own: None }));
    }
}

#[test]
fn propagators_say_whose_trace_is_taken_over() {
    for (value, taken) in [("", true), ("tracecontext,baggage", true), ("none", false), ("baggage", false)] {
        assert_eq!(read(&[("OTEL_PROPAGATORS", value)]).map(|otlp| otlp.trace_context), Ok(taken), "{value}");
    }
}
