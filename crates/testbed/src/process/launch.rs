//! What is to be run, as whom, and in which box.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use super::{Process, tail};
use crate::user::Account;

/// Joins cgroups: `$1` is their number, then come their files, then the command.
const JOIN: &str = r#"
n=$1; shift
while [ "$n" -gt 0 ]; do echo $$ > "$1" || exit 125; shift; n=$((n - 1)); done
exec "$@""#;

/// Goes on only as a child of `$1`, whose death is from here on announced by the last signal.
const ONLY_CHILD: &str = r#"[ "$PPID" = "$1" ] || exit 125; shift; exec "$@""#;

/// What to launch. Only `PATH` is taken over from this process's environment: a `MODE` or a
/// `PGHOST` that happens to be set in a user's shell must not change a measurement.
#[derive(Clone, Debug)]
pub struct Launch {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    log: PathBuf,
    account: Option<Account>,
    cgroups: Vec<PathBuf>,
    cpus: Option<String>,
    memory_each: Option<u64>,
    last_signal: Signal,
}

impl Launch {
    /// Describes the launch of a `program` (a path, or a name to be looked for in `PATH`) that writes to the end
    /// of the file `log`. `name` is what messages call it.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
        Launch {
            name: name.into(),
            program: program.into(),
            args: Vec::new(),
            env: vec![("PATH".into(), path)],
            log: log.into(),
            account: None,
            cgroups: Vec::new(),
            cpus: None,
            memory_each: None,
            last_signal: Signal::SIGTERM,
        }
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds several arguments.
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(self, args: I) -> Self {
        args.into_iter().fold(self, Launch::arg)
    }

    /// Sets one environment variable; of a name set twice the last value counts.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets several.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(self, variables: impl IntoIterator<Item = (K, V)>) -> Self {
        variables.into_iter().fold(self, |launch, (name, value)| launch.env(name, value))
    }

    /// Runs it as another user, which only root can do.
    pub fn account(mut self, account: Option<Account>) -> Self {
        self.account = account;
        self
    }

    /// Lets it join these cgroups, each given as its `cgroup.procs` file, before it executes:
    /// whatever it allocates or forks is accounted there from the first instruction on.
    pub fn cgroups(mut self, procs: Vec<PathBuf>) -> Self {
        self.cgroups = procs;
        self
    }

    /// Restricts it to these CPUs, a list as `taskset` takes it (`0`, `0,2-3`).
    pub fn cpus(mut self, cpus: Option<String>) -> Self {
        self.cpus = cpus;
        self
    }

    /// Lets it and each of its children have no more memory of its own than so many bytes; what they share does not count.
    pub fn memory_each(mut self, bytes: u64) -> Self {
        self.memory_each = Some(bytes);
        self
    }

    /// Sets the signal that ends it quickly and cleanly: sent by the kernel when `loadtest` dies, and when
    /// the [`Process`] is dropped. `SIGTERM` unless told otherwise.
    pub fn last_signal(mut self, signal: Signal) -> Self {
        self.last_signal = signal;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When its log cannot be written, or when the program cannot be executed. A program that is
    /// missing is only noticed by a wrapper after the start: callers check for it beforehand.
    pub fn spawn(&self) -> Result<Process> {
        let log = open_log(&self.log)?;
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stderr(log.try_clone().context("duplicating a log's handle")?)
            .stdout(log);
        let through = command.get_program().display().to_string();
        Process::start(&self.name, command, &self.log, self.last_signal).with_context(|| {
            format!("cannot start {} ({}) through {through}", self.name, self.program.display())
        })
    }

    /// Runs it to its end, which must come within `deadline` and be a success.
    ///
    /// # Errors
    /// When it does not; the error carries the end of its log. Dropping the future stops it.
    pub async fn run(&self, deadline: Duration) -> Result<()> {
        let process = self.spawn()?;
        let Ok(status) = tokio::time::timeout(deadline, process.wait()).await else {
            bail!("{} did not end within {deadline:?}{}", self.name, tail(&self.log));
        };
        if !status.success() {
            bail!("{} failed ({status}){}", self.name, tail(&self.log));
        }
        Ok(())
    }

    /// Returns the whole command line: `sh` (joins the cgroups) → `taskset` → `setpriv` (drops root, asks for
    /// the last signal) → `prlimit` (bounds its memory) → `sh` (ends here if this process has died before the
    /// signal was asked for) → the program. Each replaces the one before it, so that all of them have the one pid.
    fn command(&self) -> Command {
        let mut words: Vec<OsString> = Vec::new();
        if !self.cgroups.is_empty() {
            words.extend(["sh", "-c", JOIN, "sh"].map(OsString::from));
            words.push(self.cgroups.len().to_string().into());
            words.extend(self.cgroups.iter().map(|path| path.as_os_str().to_owned()));
        }
        if let Some(cpus) = &self.cpus {
            words.extend(["taskset", "-c", cpus].map(OsString::from));
        }
        let last_signal = self.last_signal.as_str().trim_start_matches("SIG");
        words.extend(["setpriv", "--pdeathsig", last_signal].map(OsString::from));
        if let Some(account) = &self.account {
            let (uid, gid) = (account.uid(), account.gid());
            words.extend([
                format!("--reuid={uid}").into(),
                format!("--regid={gid}").into(),
                // Whoever it is, it passes through the run directory.
                format!("--groups={}", account.passing_group()).into(),
            ]);
        }
        let parent = std::process::id().to_string();
        words.push("--".into());
        if let Some(bytes) = self.memory_each {
            words.extend(["prlimit".into(), format!("--data={bytes}").into()]);
        }
        words.extend(["sh", "-c", ONLY_CHILD, "sh", &parent].map(OsString::from));
        words.push(self.program.as_os_str().to_owned());
        words.extend(self.args.iter().cloned());

        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().envs(self.env.iter().cloned()).process_group(0);
        command
    }
}

fn open_log(path: &Path) -> Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true).open(path).with_context(|| format!("cannot write {}", path.display()))
}
