//! What is sent to the stack, and what came back, whoever sends it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::case::{Mix, Pace};
use super::steady;
use super::wrk::Wrk;
use crate::contest::k6::K6;

/// A load.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where to.
    pub url: String,
    /// How fast.
    pub pace: Pace,
    /// For how long.
    pub duration: Duration,
    /// Connections, kept alive; a steady load opens one for each request.
    pub connections: u32,
    /// Clients of the bank.
    pub clients: u32,
    /// Which requests.
    pub mix: Mix,
    /// Two loads of the same seed are the same requests.
    pub seed: u32,
}

/// What came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Requests answered.
    pub requests: u64,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// Answers of 400 and above, 422 among them, where the generator counts these.
    pub not_success: u64,
    /// What should not be: connections that failed, answers that did not come in time, requests
    /// that were not sent, answers that were judged wrong.
    pub failures: u64,
    /// Response times.
    pub latency_us: Latency,
}

/// Response times in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The mean.
    pub mean: f64,
    /// Half took at most this.
    pub p50: u64,
    /// 98% took at most this.
    pub p98: u64,
    /// 99% took at most this.
    pub p99: u64,
    /// The slowest.
    pub max: u64,
}

/// A load that was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Played {
    /// What came back.
    pub outcome: Outcome,
    /// The CPU that the generator used, as a share of one core.
    pub cpu_share: f64,
}

/// The programs that send.
#[derive(Clone, Debug)]
pub struct Generators {
    /// For loads that saturate.
    pub wrk: Wrk,
    /// For the contest's rate, where a case wants it.
    pub k6: Option<K6>,
}

impl Generators {
    /// Sends `load`; `observe` is called about once a second or more often. Files go to
    /// `directory`. Dropping the future stops it.
    ///
    /// # Errors
    /// When the generator fails or gets no answer at all.
    pub async fn play(&self, load: &Load, directory: &Path, observe: &mut dyn FnMut()) -> Result<Played> {
        let played = match (load.pace, &self.k6) {
            (Pace::Saturating, _) => self.wrk.play(load, directory, observe).await?,
            (Pace::Contest, Some(k6)) => steady::play(k6, load, directory, observe).await?,
            (Pace::Contest, None) => anyhow::bail!("the contest's rate is played by k6, which is not there"),
        };
        let outcome = &played.outcome;
        ensure!(
            outcome.requests > 0 && outcome.duration_us > 0,
            "not one request was answered; {} failed",
            outcome.failures
        );
        Ok(played)
    }
}
