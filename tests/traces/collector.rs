//! An OpenTelemetry collector that keeps what it is sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use guiche::tls;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::harness::Certificate;

/// Takes OTLP over HTTP as a collector does, and keeps it.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Received>>,
}

#[derive(Default)]
struct Received {
    spans: Vec<ExportTraceServiceRequest>,
    metrics: Vec<ResourceMetrics>,
    /// Requests that are to be sent again.
    busy: usize,
    /// Of the last request.
    head: Vec<String>,
}

/// What a caller is spoken to through.
trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

impl Collector {
    pub(crate) fn start() -> Self {
        Self::start_behind(|stream| Box::new(stream))
    }

    /// Starts one that speaks TLS, with this certificate, to those who show the same.
    pub(crate) fn start_encrypted(both: &Certificate) -> Self {
        let path = both.certificate.to_str().expect("its path is text");
        let provider = Arc::new(ring::default_provider());
        let trusted = Arc::new(tls::roots(path).expect("it may be trusted"));
        let callers = WebPkiClientVerifier::builder_with_provider(trusted, Arc::clone(&provider)).build();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("it has suites")
            .with_client_cert_verifier(callers.expect("somebody is trusted"))
            .with_single_cert(
                tls::certificates(path).expect("it is a certificate"),
                PrivateKeyDer::from_pem_file(&both.key).expect("it is a key"),
            );
        let config = Arc::new(config.expect("the key is the certificate's"));
        Self::start_behind(move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("it begins");
            Box::new(StreamOwned::new(connection, stream))
        })
    }

    fn start_behind(wrap: impl Fn(TcpStream) -> Box<dyn Stream> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let received = Arc::<Mutex<Received>>::default();
        let kept = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, stream) = (Arc::clone(&kept), wrap(stream));
                thread::spawn(move || serve(stream, &kept));
            }
        });
        Self { address, received }
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let spans = self.received.lock().expect("no collector thread panics with it").spans.clone();
        let resources = spans.into_iter().flat_map(|request| request.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    pub(crate) fn resource(&self) -> Vec<KeyValue> {
        let received = self.received.lock().expect("no collector thread panics with it");
        received.spans[0].resource_spans[0].resource.clone().expect("spans have a resource").attributes
    }

    /// What it was sent of metrics, one after the other.
    pub(crate) fn metrics(&self) -> Vec<ResourceMetrics> {
        self.received.lock().expect("no collector thread panics with it").metrics.clone()
    }

    /// Wants so many requests once more.
    pub(crate) fn be_busy_for(&self, requests: usize) {
        self.received.lock().expect("no collector thread panics with it").busy = requests;
    }

    /// The head of the last request.
    pub(crate) fn head(&self) -> Vec<String> {
        self.received.lock().expect("no collector thread panics with it").head.clone()
    }
}

fn serve(stream: Box<dyn Stream>, kept: &Mutex<Received>) {
    let mut input = BufReader::new(stream);
    loop {
        let (mut first, mut length) = (String::new(), 0);
        if input.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            input.read_line(&mut line).expect("a header");
            head.push(line.trim().to_owned());
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
        let mut kept = kept.lock().expect("no one panics with it");
        if kept.busy > 0 {
            kept.busy -= 1;
            let answer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
            input.get_mut().write_all(answer.as_bytes()).expect("the exporter reads its answer");
            continue;
        }
        match &*first {
            "POST /v1/traces HTTP/1.1\r\n" => {
                kept.spans.push(ExportTraceServiceRequest::decode(&*body).expect("protobuf"));
            }
            "POST /v1/metrics HTTP/1.1\r\n" => {
                let metrics = ExportMetricsServiceRequest::decode(&*body).expect("protobuf");
                kept.metrics.extend(metrics.resource_metrics);
            }
            other => panic!("{other}"),
        }
        kept.head = head;
        drop(kept);
        let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
        input.get_mut().write_all(answer.as_bytes()).expect("the exporter reads its answer");
        input.get_mut().flush().expect("the exporter reads its answer");
    }
}
