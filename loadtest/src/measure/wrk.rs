//! wrk: the load generator that is cheap enough to saturate the service beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::time::MissedTickBehavior;

use super::load::{Latency, Outcome};
use super::setup::Setup;
use testbed::process::{Launch, tail};
use testbed::usage::Usage;

/// How long an answer may take before wrk counts it as a timeout: the service's own deadline.
const TIMEOUT: &str = "10s";

/// How long wrk may take beyond the duration that it was given.
const GRACE: Duration = Duration::from_secs(30);

/// How often its CPU time is read, and the observer is called.
const TICK: Duration = Duration::from_millis(250);

/// A load.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// Where to.
    pub url: &'a str,
    /// What the case says of it.
    pub setup: &'a Setup,
    /// For how long.
    pub duration: Duration,
    /// Two loads of the same seed are the same requests.
    pub seed: u32,
    /// The CPUs that wrk may use, a list as `taskset` takes it; all of them if `None`.
    pub cpus: Option<&'a str>,
}

/// A wrk program.
#[derive(Clone, Debug)]
pub struct Wrk {
    program: PathBuf,
    version: String,
    script: PathBuf,
}

impl Wrk {
    /// The installed wrk.
    ///
    /// # Errors
    /// When there is none.
    pub fn find() -> Result<Wrk> {
        let program =
            testbed::programs::find("wrk").context("wrk is not installed (Debian: apt install wrk)")?;
        // It exits with 1 after printing its version.
        let output = Command::new(&program).arg("-v").output().context("cannot run wrk")?;
        let version = String::from_utf8_lossy(&output.stdout);
        let version = version.split_whitespace().nth(1).unwrap_or("of unknown version").to_owned();
        let script = testbed::repository_root().join("loadtest/wrk/mix.lua");
        Ok(Wrk { program, version, script })
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Sends the load with one thread; `observe` is called about four times a second. Files go to
    /// `directory`. Dropping the future stops it. Returns what came back and the CPU that wrk used, as a
    /// share of one core.
    ///
    /// # Errors
    /// When wrk fails or does not end.
    pub(super) async fn play(
        &self,
        load: &Load<'_>,
        directory: &Path,
        observe: &mut dyn FnMut(),
    ) -> Result<(Outcome, f64)> {
        let (log, result) = (directory.join("wrk.log"), directory.join("wrk.json"));
        let begin = Instant::now();
        let process = self.launch(load, &log, &result).spawn()?;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut cpu_share = 0.0;
        let status = loop {
            tokio::select! {
                status = process.wait() => break status,
                _ = ticks.tick() => {
                    let (cpu, elapsed) = (Usage::of_tree(process.pid()).cpu, begin.elapsed());
                    // Gone already, it has no CPU time to tell.
                    if !cpu.is_zero() && elapsed < load.duration {
                        cpu_share = cpu.as_secs_f64() / elapsed.as_secs_f64();
                    }
                    observe();
                }
            }
            if begin.elapsed() > load.duration + GRACE {
                bail!("wrk does not end{}", tail(&log));
            }
        };
        if !status.success() {
            bail!("wrk failed ({status}){}", tail(&log));
        }
        let text = fs::read_to_string(&result)
            .with_context(|| format!("wrk left no outcome in {}{}", result.display(), tail(&log)))?;
        Ok((parse(&text)?, cpu_share))
    }

    fn launch(&self, load: &Load<'_>, log: &Path, result: &Path) -> Launch {
        let [debits, credits, statements] = load.setup.mix.parts();
        Launch::new("wrk", &self.program, log)
            .args(["--threads", "1", "--timeout", TIMEOUT])
            .args(["--connections", &load.setup.callers().to_string()])
            .args(["--duration", &format!("{}s", load.duration.as_secs().max(1))])
            .arg("--script")
            .arg(&self.script)
            .arg(load.url)
            .env("CLIENTS", load.setup.clients.to_string())
            .env("DEBITS", debits.to_string())
            .env("CREDITS", credits.to_string())
            .env("STATEMENTS", statements.to_string())
            .env("SEED", load.seed.to_string())
            .env("RESULT", result)
            .cpus(load.cpus.map(str::to_owned))
    }
}

/// What `mix.lua` writes at the end.
#[derive(Deserialize)]
struct Report {
    requests: u64,
    duration_us: u64,
    errors: Errors,
    latency_us: LatencyUs,
}

#[derive(Deserialize)]
struct Errors {
    connect: u64,
    read: u64,
    write: u64,
    /// Answers of 400 and above.
    status: u64,
    timeout: u64,
}

/// Response times in microseconds.
#[derive(Deserialize)]
struct LatencyUs {
    p50: f64,
    p98: f64,
    p99: f64,
    max: f64,
}

fn parse(text: &str) -> Result<Outcome> {
    let Report { requests, duration_us, errors, latency_us } =
        serde_json::from_str(text).context("what wrk left is not its outcome")?;
    let LatencyUs { p50, p98, p99, max } = latency_us;
    Ok(Outcome {
        requests,
        seconds: duration_us as f64 / 1e6,
        wrong: errors.connect + errors.read + errors.write + errors.timeout,
        not_success: errors.status,
        latency_ms: Latency { p50: p50 / 1e3, p95: 0.0, p98: p98 / 1e3, p99: p99 / 1e3, max: max / 1e3 },
        ..Outcome::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"requests": 157, "duration_us": 1000400, "bytes": 31000,
 "errors": {"connect": 1, "read": 2, "write": 3, "status": 40, "timeout": 4},
 "latency_us": {"mean": 812.5, "p50": 700, "p98": 2000, "p99": 2500, "max": 9000}}"#;

    #[test]
    fn the_outcome_is_read() {
        let outcome = parse(TEXT).expect("it is complete");
        assert_eq!((outcome.requests, outcome.seconds), (157, 1.000_4));
        assert_eq!((outcome.not_success, outcome.wrong), (40, 10));
        assert_eq!((outcome.latency_ms.p50, outcome.latency_ms.max), (0.7, 9.0));
        assert!(parse("Running 10s test").is_err());
    }
}
