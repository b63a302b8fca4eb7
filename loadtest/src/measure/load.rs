//! What is sent to the stack, and what came back, whoever sends it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long to load.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Before the measured interval.
    pub warm_up: Duration,
    /// The measured interval.
    pub measured: Duration,
}

/// What came back in the measured interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct Outcome {
    /// Requests: of wrk those that were answered, of k6 those that it began.
    pub requests: u64,
    /// Of these, answered 200 or 422; wrk does not tell them apart.
    #[serde(default)]
    pub right: u64,
    /// Of these, answered 503.
    #[serde(default)]
    pub shed: u64,
    /// What should not be: connections that failed, answers that did not come in time, answers that were
    /// judged wrong.
    #[serde(default)]
    pub wrong: u64,
    /// Answers of 400 and above, 422 among them, where the generator does not tell them apart.
    #[serde(default)]
    pub not_success: u64,
    /// Iterations that could not be started in time.
    #[serde(default)]
    pub dropped: u64,
    /// Seconds that it took, where the generator says so.
    #[serde(default)]
    pub seconds: f64,
    /// Response times, connecting included.
    pub latency_ms: Latency,
    /// Where that time went.
    #[serde(default)]
    pub spent_ms: Spent,
}

/// Response times in milliseconds.
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

/// Means in milliseconds.
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
