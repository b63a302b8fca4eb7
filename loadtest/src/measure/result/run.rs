//! What came of one run.

use serde::{Deserialize, Serialize};

use crate::latency::{ClientShare, Latency, Spent};
use crate::measure::sampler::{Sample, Waits};
use crate::measure::trace::Traced;
use crate::stalls::{Answer, Stalls};
use testbed::scrape::Work;

/// One run of one case. What a generator's script leaves behind is as much of it as it knows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// Which round it belongs to, from 0.
    pub round: u32,
    /// Seconds that were measured.
    pub seconds: f64,
    /// Requests: of wrk those that were answered, of k6 those that it began.
    pub requests: u64,
    /// Right answers: 200, and 422 for a limit.
    pub right: u64,
    /// Answers of 503: refused because a bound was reached.
    pub shed: u64,
    /// The time in which 99 % of those came, in milliseconds; nothing where there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shed_p99_ms: Option<f64>,
    /// Seconds from the load's end until the last answer that was wrong or slow, of the few that are asked for
    /// then; nothing where none were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unwell_s: Option<f64>,
    /// What each client got, where one is flooded: the others'.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub each: Vec<ClientShare>,
    /// Everything else that should not be, answers that did not come included.
    pub wrong: u64,
    /// Answers of 400 and above where the generator, which is wrk, does not tell them apart.
    #[serde(skip_serializing)]
    pub not_success: u64,
    /// Those of 400 and above where nobody knows which of them are right: seen from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusals: Option<u64>,
    /// Whether nothing but its answers was seen.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub outside: bool,
    /// Response times.
    pub latency_ms: Latency,
    /// Where a right answer's time went inside the instances, from `Server-Timing`: means.
    pub spent_ms: Spent,
    /// The generator's CPU as a share of one core.
    pub generator_cpu_share: f64,
    /// Iterations that k6 could not start in time.
    pub dropped: u64,
    /// The services, in the order of the split.
    pub services: Vec<ServiceUse>,
    /// What both instances counted in the measured interval.
    pub work: Work,
    /// PostgreSQL's sessions, summed up.
    pub waits: Waits,
    /// PostgreSQL's sessions over time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
    /// Answers that may be slow: the generator's, or a witness's where it does not tell.
    #[serde(skip)]
    pub slow: Option<Vec<Answer>>,
    /// When the measured interval began and ended, in seconds since 1970.
    #[serde(skip)]
    pub interval_s: [f64; 2],
    /// What is kept of its trace, where the instances wrote one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Traced>,
    /// What slow answers waited for, where it is known which were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stalls: Option<Stalls>,
    /// Commits per second, from `pg_stat_database`.
    pub commits_per_s: f64,
    /// Rows inserted and updated per second, from the same.
    pub rows_per_s: f64,
    /// Waits for a lock of more than `deadlock_timeout` that PostgreSQL logged.
    pub logged_lock_waits: u64,
    /// The share of the machine's CPU time that nobody wanted.
    pub idle_share: f64,
    /// Rows in the database at the end, the warm-up included.
    pub rows: u64,
    /// An instance's own instructions for a transaction that is alone, where they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<f64>,
    /// Why this run does not say anything about the service, or nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invalid: Option<String>,
    /// Whether the generator, or a machine with nothing left to give, may have set the pace.
    pub limited_from_outside: bool,
    /// What is wrong with the books, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// What one service used in the measured interval.
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
    /// The most shared memory that it had.
    pub shared_peak_bytes: u64,
}
