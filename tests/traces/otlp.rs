//! What reaches a collector, decoded as the real protocol.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::harness::{Database, Guiche, Request};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT_ID: &str = "b7ad6b7169203331";

#[tokio::test]
async fn requests_go_under_their_callers_span_and_calls_are_linked_to_them() {
    let collector = Collector::start();
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database)
        .set("INSTANCE", "one")
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.address));
    let mut guiche = launcher.start().await;
    let traced = Request::transaction(1, 7, "c", "x")
        .header("X-Request-Id", "traced")
        .header("traceparent", &format!("00-{TRACE_ID}-{PARENT_ID}-01"));
    guiche.ask(&traced).await.balance();
    guiche.ask(&Request::statement(1).header("X-Request-Id", "alone")).await;
    guiche.signal(Signal::SIGTERM);
    assert!(guiche.ended().await.success(), "what waited was sent at the end");

    let received = collector.received();
    let resource = received[0].resource_spans[0].resource.as_ref().expect("spans have a resource");
    assert_eq!(attribute(&resource.attributes, "service.name"), "guiche");
    assert_eq!(attribute(&resource.attributes, "service.instance.id"), "one");
    let spans = spans(&received);
    let with_id = |id: &str| {
        let found = |span: &&Span| span.name == "request" && attribute(&span.attributes, "request_id") == id;
        *spans.iter().find(|span| found(span)).unwrap_or_else(|| panic!("no span of {id}"))
    };
    let (traced, alone) = (with_id("traced"), with_id("alone"));
    assert_eq!((hex(&traced.trace_id), hex(&traced.parent_span_id)), (TRACE_ID.into(), PARENT_ID.into()));
    assert_eq!(attribute(&traced.attributes, "outcome"), "applied");
    assert!(alone.parent_span_id.is_empty() && alone.trace_id != traced.trace_id, "nobody called for it");
    for request in [traced, alone] {
        let linked = |span: &&&Span| {
            let link = |link: &opentelemetry_proto::tonic::trace::v1::span::Link| {
                link.span_id == request.span_id && link.trace_id == request.trace_id
            };
            span.name == "flush" && span.links.iter().any(link)
        };
        let flush = spans.iter().find(linked).expect("its call is linked to it");
        assert_eq!(attribute(&flush.attributes, "flush"), attribute(&request.attributes, "flush"));
        assert!(!attribute(&flush.attributes, "lock_wait_us").is_empty());
    }
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nobody_up() {
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let mut guiche = launcher.start().await;
    for balance in 1..=20 {
        assert_eq!(guiche.credit(1, 1, "x").await.balance(), balance);
    }
    guiche.signal(Signal::SIGTERM);
    assert!(guiche.ended().await.success());
}

/// Takes OTLP over HTTP as a collector does, and keeps it.
struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || serve(stream, &kept));
            }
        });
        Self { address, received }
    }

    fn received(&self) -> Vec<ExportTraceServiceRequest> {
        self.received.lock().expect("no collector thread panics with it").clone()
    }
}

fn serve(stream: TcpStream, kept: &Mutex<Vec<ExportTraceServiceRequest>>) {
    let mut input = BufReader::new(stream);
    loop {
        let (mut first, mut length) = (String::new(), 0);
        if input.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        assert_eq!(first, "POST /v1/traces HTTP/1.1\r\n");
        loop {
            let mut line = String::new();
            input.read_line(&mut line).expect("a header");
            let (name, value) = line.trim().split_once(':').unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "" => break,
                "content-length" => length = value.trim().parse().expect("a number"),
                "content-type" => assert_eq!(value.trim(), "application/x-protobuf"),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body).expect("a body");
        kept.lock()
            .expect("no one panics with it")
            .push(ExportTraceServiceRequest::decode(&*body).expect("protobuf"));
        let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
        input.get_mut().write_all(answer.as_bytes()).expect("the exporter reads its answer");
    }
}

fn spans(received: &[ExportTraceServiceRequest]) -> Vec<&Span> {
    let resources = received.iter().flat_map(|request| &request.resource_spans);
    resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans).collect()
}

/// Returns an attribute as text; empty where there is none.
fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
