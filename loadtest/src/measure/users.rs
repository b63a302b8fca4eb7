//! Loads that k6 sends: users who wait for answers, arrivals that do not, and the contest's own rate.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

use super::load::{Latency, Outcome, Times};
use super::setup::{Arrivals, Setup};
use crate::contest::k6::{K6, Observer, Run};
use crate::contest::samples::Sample;

/// What `experiment.js` says on its console when half of the warm-up is over.
pub const WARM: &str = "half of the warm-up is over";
/// … when the interval that counts begins.
pub const BEGINS: &str = "measured interval begins";
/// … and when it ends.
pub const ENDS: &str = "measured interval ends";

/// The metric of `steady.js` with one sample for each response, in milliseconds, connecting included.
const RESPONSE_TIME: &str = "response_time";

/// The metric with one sample for each request that k6 could not start in time.
const DROPPED: &str = "dropped_iterations";

/// The longest response time that is told from longer ones, in µs.
const LONGEST_US: u64 = 100_000_000;

/// Returns what `k6/experiment.js` finds in its environment.
pub fn env(setup: &Setup, url: &str, times: Times, summary: &Path) -> Vec<(&'static str, String)> {
    let [debits, credits, _] = setup.mix.parts().map(f64::from);
    let mut env = vec![
        ("BASE_URL", url.to_owned()),
        ("USERS", setup.callers().to_string()),
        ("WARM_UP", times.warm_up.as_secs().to_string()),
        ("SECONDS", times.measured.as_secs().to_string()),
        ("CLIENTS", setup.clients.to_string()),
        ("ZIPF", setup.zipf.to_string()),
        ("READS", setup.reads.to_string()),
        ("CREDITS", (credits / (debits + credits)).to_string()),
        ("TIMEOUT", setup.timeout.as_millis().to_string()),
        ("SUMMARY", summary.display().to_string()),
    ];
    if let Arrivals::Open { rate } = setup.arrivals {
        env.push(("RATE", rate.to_string()));
    }
    env
}

/// Reads what `k6/experiment.js` left at `path`.
///
/// # Errors
/// When it is missing or not what the script writes.
pub fn summary(path: &Path) -> Result<Outcome> {
    let text = std::fs::read_to_string(path).with_context(|| format!("no {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("what k6 left in {}", path.display()))
}

/// Sends the contest's rate, 340 requests a second, a connection for each; `observe` is called about once a
/// second. Dropping the future stops it. Returns what came back and the CPU that k6 used.
///
/// # Errors
/// When k6 fails.
pub async fn contest_rate(
    k6: &K6,
    (url, duration): (&str, Duration),
    (log, cpus): (&Path, Option<String>),
    observe: &mut dyn FnMut(),
) -> Result<(Outcome, Duration)> {
    let script = testbed::repository_root().join("loadtest/k6/steady.js");
    let env = vec![("BASE_URL", url.to_owned()), ("SECONDS", duration.as_secs().max(1).to_string())];
    let run = Run { script: &script, env, log, cpus };
    let mut watch = Watch { tally: Tally::default(), observe };
    let ended = k6.run(&run, &mut watch).await?;
    // The open load lasts as long as it was told to; k6 itself takes a second more to start.
    Ok((Outcome { seconds: duration.as_secs_f64(), ..watch.tally.outcome() }, ended.cpu))
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
    wrong: u64,
    dropped: u64,
}

impl Default for Tally {
    fn default() -> Self {
        let times_us = Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are valid constants");
        Tally { times_us, wrong: 0, dropped: 0 }
    }
}

impl Tally {
    fn add(&mut self, metric: &str, value: f64, verdict: Option<&str>) {
        match metric {
            RESPONSE_TIME => {
                self.times_us.saturating_record((value * 1_000.0) as u64);
                // A slow answer is slow, and shows in the times; it is not wrong.
                self.wrong += u64::from(!matches!(verdict, Some("right" | "slow")));
            }
            DROPPED => self.dropped += value as u64,
            _ => {}
        }
    }

    fn outcome(&self) -> Outcome {
        let at = |quantile| self.times_us.value_at_quantile(quantile) as f64 / 1e3;
        let requests = self.times_us.len();
        Outcome {
            requests,
            right: requests - self.wrong,
            wrong: self.wrong,
            dropped: self.dropped,
            latency_ms: Latency { p50: at(0.5), p95: at(0.95), p98: at(0.98), p99: at(0.99), max: at(1.0) },
            ..Outcome::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_load_has_a_rate_and_a_closed_one_has_users() {
        let times = Times { warm_up: Duration::from_secs(2), measured: Duration::from_secs(8) };
        let of = |settings: &str| {
            let setup = Setup::default().with(settings).expect("right");
            env(&setup, "http://127.0.0.1:1", times, Path::new("/x"))
        };
        let value = |env: &[(&'static str, String)], name| {
            env.iter().find(|(own, _)| *own == name).map(|(_, value)| value.clone())
        };
        let closed = of("users=7,mix=balanced");
        assert_eq!(value(&closed, "USERS").as_deref(), Some("7"));
        assert_eq!((value(&closed, "RATE"), value(&closed, "CREDITS").as_deref()), (None, Some("0.5")));
        let open = of("rate=100,timeout_ms=500");
        assert_eq!(value(&open, "RATE").as_deref(), Some("100"));
        assert_eq!(value(&open, "USERS").as_deref(), Some("56"));
    }

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
        assert_eq!((outcome.requests, outcome.wrong, outcome.dropped), (102, 1, 3));
        assert!((49.0..=52.0).contains(&outcome.latency_ms.p50), "{outcome:?}");
        assert!((300.0..=301.0).contains(&outcome.latency_ms.max), "{outcome:?}");
    }
}
