//! Keys that have been kept for long enough are removed, a few at a time, by every thread that serves.

use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::PgLedger;
use super::calls;
use crate::mailbox::LedgerError;

/// Keys removed by one statement, which takes some milliseconds.
pub(super) const STEP: i32 = 1_000;

/// How long nobody looks for any, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// After a step it rests so many times as long as the step has taken.
const REST: u32 = 9;

impl PgLedger {
    /// Removes keys older than `kept`, for as long as the current runtime runs and whenever the instance `serves`.
    /// That others do so at the same time does no harm: they take different ones.
    pub async fn remove_old_keys(self, kept: Duration, serves: impl Fn() -> bool) {
        let pause = (kept / 10).min(LONGEST_PAUSE);
        loop {
            // Instances that started together are not to come together.
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            if serves()
                && let Err(error) = self.remove_all_old_keys(kept).await
            {
                tracing::debug!(%error, "old keys were left for the next time");
            }
        }
    }

    async fn remove_all_old_keys(&self, kept: Duration) -> Result<(), LedgerError> {
        let mut since = None;
        loop {
            let began = Instant::now();
            let (removed, until) = self.remove_some_old_keys(kept, since).await?;
            tracing::debug!(removed, "old keys were removed");
            if removed < STEP {
                return Ok(());
            }
            since = until;
            tokio::time::sleep(began.elapsed() * REST).await;
        }
    }

    async fn remove_some_old_keys(
        &self,
        kept: Duration,
        since: Option<OffsetDateTime>,
    ) -> Result<(i32, Option<OffsetDateTime>), LedgerError> {
        let connection = self.take().await?;
        connection.within_deadline(calls::remove_keys(connection.client(), kept, STEP, since)).await
    }
}
