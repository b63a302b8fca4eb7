//! What becomes of spans on their way to the collector: each is sent, or counted as lost, and losses are told.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};

use super::super::labelled::Labelled;
use super::client::Destination;
use super::wire::{self, Resource};

/// How long nothing more is said of losses once they have been told.
const SILENCE: Duration = Duration::from_secs(60);

/// Counts spans by their fate, and those that wait.
pub(super) struct Loss {
    fates: Labelled<3>,
    waiting: AtomicUsize,
    /// Lost since it was last told.
    untold: AtomicU64,
    told: Mutex<Option<Instant>>,
}

impl Loss {
    pub(super) fn new(fates: Labelled<3>) -> Self {
        let (waiting, untold) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { fates, waiting, untold, told: Mutex::default() }
    }

    fn sent(&self, spans: usize) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        self.fates.inc_by("sent", spans as u64);
    }

    fn lost(&self, fate: &'static str, spans: usize, why: &dyn fmt::Display) {
        self.fates.inc_by(fate, spans as u64);
        self.untold.fetch_add(spans as u64, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= SILENCE) {
            *told = Some(Instant::now());
            let lost = self.untold.swap(0, Ordering::Relaxed);
            tracing::warn!(lost, %why, "spans do not reach the collector; told once a minute");
        }
    }

    /// Tells of what was lost since it was last told, what still waits among it: there is no time left.
    pub(super) fn tell_all(&self) {
        let waiting = self.waiting.swap(0, Ordering::Relaxed);
        self.fates.inc_by("refused", waiting as u64);
        let lost = self.untold.swap(0, Ordering::Relaxed) + waiting as u64;
        if lost > 0 {
            tracing::warn!(lost, "the last spans could not be sent");
        }
    }
}

impl fmt::Debug for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loss").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

/// Takes spans as long as fewer than a bound wait: the queue behind it never overflows, where it would not be
/// seen how much was lost.
#[derive(Debug)]
pub(super) struct Bounded {
    queue: BatchSpanProcessor,
    most: usize,
    loss: Arc<Loss>,
}

impl Bounded {
    pub(super) fn new(queue: BatchSpanProcessor, most: usize, loss: Arc<Loss>) -> Self {
        Self { queue, most, loss }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.queue.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        let room = |waiting| (waiting < self.most).then_some(waiting + 1);
        match self.loss.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room) {
            Ok(_) => self.queue.on_end(span),
            Err(_) => self.loss.lost("queue_full", 1, &"as many wait as may (OTEL_BSP_MAX_QUEUE_SIZE)"),
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.queue.shutdown_with_timeout(timeout)
    }
}

/// Sends spans, and counts what became of them.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) destination: Destination,
    pub(super) resource: Resource,
    pub(super) loss: Arc<Loss>,
}

impl SpanExporter for Sender {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.destination.post_until_taken(&wire::request(&self.resource, &batch));
        match &result {
            Ok(()) => self.loss.sent(batch.len()),
            Err(why) => {
                self.loss.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
                self.loss.lost("refused", batch.len(), why);
            }
        }
        result.map_err(OTelSdkError::InternalFailure)
    }
}
