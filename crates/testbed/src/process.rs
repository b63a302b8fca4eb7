//! A child process that can be trusted to end.
//!
//! Every program of a stack is launched from here, and each one
//!
//! * leads a process group of its own, so that a Ctrl-C typed at the terminal reaches only
//!   `loadtest`, which then stops its children in the right order;
//! * is sent its last signal by the kernel when `loadtest` dies without a word (`setpriv
//!   --pdeathsig`);
//! * writes to a log file, whose end is part of every error about it;
//! * is stopped when its [`Process`] is dropped, on a panic too.
//!
//! The kernel ties the parent-death signal to the *thread* that forked, and an async runtime's
//! threads come and go. So each child has a thread of its own that starts it and then waits for
//! it to end: the thread lives exactly as long as the child. Waiting in one place also makes
//! signals safe: the child is reaped under the lock that signals are sent under, so a signal
//! never reaches another process that was given the same pid.

mod launch;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::watch;

pub use launch::Launch;

/// How long a dropped [`Process`] has, from its last signal on, before it is killed.
const DROP_GRACE: Duration = Duration::from_secs(3);

/// How often it is asked whether it is ready.
const POLL: Duration = Duration::from_millis(20);

/// How much of the end of a log is shown with an error, in bytes and in lines.
const TAIL_BYTES: u64 = 8 * 1024;
const TAIL_LINES: usize = 20;

/// A running child. Dropping it stops it: its last signal, a short grace, then a kill.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    log: PathBuf,
    last_signal: Signal,
    shared: Arc<Shared>,
    ended: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    fn start(name: &str, mut command: Command, log: &Path, last_signal: Signal) -> Result<Process> {
        let shared = Arc::new(Shared::default());
        let (started, start) = mpsc::sync_channel(1);
        let (ended_sender, ended) = watch::channel(None);
        let watched = Arc::clone(&shared);
        thread::Builder::new()
            .name(format!("wait-{}", name))
            .spawn(move || match command.spawn() {
                Ok(child) => {
                    // The receiver waits for exactly this message, so it is there.
                    let _ = started.send(Ok(child.id()));
                    watched.wait_and_reap(child, &ended_sender);
                }
                Err(error) => drop(started.send(Err(error))),
            })
            .context("starting the thread that waits for a child")?;
        let id = start.recv().map_err(|_| anyhow!("the thread that starts {name} died"))??;
        let pid = Pid::from_raw(i32::try_from(id).context("a pid beyond the range of pid_t")?);
        Ok(Process { name: name.to_owned(), pid, log: log.to_owned(), last_signal, shared, ended })
    }

    /// Returns what messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Returns where it writes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Returns how it ended, or `None` while it runs.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        *self.shared.lock()
    }

    /// Returns an error that says that it has ended, how, and the last lines of its log.
    pub fn obituary(&self) -> anyhow::Error {
        let how = self.exit_status().map_or_else(|| "still running".into(), |status| status.to_string());
        anyhow!("{} (pid {}) ended: {how}{}", self.name, self.pid, tail(&self.log))
    }

    /// Sends it a signal; one that has ended is left alone.
    pub fn signal(&self, signal: Signal) {
        self.shared.signal(self.pid, signal);
    }

    /// Asks it again and again until `ask` brings an answer; an error says why it is not ready yet.
    ///
    /// # Errors
    /// When it ends, or is not ready `within` this time; the error shows its log's end.
    pub async fn ready<T>(&self, within: Duration, ask: impl AsyncFn() -> Result<T>) -> Result<T> {
        let deadline = Instant::now() + within;
        loop {
            let why = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(why) => why,
            };
            if self.exit_status().is_some() {
                return Err(self.obituary());
            }
            if Instant::now() >= deadline {
                bail!("{} is not ready after {within:?}: {why:#}{}", self.name, tail(&self.log));
            }
            // Its end is news at once; that it is ready has to be asked.
            let _ = tokio::time::timeout(POLL, self.wait()).await;
        }
    }

    /// Waits for its end. Cancel safe.
    pub async fn wait(&self) -> ExitStatus {
        // The sender is dropped only after it has sent; were it not so, the status is in `shared`.
        if let Ok(status) = self.ended.clone().wait_for(Option::is_some).await
            && let Some(status) = *status
        {
            return status;
        }
        self.exit_status().unwrap_or_default()
    }

    /// Asks it to end with `signal` and waits; after `grace` it is killed.
    ///
    /// # Errors
    /// When it had to be killed: a service that does not end by itself is a fault worth showing.
    pub async fn stop(&self, signal: Signal, grace: Duration) -> Result<ExitStatus> {
        self.signal(signal);
        if let Ok(status) = tokio::time::timeout(grace, self.wait()).await {
            return Ok(status);
        }
        self.kill().await;
        bail!(
            "{} (pid {}) did not end within {grace:?} of {signal} and was killed{}",
            self.name,
            self.pid,
            tail(&self.log)
        )
    }

    /// Kills it (`SIGKILL`) and waits until it is gone.
    pub async fn kill(&self) -> ExitStatus {
        self.signal(Signal::SIGKILL);
        self.wait().await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        for signal in [self.last_signal, Signal::SIGKILL] {
            self.signal(signal);
            if self.shared.wait_blocking(DROP_GRACE) {
                return;
            }
        }
    }
}

