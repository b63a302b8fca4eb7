//! Response times, whoever measured them, and where they went.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Response times in milliseconds, connecting included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// Half took at most this.
    pub p50: f64,
    /// 95% took at most this.
    pub p95: f64,
    /// 98% took at most this.
    pub p98: f64,
    /// 99% took at most this.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

impl Latency {
    /// Returns what `at` says of these shares of the answers, 0 to 1.
    pub fn of(at: impl Fn(f64) -> f64) -> Latency {
        Latency { p50: at(0.5), p95: at(0.95), p98: at(0.98), p99: at(0.99), max: at(1.0) }
    }
}

/// Returns within which of some times, from the shortest to the longest, that share of them came, 0 to 1.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Returns what counts response times in microseconds, three digits of each; what is longer than 100 s counts as that.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 100_000_000, 3).expect("the bounds and the digits are valid constants")
}

/// Where the time of answers went inside the instances: means in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Waiting in the mailbox.
    pub queue: f64,
    /// Waiting for a connection.
    pub connection: f64,
    /// In the database: the round trip, lock and work included.
    pub database: f64,
    /// Of which waiting for row locks.
    pub lock: f64,
    /// Of which working.
    pub work: f64,
}

/// What one client got where each is told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientShare {
    /// Which client.
    pub client: u32,
    /// Requests that were sent for it.
    pub asked: u64,
    /// Those of them that were answered right.
    pub right: u64,
    /// The time in which 99 % of those came, in milliseconds; nothing where there were none.
    pub p99_ms: Option<f64>,
}

impl Spent {
    /// Reads the five numbers, in this order and with spaces between them.
    pub fn parse(text: &str) -> Option<Spent> {
        let parts = text.split(' ').map(|part| part.parse().ok()).collect::<Option<Vec<f64>>>()?;
        let [queue, connection, database, lock, work] = parts[..] else { return None };
        Some(Spent { queue, connection, database, lock, work })
    }
}
