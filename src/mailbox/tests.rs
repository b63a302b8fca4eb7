//! The mailboxes against a ledger that is held, failed and watched by the test.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;
use crate::domain::{Amount, Applied, Description, Kind, Rejection};
use crate::observing::RequestId;

mod actors;
mod batches;
mod bounds;
mod failures;
mod held_rows;
mod leaving;

/// What the test and its ledgers, on whichever threads, share.
#[derive(Clone)]
struct World {
    /// A call goes on once it has a permit, and uses it up.
    gate: Arc<Semaphore>,
    state: Arc<Mutex<WorldState>>,
}

#[derive(Default)]
struct WorldState {
    /// Servers that clients are on in turn, if more than one.
    servers: i32,
    /// Every batch that was sent, as (client, amounts).
    batches: Vec<Vec<(i32, Vec<i64>)>>,
    statements_sent: usize,
    /// Whose statements each query read.
    statements_read: Vec<Vec<i32>>,
    balances: HashMap<i32, i64>,
    in_flight: HashSet<i32>,
    next_failure: Option<LedgerError>,
    /// Clients whose rows somebody holds, and how long calls waited for them in vain.
    rows_held: HashSet<i32>,
    waits: Vec<RowWait>,
    refuse_connections: bool,
    panic_next: bool,
}

impl World {
    /// A ledger that waits for the test's permission, call by call.
    fn held() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), state: Arc::default() }
    }

    /// A ledger that answers as soon as it can.
    fn open() -> Self {
        Self { gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)), state: Arc::default() }
    }

    fn batches(&self) -> Vec<Vec<(i32, Vec<i64>)>> {
        self.with(|state| state.batches.clone())
    }

    fn with<T>(&self, look: impl FnOnce(&mut WorldState) -> T) -> T {
        look(&mut self.state.lock().expect("no test panics while it looks"))
    }
}

struct FakeLedger(World);

impl Ledger for FakeLedger {
    fn connect(&self, _server: usize) -> LocalFuture<'_, Result<Box<dyn LedgerConnection>, LedgerError>> {
        Box::pin(async {
            if self.0.with(|state| state.refuse_connections) {
                return Err(LedgerError::NotSent("refused by the test".into()));
            }
            let connection =
                FakeConnection { world: self.0.clone(), pipeline: tokio::sync::Mutex::default() };
            Ok(Box::new(connection) as Box<dyn LedgerConnection>)
        })
    }

    fn server_of(&self, client: ClientId) -> usize {
        (client.get() % self.0.with(|state| state.servers.max(1))) as usize
    }
}

/// As on a real one, calls are answered in the order in which they were sent.
struct FakeConnection {
    world: World,
    pipeline: tokio::sync::Mutex<()>,
}

impl LedgerConnection for FakeConnection {
    fn apply<'a>(
        &'a self,
        runs: &'a [Run],
        row_wait: RowWait,
    ) -> LocalFuture<'a, Result<CallOutcomes, LedgerError>> {
        Box::pin(async move {
            let _turn = self.pipeline.lock().await;
            self.world.with(|state| {
                let amounts = |run: &Run| run.transactions.iter().map(|t| t.amount.cents()).collect();
                state.batches.push(runs.iter().map(|run| (run.client.get(), amounts(run))).collect());
                for run in runs {
                    let alone = state.in_flight.insert(run.client.get());
                    assert!(alone, "two runs of client {} are in flight at once", run.client);
                }
            });
            self.world.gate.acquire().await.expect("the gate is never closed").forget();
            tokio::task::yield_now().await;
            self.world.with(|state| {
                for run in runs {
                    state.in_flight.remove(&run.client.get());
                }
                assert!(!std::mem::take(&mut state.panic_next), "the ledger panics, as the test wants");
                let held = runs.iter().any(|run| state.rows_held.contains(&run.client.get()));
                match state.next_failure.take() {
                    _ if held => {
                        state.waits.push(row_wait);
                        Err(LedgerError::RowHeld("held by the test".into()))
                    }
                    Some(failure) => Err(failure),
                    None => Ok(apply_all(state, runs)),
                }
            })
        })
    }

    fn held<'a>(&'a self, clients: &'a [ClientId]) -> LocalFuture<'a, Result<Vec<ClientId>, LedgerError>> {
        Box::pin(async move {
            let held = self.world.with(|state| state.rows_held.clone());
            Ok(clients.iter().copied().filter(|client| held.contains(&client.get())).collect())
        })
    }

    fn statements<'a>(
        &'a self,
        clients: &'a [ClientId],
    ) -> LocalFuture<'a, Result<Vec<Option<BankStatement>>, LedgerError>> {
        Box::pin(async move {
            let _turn = self.pipeline.lock().await;
            self.world.with(|state| state.statements_sent += 1);
            self.world.gate.acquire().await.expect("the gate is never closed").forget();
            self.world.with(|state| {
                state.statements_read.push(clients.iter().map(|client| client.get()).collect());
                let statement = |id| BankStatement {
                    balance: state.balances.get(&id).copied().unwrap_or(0),
                    credit_limit: 0,
                    issued_at: time::OffsetDateTime::UNIX_EPOCH,
                    latest: Vec::new(),
                };
                let of = |client: &ClientId| (client.get() < UNKNOWN).then(|| statement(client.get()));
                Ok(clients.iter().map(of).collect())
            })
        })
    }
}

/// Clients from here on do not exist.
const UNKNOWN: i32 = 1_000_000;

fn apply_all(state: &mut WorldState, runs: &[Run]) -> CallOutcomes {
    let mut applied = CallOutcomes::default();
    for run in runs {
        for transaction in &run.transactions {
            applied.outcomes.push(if run.client.get() >= UNKNOWN {
                Err(Rejection::UnknownClient)
            } else {
                let balance = state.balances.entry(run.client.get()).or_default();
                *balance += transaction.amount.cents();
                Ok(Applied { balance: *balance, credit_limit: 0 })
            });
        }
    }
    applied
}

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
