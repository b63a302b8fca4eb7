//! A load of transactions, each with a description of its own, that remembers what became of
//! each as far as its caller was told; and the reckoning with what the database holds.

use std::collections::HashMap;
use std::io::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Address, Connection, Database, Request, Response};

/// What a caller was told of its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    /// 200.
    Applied,
    /// 503, or never sent: it was not applied.
    Refused,
    /// 504, or the connection was cut before the answer: it may have been applied, once.
    Unknown,
    /// Any other answer; there should be none.
    Wrong(u16),
}

/// One transaction of the load.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) description: String,
    pub(crate) fate: Fate,
    pub(crate) took: Duration,
}

/// Callers that send credits to random clients, one after the other, until told to stop.
pub(crate) struct Load {
    shared: Arc<Shared>,
    workers: JoinSet<Vec<Attempt>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    next: AtomicUsize,
    applied: AtomicUsize,
    failed: AtomicUsize,
}

impl Load {
    /// Starts `workers` callers. Each stays with one of the addresses until that fails it, and
    /// then turns to the next. All descriptions start with `name`, which is short.
    pub(crate) fn start(name: &'static str, addresses: &[&Address], workers: usize) -> Self {
        Self::start_by(name, addresses, workers, true)
    }

    /// The same, with a connection for each request.
    pub(crate) fn start_anew(name: &'static str, addresses: &[&Address], workers: usize) -> Self {
        Self::start_by(name, addresses, workers, false)
    }

    fn start_by(name: &'static str, addresses: &[&Address], workers: usize, keeps: bool) -> Self {
        let shared = Arc::<Shared>::default();
        let mut load = Self { shared: Arc::clone(&shared), workers: JoinSet::new() };
        for number in 0..workers {
            let addresses = addresses.iter().map(|address| (*address).clone()).collect();
            let worker =
                Worker { name, addresses, at: number, keeps, connection: None, shared: Arc::clone(&shared) };
            load.workers.spawn(worker.run());
        }
        load
    }

    /// Transactions that were answered 200 so far.
    pub(crate) fn applied(&self) -> usize {
        self.shared.applied.load(Ordering::SeqCst)
    }

    /// Transactions that were not, so far.
    pub(crate) fn failed(&self) -> usize {
        self.shared.failed.load(Ordering::SeqCst)
    }

    /// Waits until another `count` transactions were answered 200.
    pub(crate) async fn until_applied(&self, count: usize) {
        let goal = self.applied() + count;
        super::until("the load gets through", async || self.applied() >= goal).await;
    }

    /// Lets every caller finish what it has sent, and returns all there was.
    pub(crate) async fn stop(self) -> Vec<Attempt> {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.workers.join_all().await.concat()
    }
}

struct Worker {
    name: &'static str,
    addresses: Vec<Address>,
    at: usize,
    keeps: bool,
    connection: Option<Connection>,
    shared: Arc<Shared>,
}

impl Worker {
    async fn run(mut self) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        while !self.shared.stop.load(Ordering::SeqCst) {
            let number = self.shared.next.fetch_add(1, Ordering::SeqCst);
            let description = format!("{}{number}", self.name);
            let client = (number % 5 + 1) as i64;
            let started = Instant::now();
            let credit = Request::transaction(client, 1, "c", &description);
            let credit = if self.keeps { credit } else { credit.header("Connection", "close") };
            let fate = self.attempt(&credit).await;
            attempts.push(Attempt { description, fate, took: started.elapsed() });
            if fate == Fate::Applied {
                self.shared.applied.fetch_add(1, Ordering::SeqCst);
            } else {
                self.shared.failed.fetch_add(1, Ordering::SeqCst);
                // Somebody who was refused does not hammer on.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        attempts
    }

    async fn attempt(&mut self, request: &Request) -> Fate {
        let Ok(mut connection) = self.take_connection().await else {
            self.at += 1;
            return Fate::Refused;
        };
        match connection.ask(request).await {
            Ok(response) => {
                // It may be told to come back with another one.
                self.connection = (response.header("connection") != Some("close")).then_some(connection);
                judge(&response)
            }
            Err(_) => {
                self.at += 1;
                Fate::Unknown
            }
        }
    }

    async fn take_connection(&mut self) -> Result<Connection> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(&self.addresses[self.at % self.addresses.len()]).await,
        }
    }
}

fn judge(response: &Response) -> Fate {
    let retry = response.header("retry-after").is_some();
    match (response.status, retry) {
        (200, false) => Fate::Applied,
        (503, true) => Fate::Refused,
        (504, false) => Fate::Unknown,
        (status, _) => Fate::Wrong(status),
    }
}

/// Compares what callers were told with what the database holds: every 200 once, no 503, each
/// unknown one at most once, nothing else, and books that are right.
pub(crate) async fn reckon(database: &Database, attempts: &[Attempt]) {
    let mut stored = HashMap::<String, usize>::new();
    for row in database.rows().await {
        *stored.entry(row.description).or_default() += 1;
    }
    for Attempt { description, fate, .. } in attempts {
        let count = stored.remove(description).unwrap_or(0);
        let right = match fate {
            Fate::Applied => count == 1,
            Fate::Refused => count == 0,
            Fate::Unknown => count <= 1,
            Fate::Wrong(_) => false,
        };
        assert!(right, "{description} was answered as {fate:?} and is there {count} times");
    }
    assert!(stored.is_empty(), "nobody sent these: {stored:?}");
    database.assert_books().await;
}
