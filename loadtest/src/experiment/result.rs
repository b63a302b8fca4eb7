//! What came of an experiment: everything that its page, its table and its charts are made from.
//! `results.json` is an [`ExperimentResult`], so that a page can be written again from it.

use serde::{Deserialize, Serialize};

use crate::sampler::{Sample, Waits};
use testbed::scrape::Work;

/// One experiment, run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExperimentResult {
    /// The declared file's name without its ending: `hot`.
    pub name: String,
    /// What was asked, in words.
    pub title: String,
    /// The question.
    pub question: String,
    /// The horizontal axis.
    pub x: AxisResult,
    /// What the lines are told apart by.
    pub series: AxisResult,
    /// The answer's template, see the `answer` module.
    pub answer: String,
    /// What was expected, to be held against the data.
    pub expectations: Vec<Expectation>,
    /// Under which conditions it was measured.
    pub conditions: Conditions,
    /// The points: every x with every series, in order.
    pub points: Vec<Point>,
}

/// An axis and its values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AxisResult {
    /// What it measures, with its unit: `clients`.
    pub label: String,
    /// Its values, as they are shown: `1`, `5`, `1000`.
    pub values: Vec<String>,
}

/// Something that was expected.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Expectation {
    /// In words: `batched answers at least twice as much as direct on one hot client`.
    pub says: String,
    /// As a condition on the data, see the `answer` module.
    pub holds: String,
}

/// Under which conditions it was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Conditions {
    /// When it began: RFC 3339, UTC.
    pub started_at: String,
    /// How long it took, in seconds.
    pub took_s: f64,
    /// The machine, which the load generator shares.
    pub machine: String,
    /// PostgreSQL, NGINX, k6, guiche.
    pub versions: Vec<String>,
    /// What the data is on, and how long an fsync takes there.
    pub disk: String,
    /// CPU of the four services, and which cores they and k6 had: one sentence.
    pub envelope: String,
    /// What all points have in common, as setting and value.
    pub stays: Vec<(String, String)>,
    /// Rounds.
    pub rounds: u32,
    /// Seconds of load before the measured interval.
    pub warm_up_s: u64,
    /// Seconds of the measured interval.
    pub measured_s: u64,
}

/// One x with one series, over all rounds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Point {
    /// The index of its x among the axis' values.
    pub x: usize,
    /// The index of its series.
    pub series: usize,
    /// One run for each round in which it could be run.
    pub runs: Vec<PointRun>,
    /// Why runs failed that are missing.
    pub failures: Vec<String>,
}

/// One run of one point.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PointRun {
    /// Which round it belongs to, from 0.
    pub round: u32,
    /// Seconds that were measured.
    pub seconds: f64,
    /// Requests that k6 began.
    pub requests: u64,
    /// Answers that were a right one: 200, and 422 for a limit. Goodput is this per second.
    pub right: u64,
    /// Answers of 503: shed.
    pub shed: u64,
    /// Everything else, answers that did not come included.
    pub wrong: u64,
    /// Response times of right answers.
    pub latency_ms: Latency,
    /// Where a right answer's time went inside the instances, from `Server-Timing`: means.
    pub spent_ms: Spent,
    /// k6's CPU as a share of the core that it has.
    pub k6_cpu_share: f64,
    /// Iterations that k6 could not start in time.
    pub dropped: u64,
    /// The services: CPU, throttling, memory.
    pub services: Vec<ServiceUse>,
    /// What both instances counted in the measured interval.
    pub work: Work,
    /// PostgreSQL's sessions, summed up.
    pub waits: Waits,
    /// PostgreSQL's sessions over time.
    pub samples: Vec<Sample>,
    /// Commits per second, from `pg_stat_database`.
    pub commits_per_s: f64,
    /// Rows inserted and updated per second, from the same.
    pub rows_per_s: f64,
    /// Waits for a lock of more than `deadlock_timeout` that PostgreSQL logged.
    pub logged_lock_waits: u64,
    /// Why this run does not say anything about the service, or nothing.
    pub invalid: Option<String>,
    /// What is wrong with the books, one sentence each.
    pub problems: Vec<String>,
}

/// Response times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half took at most this.
    pub p50: f64,
    /// 95% took at most this.
    pub p95: f64,
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

/// What one service used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceUse {
    /// Its name.
    pub service: String,
    /// CPUs that it used, on average.
    pub cpu_share: f64,
    /// The share of slices in which its quota was used up.
    pub throttled_share: f64,
    /// The most anonymous memory that it had.
    pub anonymous_peak_bytes: u64,
}

impl PointRun {
    /// Right answers per second.
    pub fn goodput(&self) -> f64 {
        self.right as f64 / self.seconds
    }
}

impl Point {
    /// Runs that say something about the service.
    pub fn valid(&self) -> impl Iterator<Item = &PointRun> {
        self.runs.iter().filter(|run| run.invalid.is_none())
    }
}
