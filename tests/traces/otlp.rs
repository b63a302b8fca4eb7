//! What reaches a collector, decoded as the real protocol.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};

use crate::collector::Collector;
use crate::harness::{Database, Guiche, Launcher, Request, until};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT_ID: &str = "b7ad6b7169203331";

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// A request whose caller samples its trace, or does not.
fn traced(request: Request, id: &str, sampled: bool) -> Request {
    let flags = if sampled { "01" } else { "00" };
    let parent = format!("00-{TRACE_ID}-{PARENT_ID}-{flags}");
    request.header("X-Request-Id", id).header("traceparent", &parent).header("tracestate", "vendor=seven")
}

fn credit() -> Request {
    Request::transaction(1, 7, "c", "x")
}

/// Ends it, and returns what the collector was sent.
async fn ended(mut guiche: Guiche, collector: &Collector) -> Vec<Span> {
    guiche.signal(Signal::SIGTERM);
    assert!(guiche.ended().await.success(), "what waited was sent at the end");
    collector.spans()
}

#[tokio::test]
async fn a_request_is_a_server_span_and_its_call_a_client_span_linked_both_ways() {
    let collector = Collector::start();
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database)
        .set("INSTANCE", "one")
        .set(ENDPOINT, format!("http://{}", collector.address))
        .start()
        .await;
    guiche.ask(&traced(credit(), "traced", true)).await.balance();
    guiche.ask(&Request::statement(1).header("X-Request-Id", "alone")).await;
    let spans = ended(guiche, &collector).await;

    let resource = collector.resource();
    assert_eq!(attribute(&resource, "service.name"), text("guiche"));
    assert_eq!(attribute(&resource, "service.instance.id"), text("one"));
    let (traced, alone) = (request(&spans, "traced"), request(&spans, "alone"));
    assert_eq!((hex(&traced.trace_id), hex(&traced.parent_span_id)), (TRACE_ID.into(), PARENT_ID.into()));
    assert!(alone.parent_span_id.is_empty() && alone.trace_id != traced.trace_id, "nobody called for it");
    assert_eq!(traced.name, "POST /clientes/{id}/transacoes");
    assert_eq!((&*traced.trace_state, &*alone.trace_state), ("vendor=seven", ""));
    for (name, value) in [
        ("http.request.method", text("POST")),
        ("http.route", text("/clientes/{id}/transacoes")),
        ("url.path", text("/clientes/1/transacoes")),
        ("http.response.status_code", number(200)),
        ("guiche.outcome", text("applied")),
        ("guiche.client", number(1)),
    ] {
        assert_eq!(attribute(&traced.attributes, name), value, "{name}");
    }
    assert_eq!(failure(traced), None);
    for (request, operation) in [(traced, "apply"), (alone, "read")] {
        assert_eq!(request.kind(), SpanKind::Server);
        let call = spans.iter().find(|span| links_to(span, request)).expect("its call is linked to it");
        assert!(links_to(request, call), "and it to its call");
        assert_eq!((call.kind(), call.name.as_str()), (SpanKind::Client, operation));
        assert_eq!(call.trace_id, request.trace_id);
        assert_eq!(attribute(&call.attributes, "db.system.name"), text("postgresql"));
        assert_eq!(attribute(&call.attributes, "db.operation.name"), text(operation));
        assert_eq!(attribute(&call.attributes, "db.operation.batch.size"), None, "one is no batch");
        assert!(matches!(attribute(&call.attributes, "guiche.lock_wait_us"), Some(Value::IntValue(_))));
    }
}

#[tokio::test]
async fn a_batch_says_how_many_it_carries_and_is_linked_to_those_that_are_sampled() {
    let collector = Collector::start();
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set(ENDPOINT, format!("http://{}", collector.address));
    let guiche = launcher.start().await;
    let mut queue = guiche.hold(&database, 1, &traced(credit(), "alone", false)).await;
    queue
        .push_all(
            [("two", true), ("three", false), ("four", true)]
                .map(|(id, sampled)| traced(credit(), id, sampled)),
        )
        .await;
    assert_eq!(queue.balances().await, [7, 14, 21, 28]);
    let spans = ended(guiche, &collector).await;
    assert_eq!(spans.len(), 3, "what is not sampled is not sent, nor a call for its sake: {spans:#?}");
    let call = spans.iter().find(|span| span.kind() == SpanKind::Client).expect("the second call");
    assert_eq!(call.name, "BATCH apply");
    assert_eq!(attribute(&call.attributes, "db.operation.batch.size"), number(3));
    assert!(["two", "four"].iter().all(|id| links_to(call, request(&spans, id))));
    assert_eq!(call.links.len(), 2);
}

