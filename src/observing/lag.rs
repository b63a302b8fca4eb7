//! How late a thread is: what is ready there waits as long.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::metrics::ThreadMetrics;

/// How often a thread is looked at.
const EVERY: Duration = Duration::from_millis(500);

/// Samples the current thread for as long as it runs. tokio's clock ticks every millisecond, so a thread that
/// idles is up to as late.
pub async fn watch(metrics: ThreadMetrics) {
    loop {
        let due = Instant::now() + EVERY;
        sleep_until(due).await;
        metrics.lag.observe(due.elapsed().as_secs_f64());
    }
}
