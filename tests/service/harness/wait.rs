//! Waiting for what is about to be so.

use std::time::{Duration, Instant};

/// How long anything that must happen may take, on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Looks at a condition again and again until it holds, and fails the test if it does not within
/// [`PATIENCE`]. `what` completes "waited in vain until …".
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        // The pause between two looks; nothing depends on its length.
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}
