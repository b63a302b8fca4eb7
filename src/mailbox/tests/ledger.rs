//! A ledger that is held, failed and watched by the test.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use super::*;
use crate::domain::{Applied, Rejection};

/// What the test and its ledgers, on whichever threads, share.
#[derive(Clone)]
pub(super) struct World {
    /// A call goes on once it has a permit, and uses it up.
    pub(super) gate: Arc<Semaphore>,
    pub(super) state: Arc<Mutex<WorldState>>,
}

#[derive(Default)]
pub(super) struct WorldState {
    /// Servers that clients are on in turn, if more than one.
    pub(super) servers: i32,
    /// Every batch that was sent, as (client, amounts).
    pub(super) batches: Vec<Vec<(i32, Vec<i64>)>>,
    pub(super) statements_sent: usize,
    /// Whose statements each query read.
    pub(super) statements_read: Vec<Vec<i32>>,
    pub(super) balances: HashMap<i32, i64>,
    pub(super) in_flight: HashSet<i32>,
    pub(super) next_failure: Option<LedgerError>,
    /// Clients whose rows somebody holds, and how long calls waited for them in vain.
    pub(super) rows_held: HashSet<i32>,
    pub(super) waits: Vec<RowWait>,
    pub(super) refuse_connections: bool,
    pub(super) reject_next: bool,
    pub(super) panic_next: bool,
}

impl World {
    /// A ledger that waits for the test's permission, call by call.
    pub(super) fn held() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), state: Arc::default() }
    }

    /// A ledger that answers as soon as it can.
    pub(super) fn open() -> Self {
        Self { gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)), state: Arc::default() }
    }

    pub(super) fn batches(&self) -> Vec<Vec<(i32, Vec<i64>)>> {
        self.with(|state| state.batches.clone())
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&mut WorldState) -> T) -> T {
        look(&mut self.state.lock().expect("no test panics while it looks"))
    }
}

pub(super) struct FakeLedger(pub(super) World);

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
                    Some(failure) => Err(failure),
                    None if held => {
                        state.waits.push(row_wait);
                        Err(LedgerError::RowHeld("held by the test".into()))
                    }
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
pub(super) const UNKNOWN: i32 = 1_000_000;

fn apply_all(state: &mut WorldState, runs: &[Run]) -> CallOutcomes {
    let mut applied = CallOutcomes::default();
    for run in runs {
        for transaction in &run.transactions {
            applied.outcomes.push(if run.client.get() >= UNKNOWN {
                Err(Rejection::UnknownClient)
            } else if std::mem::take(&mut state.reject_next) {
                Err(Rejection::LimitExceeded)
            } else {
                let balance = state.balances.entry(run.client.get()).or_default();
                *balance += transaction.amount.cents();
                Ok(Applied { balance: *balance, credit_limit: 0 })
            });
        }
    }
    applied
}
