//! What the tests of this crate share.

use std::time::{Duration, Instant};

/// Waits until `condition` holds; after 30 s in vain it panics.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}
