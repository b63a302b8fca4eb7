//! Who sends a request against its caller who leaves: every interleaving on two threads, with every value that
//! memory orderings allow to be read (`loom`).

use loom::sync::Arc;

/// What [`sent`] finds in the place of the standard library's.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicBool, Ordering, fence};
}

#[expect(clippy::duplicate_mod, reason = "what is tested is the source that runs")]
#[path = "../sent.rs"]
mod sent;

use sent::Sent;
use sync::{AtomicBool, Ordering};

/// The reply's channel, as far as it matters: tokio's is closed, and looked at, with these orderings.
struct Channel(AtomicBool);

impl Channel {
    fn close(&self) {
        self.0.swap(true, Ordering::Acquire);
    }

    fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Runs both sides, each of which returns what it has seen, in every way; at least one of them must see the other.
fn explore(
    send: impl Fn(&Sent, &Channel) -> bool + Copy + Send + Sync + 'static,
    leave: impl Fn(&Sent, &Channel) -> bool + Copy + Send + Sync + 'static,
) {
    loom::model(move || {
        let shared = Arc::new((Sent::new(), Channel(AtomicBool::new(false))));
        let its = Arc::clone(&shared);
        let sender = loom::thread::spawn(move || send(&its.0, &its.1));
        let knows_of_sending = leave(&shared.0, &shared.1);
        let is_sent = sender.join().expect("no panic");
        assert!(!is_sent || knows_of_sending, "it was sent to nobody's knowledge");
        // What is not sent has been left.
        assert!(is_sent || shared.1.is_closed());
    });
}

#[test]
fn the_sender_sees_who_left_or_who_leaves_sees_the_sending() {
    explore(
        |sent, channel| sent.begin(|| channel.is_closed()),
        |sent, channel| sent.leave(|| channel.close()),
    );
}

/// Looking before writing, on either side, is found to be wrong.
#[test]
#[should_panic(expected = "to nobody's knowledge")]
fn a_sender_that_looks_first_is_found() {
    explore(
        |sent, channel| {
            let waits = !channel.is_closed();
            sent.begin(|| !waits)
        },
        |sent, channel| sent.leave(|| channel.close()),
    );
}

/// So is a caller who leaves without a fence, even though it does all in the right order.
#[test]
#[should_panic(expected = "to nobody's knowledge")]
fn a_missing_fence_is_found() {
    explore(
        |sent, channel| sent.begin(|| channel.is_closed()),
        |sent, channel| {
            channel.close();
            sent.get()
        },
    );
}
