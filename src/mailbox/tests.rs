//! The mailboxes against a ledger that is held, failed and watched by the test.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::*;
use crate::domain::{Amount, Description, Kind, Rejection};
use crate::observing::RequestId;
use ledger::{FakeLedger, UNKNOWN, World};

mod actors;
mod batches;
mod bounds;
mod failures;
mod held_rows;
mod leaving;
mod ledger;

fn options() -> MailboxOptions {
    MailboxOptions {
        mode: Mode::Batched,
        queue_per_client: 100,
        live_actors: 100,
        requests_in_flight: 1_000,
        answer_deadline: Duration::from_secs(10),
        passivate_after: Duration::from_secs(60),
    }
}

fn gathering() -> GathererOptions {
    GathererOptions {
        mode: Mode::Batched,
        clients_per_call: 64,
        batch_max: 256,
        calls_in_flight: 1,
        overlap_calls: 1,
        overlap_below: 0,
        row_waits: 2,
    }
}

pub(super) fn client(id: i32) -> ClientId {
    id.to_string().parse().expect("digits")
}

pub(super) fn credit(cents: i64) -> Transaction {
    Transaction {
        amount: Amount::try_from(cents).expect("positive"),
        kind: Kind::Credit,
        description: Description::try_from("x").expect("one character"),
        key: None,
    }
}

/// Waits until `done` says so, while everything else runs.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never happened: {what}");
}

/// The mailboxes on this thread, and the ledger behind them.
struct Bank {
    world: World,
    mailboxes: Mailboxes,
}

impl Bank {
    /// One whose ledger waits for the test's permission, call by call.
    fn held() -> Self {
        Self::new(World::held(), options(), gathering())
    }

    /// One whose ledger answers as soon as it can.
    fn open() -> Self {
        Self::new(World::open(), options(), gathering())
    }

    fn new(world: World, options: MailboxOptions, gatherer: GathererOptions) -> Self {
        let mailboxes = Mailboxes::new(options, Observer::unheard());
        mailboxes.serve_here(gatherer, Box::new(FakeLedger(world.clone())));
        mailboxes.open();
        Self { world, mailboxes }
    }

    /// Sends a transaction without waiting for its outcome.
    fn credit(&self, id: i32, cents: i64) -> Asked<Outcome> {
        let mailboxes = self.mailboxes.clone();
        Asked(actix_rt::spawn(async move {
            let answer =
                mailboxes.apply(client(id), credit(cents), Ticket::new(RequestId::made(), None)).await;
            answer.map(|timed| timed.value)
        }))
    }

    /// Asks for a statement without waiting for it.
    fn statement(&self, id: i32) -> Asked<Option<i64>> {
        let mailboxes = self.mailboxes.clone();
        Asked(actix_rt::spawn(async move {
            let answer = mailboxes.statement(client(id), Ticket::new(RequestId::made(), None)).await?;
            Ok(answer.value.map(|statement| statement.balance))
        }))
    }

    /// Sends a transaction and waits until the ledger has it.
    async fn credit_sent(&self, id: i32, cents: i64) -> Asked<Outcome> {
        let sent = self.world.batches().len() + 1;
        let asked = self.credit(id, cents);
        until("it is sent", || self.world.batches().len() == sent).await;
        asked
    }

    /// Waits until so many requests wait in mailboxes.
    async fn queued(&self, requests: i64) {
        until("they wait", || self.metrics().depth.get() == requests).await;
    }

    /// Waits until the ledger has so many questions for statements.
    async fn statements_sent(&self, statements: usize) {
        until("it is asked", || self.world.with(|state| state.statements_sent) == statements).await;
    }

    fn let_calls_through(&self, calls: usize) {
        self.world.gate.add_permits(calls);
    }

    fn metrics(&self) -> &crate::observing::metrics::MailboxMetrics {
        &self.mailboxes.inner.observer.mailbox
    }
}

/// A request whose answer is waited for later.
struct Asked<T>(JoinHandle<Result<T, Refusal>>);

impl<T: std::fmt::Debug> Asked<T> {
    async fn answer(self) -> Result<T, Refusal> {
        self.0.await.expect("no panic")
    }

    async fn refusal(self) -> Refusal {
        self.answer().await.expect_err("a refusal")
    }
}

impl Asked<Outcome> {
    /// The balance once it is applied.
    async fn balance(self) -> i64 {
        self.answer().await.expect("an answer").expect("it is applied").balance
    }
}

/// Runs something on another thread, after all that it has to do already.
async fn on(arbiter: &actix_rt::Arbiter, what: impl FnOnce() + Send + 'static) {
    let (done, is_done) = tokio::sync::oneshot::channel();
    arbiter.spawn_fn(move || {
        what();
        let _ = done.send(());
    });
    is_done.await.expect("the arbiter runs");
}
