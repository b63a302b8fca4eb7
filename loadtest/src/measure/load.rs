//! What is sent to the stack, and what came back, whoever sends it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::result::Run;

/// How long to load.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Before the measured interval.
    pub warm_up: Duration,
    /// The measured interval.
    pub measured: Duration,
}

/// Reads what a generator's script left at `path`: as much of a run as it knows.
///
/// # Errors
/// When it is missing or not what a script writes.
pub fn read(path: &Path) -> Result<Run> {
    let text = fs::read_to_string(path).with_context(|| format!("no outcome in {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no outcome", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::Scratch;

    const TEXT: &str = r#"{"requests": 157, "seconds": 1.000400, "wrong": 10, "not_success": 40,
 "latency_ms": {"p50": 0.700, "p98": 2.000, "p99": 2.500, "max": 9.000}}"#;

    #[test]
    fn the_outcome_is_read() {
        let scratch = Scratch::new("outcome");
        let path = scratch.path().join("wrk.json");
        fs::write(&path, TEXT).expect("it is writable");
        let outcome = read(&path).expect("it is complete");
        assert_eq!((outcome.requests, outcome.seconds), (157, 1.000_4));
        assert_eq!((outcome.not_success, outcome.wrong), (40, 10));
        assert_eq!((outcome.latency_ms.p50, outcome.latency_ms.max), (0.7, 9.0));
        fs::write(&path, "Running 10s test").expect("it is writable");
        assert!(read(&path).is_err());
    }
}
