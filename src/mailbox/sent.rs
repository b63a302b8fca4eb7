//! Whether a request was sent, agreed upon between who sends it and a caller who leaves.
//!
//! The sender says that it sends, and then looks whether the caller has left. The caller leaves, and then
//! looks whether the request was sent. So at least one of them sees the other, which a fence on either side
//! ensures: without it both looks could come before what the other has written.

use super::sync::{AtomicBool, Ordering, fence};

/// A request's flag.
#[derive(Debug)]
pub(super) struct Sent(AtomicBool);

impl Sent {
    /// Makes the flag of a request that was not sent.
    pub(super) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// The sender's side: declares that it sends, unless `has_left` tells that the caller has gone.
    pub(super) fn begin(&self, has_left: impl FnOnce() -> bool) -> bool {
        self.0.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        !has_left()
    }

    /// The caller's side: makes it `leave`, and tells whether the request was sent, or is about to be.
    pub(super) fn leave(&self, leave: impl FnOnce()) -> bool {
        leave();
        fence(Ordering::SeqCst);
        self.get()
    }

    /// Whether it was sent, for somebody who has no part in it.
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
