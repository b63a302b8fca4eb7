//! wrk: the load generator that is cheap enough to saturate the service beside it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::result::Run;
use super::setup::{Setup, name_of};
use crate::files::read_json;
use testbed::process::{Launch, tail};
use testbed::programs::version;
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
    /// Its version.
    pub version: String,
    script: PathBuf,
}

impl Wrk {
    /// Returns the installed wrk.
    ///
    /// # Errors
    /// When there is none.
    pub fn find() -> Result<Wrk> {
        let program =
            testbed::programs::find("wrk").context("wrk is not installed (Debian: apt install wrk)")?;
        // It exits with 1 after printing its version.
        let (version, _) = version(&program, "-v")?;
        let script = testbed::repository_root().join("loadtest/wrk/mix.lua");
        Ok(Wrk { program, version, script })
    }

    /// Sends the load with one thread; `observe` is called about four times a second. Files go to
    /// `directory`. Dropping the future stops it. Returns what came back and the CPU that wrk used.
    ///
    /// # Errors
    /// When wrk fails or does not end.
    pub async fn play(&self, load: &Load<'_>, directory: &Path, observe: &mut dyn FnMut()) -> Result<Run> {
        let (log, result) = (directory.join("wrk.log"), directory.join("wrk.json"));
        let begin = Instant::now();
        let process = self.launch(load, &log, &result).spawn()?;
        let mut ticks = crate::ticks(TICK);
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
            ensure!(begin.elapsed() <= load.duration + GRACE, "wrk does not end{}", tail(&log));
        };
        ensure!(status.success(), "wrk failed ({status}){}", tail(&log));
        let outcome: Run =
            read_json(&result, "an outcome").with_context(|| format!("wrk was played{}", tail(&log)))?;
        Ok(Run { generator_cpu_share: cpu_share, ..outcome })
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
            .env("KEYED", name_of(load.setup.keyed))
            .env("SEED", load.seed.to_string())
            .env("RESULT", result)
            .cpus(load.cpus.map(str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::measure::fixture::Scratch;

    const TEXT: &str = r#"{"requests": 157, "seconds": 1.000400, "wrong": 10, "not_success": 40,
 "latency_ms": {"p50": 0.700, "p98": 2.000, "p99": 2.500, "max": 9.000}}"#;

    #[test]
    fn the_outcome_is_read() {
        let scratch = Scratch::new("outcome");
        let path = scratch.path().join("wrk.json");
        fs::write(&path, TEXT).expect("it is writable");
        let outcome: Run = read_json(&path, "an outcome").expect("it is complete");
        assert_eq!((outcome.requests, outcome.seconds), (157, 1.000_4));
        assert_eq!((outcome.not_success, outcome.wrong), (40, 10));
        assert_eq!((outcome.latency_ms.p50, outcome.latency_ms.max), (0.7, 9.0));
        fs::write(&path, "Running 10s test").expect("it is writable");
        assert!(read_json::<Run>(&path, "an outcome").is_err());
    }
}
