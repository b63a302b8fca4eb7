//! What k6 sends for one point, and what it says came of it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::result::{Latency, Spent};
use super::setup::{Arrivals, Setup};

/// What the script says on its console when half of the warm-up is over.
pub const WARM: &str = "half of the warm-up is over";
/// … when the interval that counts begins.
pub const BEGINS: &str = "measured interval begins";
/// … and when it ends.
pub const ENDS: &str = "measured interval ends";

/// How long to load.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Before the measured interval.
    pub warm_up: Duration,
    /// The measured interval.
    pub measured: Duration,
}

/// What `k6/experiment.js` finds in its environment.
pub fn env(setup: &Setup, url: &str, times: Times, summary: &Path) -> Vec<(&'static str, String)> {
    let [debits, credits, _] = setup.case.mix.parts().map(f64::from);
    let mut env = vec![
        ("BASE_URL", url.to_owned()),
        ("USERS", setup.callers().to_string()),
        ("WARM_UP", times.warm_up.as_secs().to_string()),
        ("SECONDS", times.measured.as_secs().to_string()),
        ("CLIENTS", setup.case.clients.to_string()),
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

/// What came of the measured interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct Outcome {
    /// Requests that began in it.
    pub requests: u64,
    /// Of these, answered 200 or 422.
    pub right: u64,
    /// Of these, answered 503.
    pub shed: u64,
    /// All others, those without an answer included.
    pub wrong: u64,
    /// Iterations that k6 could not start in time, the warm-up included.
    pub dropped: u64,
    /// Times of right answers, connecting included.
    pub latency_ms: Latency,
    /// Where that time went.
    pub spent_ms: Spent,
}

impl Outcome {
    /// Reads what the script left at `path`.
    ///
    /// # Errors
    /// When it is missing or not what the script writes.
    pub fn read(path: &Path) -> Result<Outcome> {
        let text = std::fs::read_to_string(path).with_context(|| format!("no {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("what k6 left in {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_load_has_a_rate_and_a_closed_one_has_users() {
        let times = Times { warm_up: Duration::from_secs(2), measured: Duration::from_secs(8) };
        let of = |settings: &str| {
            let mut setup = Setup::default();
            setup.set_all(settings).expect("right");
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
}
