//! Sends metrics to a collector, every so often and once more at the end.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use reqwest::blocking::Client;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use settings::{ConfigError, MetricsExport};

use super::super::metrics::Metrics;
use super::LAST_WORDS;
use super::client::{self, causes};
use super::metrics::metrics;

/// Metrics that are being sent. Dropping it sends them once more.
pub(in super::super) struct Pusher {
    /// Dropped first: the thread ends by it.
    stop: Option<Sender<()>>,
    ended: Receiver<()>,
}

impl Pusher {
    /// Begins to send, from a thread of its own.
    pub(super) fn start(
        export: MetricsExport,
        resource: Resource,
        metrics: &Metrics,
    ) -> Result<Self, ConfigError> {
        let unusable = |why: String| ConfigError::new("OTEL_EXPORTER_OTLP_HEADERS", why);
        let mut headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"))]);
        for (name, value) in &export.headers {
            let name = HeaderName::try_from(name).map_err(|why| unusable(why.to_string()))?;
            headers.insert(name, HeaderValue::try_from(value).map_err(|why| unusable(why.to_string()))?);
        }
        let client = client::client(&export.reach)?.default_headers(headers).build();
        let client = client.map_err(|why| unusable(why.to_string()))?;
        let post = Post { client, url: export.url, resource, metrics: metrics.clone() };
        let (stop, told) = channel();
        let (done, ended) = channel();
        let run = move || {
            post.until(&told, export.interval, export.reach.timeout);
            // Nobody waits any more where that took too long.
            let _ = done.send(());
        };
        let thread = thread::Builder::new().name("otlp-metrics".to_owned()).spawn(run);
        thread
            .map_err(|why| ConfigError::new("OTEL_METRICS_EXPORTER", format!("no thread for it: {why}")))?;
        Ok(Self { stop: Some(stop), ended })
    }
}

impl Drop for Pusher {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.ended.recv_timeout(LAST_WORDS);
    }
}

struct Post {
    client: Client,
    url: String,
    resource: Resource,
    metrics: Metrics,
}

impl Post {
    fn until(&self, told: &Receiver<()>, interval: Duration, timeout: Duration) {
        let mut taken = true;
        while told.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            let result = self.send(timeout);
            self.metrics.spans.exports.inc(if result.is_ok() { "sent" } else { "refused" });
            match (&result, taken) {
                (Err(why), true) => {
                    tracing::warn!(why = causes(why), "metrics do not reach the collector; told once");
                }
                (Ok(()), false) => tracing::info!("metrics reach the collector again"),
                _ => {}
            }
            taken = result.is_ok();
        }
        if let Err(why) = self.send(timeout.min(LAST_WORDS)) {
            tracing::warn!(why = causes(&why), "the last metrics could not be sent");
        }
    }

    /// Sends what is counted by now. What is not taken is not sent again: the next numbers hold it.
    fn send(&self, timeout: Duration) -> reqwest::Result<()> {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos() as u64;
        let scope = InstrumentationScope {
            name: "guiche".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let metrics = metrics(&self.metrics.encode(), now);
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
        let resource = Some(self.resource.clone());
        let resource_metrics =
            vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
        let body = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec();
        self.client.post(&self.url).timeout(timeout).body(body).send()?.error_for_status().map(drop)
    }
}