#[tokio::test]
async fn what_failed_says_so_by_its_type() {
    let collector = Collector::start();
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set(ENDPOINT, format!("http://{}", collector.address));
    let guiche = launcher.deadlines(4_000, 15_000, 20_000).start().await;
    guiche.ask(&traced(credit(), "warm", false)).await.balance();
    let lock = database.lock(1).await;
    guiche.ask(&traced(credit(), "refused", true)).await.assert_refused("unavailable");
    guiche.ask(&traced(Request::transaction(1, 9_000_000_000, "d", "x"), "limit", true)).await;
    lock.release().await;
    let spans = ended(guiche, &collector).await;
    let refused = request(&spans, "refused");
    assert_eq!(failure(refused), Some("unavailable".into()));
    let call = spans.iter().find(|span| links_to(span, refused)).expect("it was carried");
    assert_eq!(failure(call), Some("rolled_back".into()));
    assert_eq!(failure(request(&spans, "limit")), None, "a caller's own mistake");
}

#[tokio::test]
async fn the_log_and_the_metrics_name_the_trace_of_what_is_sampled() {
    let collector = Collector::start();
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set(ENDPOINT, format!("http://{}", collector.address));
    let guiche = launcher.set("LOG", "guiche=debug").start().await;
    guiche.ask(&traced(credit(), "sampled", true)).await.balance();
    guiche.ask(&traced(credit(), "unsampled", false)).await.balance();
    until("both are logged", async || guiche.logged("answered").len() == 2).await;
    let traces: Vec<_> =
        guiche.logged("answered").iter().map(|event| event["span"]["trace_id"].clone()).collect();
    assert_eq!(traces, [TRACE_ID.into(), serde_json::Value::Null]);
    assert_eq!(guiche.logged("flushed")[0]["span"]["trace_id"], TRACE_ID);
    let open_metrics = Request::get("/metrics").header("Accept", "application/openmetrics-text");
    let metrics = guiche.ask_metrics(&open_metrics).await.text();
    let exemplars: Vec<&str> = metrics.lines().filter(|line| line.contains(TRACE_ID)).collect();
    for name in ["guiche_http_request_duration_seconds_bucket{", "guiche_database_seconds_bucket{"] {
        assert!(exemplars.iter().any(|line| line.starts_with(name)), "{name}: {exemplars:?}");
    }
    let text = guiche.ask_metrics(&Request::get("/metrics")).await.text();
    assert!(!text.contains(TRACE_ID), "the text format has none");
}

#[tokio::test]
async fn a_call_whose_outcome_is_unknown_is_logged_with_its_trace() {
    let collector = Collector::start();
    let database = Database::create().await;
    let mut proxy = database.proxy();
    let launcher = Guiche::behind(&proxy, &database).set(ENDPOINT, format!("http://{}", collector.address));
    let guiche = launcher.start().await;
    let mut queue = guiche.hold(&database, 1, &traced(credit(), "lost", true)).await;
    proxy.go_down().await;
    queue.first_answer().await.assert_unknown();
    let line = guiche.until_logged("what became of a call is not known").await;
    assert_eq!(
        (&line["fields"]["trace_id"], &line["fields"]["request_ids"]),
        (&TRACE_ID.into(), &"lost".into())
    );
    drop(queue);
    let spans = ended(guiche, &collector).await;
    assert_eq!(failure(request(&spans, "lost")), Some("outcome-unknown".into()));
}