/// Returns the last lines of a log, set off and indented to follow a sentence; empty when there are none.
pub fn tail(log: &Path) -> String {
    let text = read_end(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return String::new();
    }
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    format!("\n  the end of {}:\n    {}", log.display(), last.join("\n    "))
}

fn read_end(log: &Path) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// How a child ended (`None` while it runs), and the news of it for those who block.
#[derive(Debug, Default)]
struct Shared {
    status: Mutex<Option<ExitStatus>>,
    ended: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        // The value is a plain `Option` that no panic can leave half-written.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self, pid: Pid, signal: Signal) {
        let status = self.lock();
        if status.is_none() {
            // It fails only for a child that has ended but is not reaped yet, which is as good.
            let _ = signal::kill(pid, signal);
        }
    }

    /// Waits for the end without reaping, takes what is left of its group along, then reaps:
    /// until then the pid, which names the group too, cannot be given to anyone else.
    fn wait_and_reap(&self, mut child: Child, news: &watch::Sender<Option<ExitStatus>>) {
        let pid = Pid::from_raw(child.id().cast_signed());
        while let Err(nix::Error::EINTR) = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
        }
        let mut status = self.lock();
        let _ = signal::killpg(pid, Signal::SIGKILL);
        *status = Some(child.wait().unwrap_or_default());
        let _ = news.send(*status);
        self.ended.notify_all();
    }

    /// Returns whether it ended within `limit`.
    fn wait_blocking(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut status = self.lock();
        while status.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            status = self.ended.wait_timeout(status, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn shell(name: &str, script: &str) -> (Launch, crate::rundir::RunDir) {
        let dir = crate::rundir::RunDir::create().expect("a run directory");
        let launch = Launch::new(name, "sh", dir.path().join("log")).args(["-c", script]);
        (launch, dir)
    }

    #[tokio::test]
    async fn a_failure_shows_the_end_of_the_log() {
        let (launch, _dir) = shell("grumbler", "echo first; echo last words >&2; exit 3");
        let error = launch.run(Duration::from_secs(10)).await.expect_err("it exits 3").to_string();
        assert!(error.contains("grumbler failed (exit status: 3)"), "{error}");
        assert!(error.contains("    first\n    last words"), "{error}");
    }

    #[tokio::test]
    async fn what_ignores_its_signal_is_killed_and_reported() {
        let (launch, _dir) = shell("stubborn", "trap '' TERM; echo deaf; exec sleep 1000");
        let process = launch.spawn().expect("sh starts");
        until(|| tail(process.log()).contains("deaf")).await;
        let error = process.stop(Signal::SIGTERM, Duration::from_millis(50)).await.expect_err("it is deaf");
        assert!(error.to_string().contains("was killed"), "{error}");
        assert!(process.exit_status().is_some());
    }

    #[tokio::test]
    async fn a_leader_takes_its_group_along() {
        let (launch, dir) = shell("parent", "sleep 1000 & echo $!; exec sleep 1000");
        let process = launch.spawn().expect("sh starts");
        let log = dir.path().join("log");
        let read = || fs::read_to_string(&log).unwrap_or_default();
        until(|| read().ends_with('\n')).await;
        let child = Pid::from_raw(read().trim().parse().expect("a pid"));
        drop(process);
        until(|| signal::kill(child, None).is_err() || is_zombie(child)).await;
    }

    async fn until(condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !condition() {
            assert!(Instant::now() < deadline, "in vain");
            tokio::task::yield_now().await;
        }
    }

    fn is_zombie(pid: Pid) -> bool {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    }
}
