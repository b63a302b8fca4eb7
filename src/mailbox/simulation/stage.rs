//! The threads of an instance, all played by one: each has a runtime whose clock stands until it is moved.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use actix_rt::SystemRunner;

use super::super::gatherer::{CURRENT, Gatherer};
use super::super::{GathererOptions, Ledger, Mailboxes};

thread_local! {
    /// Whom to wake when a runtime has nothing more to do, and whether it had.
    static WAITS: RefCell<Option<Waker>> = const { RefCell::new(None) };
    static PARKS: Cell<bool> = const { Cell::new(false) };
}

/// One thread of those on which actors live.
pub(super) struct Shard {
    runner: SystemRunner,
    pub(super) gatherer: Rc<Gatherer>,
}

impl Shard {
    /// Makes the next thread of `mailboxes`.
    pub(super) fn start(mailboxes: &Mailboxes, options: GathererOptions, ledger: Box<dyn Ledger>) -> Self {
        let runner = actix_rt::System::with_tokio_rt(|| {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_time().start_paused(true).on_thread_park(|| {
                if let Some(waker) = WAITS.take() {
                    PARKS.set(true);
                    waker.wake();
                }
            });
            builder.build().expect("a runtime without files")
        });
        runner.block_on(async { mailboxes.serve_here(options, ledger) });
        let gatherer = CURRENT.with_borrow(|all| all.first().cloned()).expect("it has just been made");
        Self { runner, gatherer }
    }

    /// Does something on this thread, whose tasks do not run meanwhile unless it waits.
    pub(super) fn run<T>(&self, what: impl Future<Output = T>) -> T {
        CURRENT.set(vec![Rc::clone(&self.gatherer)]);
        self.runner.block_on(what)
    }

    /// Lets tasks run that can, once around.
    pub(super) fn tick(&self) {
        self.run(tokio::task::yield_now());
    }

    /// Lets tasks run until none can.
    pub(super) fn rest(&self) {
        self.run(poll_fn(|context| {
            if PARKS.take() {
                return Poll::Ready(());
            }
            WAITS.set(Some(context.waker().clone()));
            Poll::Pending
        }));
    }
}

impl Gatherer {
    /// Whether it has something to send, may, and does not.
    pub(super) fn forgets(&self) -> bool {
        self.may_send() && !self.ready.borrow().is_empty()
    }

    /// All that it counts of calls.
    pub(super) fn out(&self) -> usize {
        self.calls.get() + self.carried.get() + self.apart.get() + self.ready.borrow().len()
    }
}

/// Lets the tasks of all threads run until none can.
pub(super) fn rest(shards: &[Shard]) {
    // A request goes to its actor's thread, and the answer comes back.
    for _ in 0..if shards.len() > 1 { 3 } else { 1 } {
        shards.iter().for_each(Shard::rest);
    }
}

/// Moves all clocks.
pub(super) fn advance(shards: &[Shard], time: Duration) {
    shards.iter().for_each(|shard| shard.run(tokio::time::advance(time)));
}

/// Ends all threads.
pub(super) fn end(shards: Vec<Shard>) {
    CURRENT.take();
    drop(shards);
}
