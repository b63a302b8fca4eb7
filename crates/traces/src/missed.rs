//! Lines that a trace lacks, until it tells of them.

use std::sync::atomic::{AtomicU64, Ordering};

use super::format::{Dropped, Why};

/// Lines that found no place in the writer's queue. Whoever hands lines over counts them.
#[derive(Debug, Default)]
pub(super) struct Overrun {
    count: AtomicU64,
    /// When the first of them came that is not told of; 0 for none.
    since: AtomicU64,
}

/// Lines that are missing for one reason, and not told of yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) count: u64,
    pub(super) since: u64,
}

impl Overrun {
    /// Counts a line; `now` is asked for the first one only.
    pub(super) fn add(&self, now: impl FnOnce() -> u64) {
        if self.count.fetch_add(1, Ordering::Relaxed) == 0 {
            self.since.store(now(), Ordering::Relaxed);
        }
    }

    /// Takes what was counted.
    pub(super) fn take(&self) -> Missed {
        // The next one may have come between: then its time is not known.
        let since = self.since.swap(0, Ordering::Relaxed);
        Missed { count: self.count.swap(0, Ordering::Relaxed), since }
    }
}

impl Missed {
    /// Adds others.
    pub(super) fn add(&mut self, other: Self) {
        if self.count == 0 || (other.count > 0 && other.since < self.since) {
            self.since = other.since;
        }
        self.count += other.count;
    }

    /// Returns the line that tells of them.
    pub(super) fn line(self, at: u64, why: Why) -> Dropped {
        Dropped { at, count: self.count, since: self.since, why }
    }
}
