//! Sends metrics to a collector, every so often and once more at the end.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use settings::ConfigError;

use super::super::metrics::Metrics;
use super::LAST_WORDS;
use super::client::Destination;
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
        destination: Destination,
        interval: Duration,
        resource: Resource,
        metrics: &Metrics,
    ) -> Result<Self, ConfigError> {
        let post = Post { destination, resource, metrics: metrics.clone() };
        let (stop, told) = channel();
        let (done, ended) = channel();
        let run = move || {
            post.until(&told, interval);
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
    destination: Destination,
    resource: Resource,
    metrics: Metrics,
}

impl Post {
    fn until(&self, told: &Receiver<()>, interval: Duration) {
        let timeout = self.destination.timeout();
        let mut taken = true;
        while told.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            let result = self.send(timeout);
            self.metrics.spans.exports.inc(if result.is_ok() { "sent" } else { "refused" });
            match (&result, taken) {
                (Err(why), true) => {
                    tracing::warn!(why, "metrics do not reach the collector; told once");
                }
                (Ok(()), false) => tracing::info!("metrics reach the collector again"),
                _ => {}
            }
            taken = result.is_ok();
        }
        if let Err(why) = self.send(timeout.min(LAST_WORDS)) {
            tracing::warn!(why, "the last metrics could not be sent");
        }
    }

    /// Sends what is counted by now. What is not taken is not sent again: the next numbers hold it.
    fn send(&self, timeout: Duration) -> Result<(), String> {
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
        self.destination.post(body, timeout).map_err(|refused| refused.why)
    }
}
