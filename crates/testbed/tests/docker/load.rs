//! A load that remembers what it was told: every transaction has a description of its own, so that
//! afterwards the database can be asked what became of it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Requests at once. With a pause between them they leave CPU for what is being watched.
const SENDERS: u64 = 16;
const PAUSE: Duration = Duration::from_millis(20);

/// An answer that has not come by then never will: NGINX gives up after 12 s.
const DEADLINE: Duration = Duration::from_secs(20);

/// What a caller knows about a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    /// 200: it must be there.
    Acknowledged,
    /// 422 or 503, or nobody could be reached: it must not be there.
    NotApplied,
    /// 504, or the connection broke: it may be there.
    Unknown,
}

/// A running load.
pub(crate) struct Load {
    shared: Arc<Shared>,
    senders: JoinSet<()>,
}

struct Shared {
    address: SocketAddr,
    stop: AtomicBool,
    next: AtomicU64,
    fates: Mutex<HashMap<String, Fate>>,
    acknowledged: AtomicU64,
    start: Instant,
    last_ack_ms: AtomicU64,
    longest_gap_ms: AtomicU64,
}

impl Load {
    /// Credits and debits of 1 in turn, on clients 1 to 5, until it is stopped.
    pub(crate) fn start(port: u16) -> Load {
        let shared = Arc::new(Shared {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            stop: AtomicBool::new(false),
            next: AtomicU64::new(0),
            fates: Mutex::default(),
            acknowledged: AtomicU64::new(0),
            start: Instant::now(),
            last_ack_ms: AtomicU64::new(0),
            longest_gap_ms: AtomicU64::new(0),
        });
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            let shared = Arc::clone(&shared);
            senders.spawn(async move {
                while !shared.stop.load(Ordering::Relaxed) {
                    shared.send_one().await;
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        Load { shared, senders }
    }

    /// Transactions answered 200 so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits for `more` transactions answered 200 from now on; panics after `deadline`.
    pub(crate) async fn flows(&self, more: u64, deadline: Duration) {
        let (begin, before) = (Instant::now(), self.acknowledged());
        while self.acknowledged() < before + more {
            assert!(begin.elapsed() < deadline, "no {more} transactions within {deadline:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The longest time without any 200 since it was last asked, the current one included.
    pub(crate) fn longest_gap(&self) -> Duration {
        let now = self.shared.start.elapsed().as_millis() as u64;
        let current = now.saturating_sub(self.shared.last_ack_ms.load(Ordering::Relaxed));
        Duration::from_millis(self.shared.longest_gap_ms.swap(0, Ordering::Relaxed).max(current))
    }

    /// How many have each fate by now.
    pub(crate) fn counts(&self) -> HashMap<Fate, u64> {
        let mut counts = HashMap::new();
        for fate in self.shared.fates().values() {
            *counts.entry(*fate).or_default() += 1;
        }
        counts
    }

    /// Waits for the answers that are still to come; returns each transaction's fate.
    pub(crate) async fn stop(mut self) -> HashMap<String, Fate> {
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.senders.join_next().await {
            ended.expect("a sender does not panic");
        }
        self.shared.fates().clone()
    }
}

impl Shared {
    async fn send_one(&self) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let description = format!("t{number}");
        let fate = self.send(number, &description).await;
        if fate == Fate::Acknowledged {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
            let now = self.start.elapsed().as_millis() as u64;
            let last = self.last_ack_ms.swap(now, Ordering::Relaxed);
            self.longest_gap_ms.fetch_max(now.saturating_sub(last), Ordering::Relaxed);
        }
        self.fates().insert(description, fate);
    }

    async fn send(&self, number: u64, description: &str) -> Fate {
        let Ok(stream) = TcpStream::connect(self.address).await else { return Fate::NotApplied };
        match tokio::time::timeout(DEADLINE, exchange(stream, number, description)).await {
            Ok(Some(200)) => Fate::Acknowledged,
            Ok(Some(422 | 503)) => Fate::NotApplied,
            Ok(Some(504) | None) | Err(_) => Fate::Unknown,
            Ok(Some(status)) => panic!("{description}: unexpected status {status}"),
        }
    }

    fn fates(&self) -> std::sync::MutexGuard<'_, HashMap<String, Fate>> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The status of the answer; `None` when none came.
async fn exchange(mut stream: TcpStream, number: u64, description: &str) -> Option<u16> {
    let (client, kind) = (1 + number % 5, if number.is_multiple_of(2) { 'c' } else { 'd' });
    let body = format!(r#"{{"valor":1,"tipo":"{kind}","descricao":"{description}"}}"#);
    let request = format!(
        "POST /clientes/{client}/transacoes HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    String::from_utf8_lossy(&answer).strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}
