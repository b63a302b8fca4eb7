//! The contest's own rate, played by k6: 340 requests a second, a connection for each.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use hdrhistogram::Histogram;

use super::load::{Latency, Load, Outcome, Played};
use crate::contest::k6::{K6, Observer, Run};
use crate::contest::samples::Sample;

/// One for each response, in milliseconds, connecting included.
const RESPONSE_TIME: &str = "response_time";

/// One for each request that k6 could not start in time.
const DROPPED: &str = "dropped_iterations";

/// The longest response time that is told from longer ones, in µs.
const LONGEST_US: u64 = 100_000_000;

/// Sends the load.
///
/// # Errors
/// When k6 fails.
pub(super) async fn play(
    k6: &K6,
    load: &Load,
    directory: &Path,
    observe: &mut dyn FnMut(),
) -> Result<Played> {
    let script = testbed::repository_root().join("loadtest/k6/steady.js");
    let run = Run {
        script: &script,
        env: vec![("BASE_URL", load.url.clone()), ("SECONDS", load.duration.as_secs().max(1).to_string())],
        log: &directory.join("k6.log"),
        cpus: None,
    };
    let mut watch = Watch { tally: Tally::default(), observe };
    let begin = Instant::now();
    let ended = k6.run(&run, &mut watch).await?;
    let elapsed_s = begin.elapsed().as_secs_f64();
    let mut outcome = watch.tally.outcome();
    // The open load lasts as long as it was told to; k6 itself takes a second more to start.
    outcome.duration_us = u64::try_from(load.duration.as_micros())?;
    Ok(Played { outcome, cpu_share: ended.cpu.as_secs_f64() / elapsed_s })
}

struct Watch<'a> {
    tally: Tally,
    observe: &'a mut dyn FnMut(),
}

impl Observer for Watch<'_> {
    fn sample(&mut self, sample: &Sample<'_>) {
        self.tally.add(sample.metric, sample.value, sample.tag("verdict"));
    }

    fn tick(&mut self) {
        (self.observe)();
    }
}

struct Tally {
    times_us: Histogram<u64>,
    failures: u64,
}

impl Default for Tally {
    fn default() -> Self {
        let times_us = Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are valid constants");
        Tally { times_us, failures: 0 }
    }
}

impl Tally {
    fn add(&mut self, metric: &str, value: f64, verdict: Option<&str>) {
        match metric {
            RESPONSE_TIME => {
                self.times_us.saturating_record((value * 1_000.0) as u64);
                // A slow answer is slow, and shows in the times; it is not wrong.
                self.failures += u64::from(!matches!(verdict, Some("right" | "slow")));
            }
            DROPPED => self.failures += value as u64,
            _ => {}
        }
    }

    fn outcome(&self) -> Outcome {
        let at = |quantile| self.times_us.value_at_quantile(quantile);
        Outcome {
            requests: self.times_us.len(),
            duration_us: 0,
            not_success: 0,
            failures: self.failures,
            latency_us: Latency {
                mean: self.times_us.mean(),
                p50: at(0.5),
                p98: at(0.98),
                p99: at(0.99),
                max: self.times_us.max(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_to_an_outcome() {
        let mut tally = Tally::default();
        for millis in 1..=100 {
            tally.add(RESPONSE_TIME, f64::from(millis), Some("right"));
        }
        tally.add(RESPONSE_TIME, 300.0, Some("slow"));
        tally.add(RESPONSE_TIME, 1.0, Some("inconsistent"));
        tally.add(DROPPED, 3.0, None);
        tally.add("vus", 700.0, None);
        let outcome = tally.outcome();
        assert_eq!((outcome.requests, outcome.failures), (102, 4));
        assert!((49_000..=52_000).contains(&outcome.latency_us.p50), "{outcome:?}");
        assert!((300_000..=301_000).contains(&outcome.latency_us.max), "{outcome:?}");
    }
}