#[tokio::test]
async fn opentelemetrys_own_variables_hold() {
    let database = Database::create().await;
    for (name, value, sent) in [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", true),
        ("OTEL_SDK_DISABLED", "true", false),
        ("OTEL_TRACES_EXPORTER", "none", false),
        ("OTEL_TRACES_SAMPLER", "always_off", false),
    ] {
        let collector = Collector::start();
        let whole = format!("http://{}/v1/traces", collector.address);
        let launcher = Guiche::launcher(&database).set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", whole);
        let launcher = if value.is_empty() { launcher } else { launcher.set(name, value) };
        let guiche = launcher.start().await;
        guiche.ask(&credit()).await;
        assert_eq!(!ended(guiche, &collector).await.is_empty(), sent, "{name}");
    }
    for (propagators, taken) in [("tracecontext,baggage", true), ("none", false)] {
        let collector = Collector::start();
        let launcher = Guiche::launcher(&database).set(ENDPOINT, format!("http://{}", collector.address));
        let guiche = launcher.set("OTEL_PROPAGATORS", propagators).start().await;
        guiche.ask(&traced(credit(), "called", true)).await;
        let spans = ended(guiche, &collector).await;
        assert_eq!(hex(&request(&spans, "called").trace_id) == TRACE_ID, taken, "{propagators}");
    }
    for (name, value, says) in [
        ("OTEL_PROPAGATORS", "b3", "expected tracecontext"),
        ("OTEL_METRICS_EXPORTER", "prometheus", "METRICS_LISTEN"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "expected http/protobuf"),
        (ENDPOINT, "127.0.0.1:4317", "expected http://host:port or https://host:port"),
    ] {
        let launcher = Launcher::on(database.api_url()).set(ENDPOINT, "http://127.0.0.1:1");
        let (status, log) = launcher.set(name, value).run_to_end().await;
        assert!(
            !status.success() && log.starts_with(&format!("guiche: {name}: ")) && log.contains(says),
            "{log}"
        );
    }
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nobody_up_and_what_is_lost_is_told() {
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set(ENDPOINT, "http://127.0.0.1:1");
    let mut guiche = launcher.set("OTEL_BSP_SCHEDULE_DELAY", 50).start().await;
    let lost = async || guiche.metrics().await.with("guiche_spans_total", "fate=\"refused\"");
    for balance in 1..=20 {
        assert_eq!(guiche.credit(1, 1, "x").await.balance(), balance);
    }
    until("all are counted", async || lost().await == 40).await;
    let told = guiche.logged("spans do not reach the collector");
    assert_eq!(told.len(), 1, "at most one a minute: {told:?}");
    assert!(told[0]["level"] == "WARN" && told[0]["fields"]["lost"].as_u64() > Some(0), "{told:?}");
    guiche.signal(Signal::SIGTERM);
    assert!(guiche.ended().await.success());
}

#[tokio::test]
async fn what_a_collector_wants_again_is_sent_again() {
    let collector = Collector::start();
    collector.be_busy_for(2);
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set(ENDPOINT, format!("http://{}", collector.address));
    let guiche = launcher.set("OTEL_BSP_SCHEDULE_DELAY", 50).start().await;
    guiche.ask(&credit()).await.balance();
    until("they are sent", async || guiche.metrics().await.with("guiche_spans_total", "fate=\"sent\"") == 2)
        .await;
    assert_eq!(collector.spans().len(), 2);
}

/// It takes connections, and says nothing.
#[tokio::test]
async fn a_collector_that_hangs_costs_no_more_than_a_second_at_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set(ENDPOINT, endpoint);
    let launcher = launcher.set("OTEL_EXPORTER_OTLP_TIMEOUT", 60_000);
    let mut guiche = launcher.set("OTEL_BSP_MAX_QUEUE_SIZE", 8).start().await;
    for balance in 1..=20 {
        assert_eq!(guiche.credit(1, 1, "x").await.balance(), balance);
    }
    let full = guiche.metrics().await.with("guiche_spans_total", "fate=\"queue_full\"");
    assert_eq!(full, 32, "eight wait, of two for each of twenty");
    guiche.signal(Signal::SIGTERM);
    guiche.until_logged("stopped").await;
    let stopped = Instant::now();
    assert!(guiche.ended().await.success());
    assert!(stopped.elapsed() < Duration::from_secs(20), "{:?}", stopped.elapsed());
    let told = guiche.until_logged("the last spans could not be sent").await;
    assert_eq!(told["fields"]["lost"], 39, "one was told of before: {told}");
}

/// The span of the request with this id.
fn request<'a>(spans: &'a [Span], id: &str) -> &'a Span {
    let found = |span: &&Span| attribute(&span.attributes, "guiche.id") == text(id);
    spans.iter().find(found).unwrap_or_else(|| panic!("no span of {id}: {spans:#?}"))
}

fn links_to(span: &Span, other: &Span) -> bool {
    span.links.iter().any(|link| link.span_id == other.span_id && link.trace_id == other.trace_id)
}

/// The type of its error, if it is marked as failed.
fn failure(span: &Span) -> Option<String> {
    let failed = span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
    let kind = attribute(&span.attributes, "error.type");
    assert_eq!(failed, kind.is_some(), "{span:?}");
    kind.map(|kind| match kind {
        Value::StringValue(kind) => kind,
        other => panic!("{other:?}"),
    })
}

pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> Option<Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.clone()
}

pub(crate) fn text(text: &str) -> Option<Value> {
    Some(Value::StringValue(text.to_owned()))
}

pub(crate) fn number(number: i64) -> Option<Value> {
    Some(Value::IntValue(number))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
