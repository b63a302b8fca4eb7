//! A PostgreSQL cluster of one's own: made, started, stopped, killed and removed on demand.
//!
//! Nothing of a PostgreSQL that the machine may already run is touched: the data directory, the
//! socket and the port are this cluster's alone, so that any number of them run side by side. As
//! root the server runs as another user ([`Account::for_postgres`]).

mod connect;
mod database;
mod harm;
mod install;
mod options;
mod prepare;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use tokio::sync::Mutex;

use crate::disk::Disk;
use crate::http::Endpoint;
use crate::preload::Preload;
use crate::process::{Launch, Process};
use crate::rundir::RunDir;
use crate::user::Account;

pub use connect::connect;
pub use options::{ClusterOptions, StopMode};

/// How long `initdb` and each SQL file may take.
const TOOL_DEADLINE: Duration = Duration::from_secs(60);

/// How long a server may take until it answers: recovery after a crash is part of it.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// How long a server may take to stop: a fast stop writes a checkpoint.
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// How often a condition that nothing announces is looked at again.
const POLL: Duration = Duration::from_millis(20);

/// What each process of a server may have for itself, in bytes: ten times what a session of the service takes. The same
/// stands in `compose/contest.yml`.
pub const MEMORY_EACH: u64 = 64 << 20;

/// The least of the ports that are drawn.
const FIRST_PORT: u16 = 10_240;

/// The superuser of every private cluster.
const SUPERUSER: &str = "postgres";

/// A running (or stopped, or killed) private cluster. Dropped, it is gone with its directory.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: first the server, then what it works in.
    process: Option<Process>,
    directory: PathBuf,
    data: PathBuf,
    bin: PathBuf,
    psql: PathBuf,
    port: u16,
    options: ClusterOptions,
    account: Option<Account>,
    preload: Option<Preload>,
    template: Mutex<bool>,
    _own: Option<RunDir>,
}

impl Cluster {
    /// Returns whether all programs and files are there that a start with these options needs.
    ///
    /// # Errors
    /// When not; says what to install.
    pub fn check(options: &ClusterOptions) -> Result<()> {
        let bin = install::find_server(options.bin.as_deref())?;
        install::find_psql(&bin)?;
        install::sql_files(options.profile).map(drop)
    }

    /// Makes sure that the server can load a library at its start, such as `citus`.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn check_library(options: &ClusterOptions, name: &str) -> Result<()> {
        install::ensure_library(&install::find_server(options.bin.as_deref())?, name)
    }

    /// Makes a cluster in a directory of its own and starts it.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not start; the error shows its log's end.
    pub async fn start(options: &ClusterOptions) -> Result<Cluster> {
        let own = RunDir::create()?;
        let mut cluster = Cluster::start_in(own.path(), options).await?;
        cluster._own = Some(own);
        Ok(cluster)
    }

    /// Does the same in the directory of someone else, who removes it after the cluster is dropped.
    ///
    /// # Errors
    /// As for [`Cluster::start`].
    pub async fn start_in(directory: &Path, options: &ClusterOptions) -> Result<Cluster> {
        let bin = install::find_server(options.bin.as_deref())?;
        let psql = install::find_psql(&bin)?;
        let data = options.data.clone().unwrap_or_else(|| directory.join("data"));
        let data =
            std::path::absolute(&data).with_context(|| format!("no absolute path for {}", data.display()))?;
        let account = Account::for_postgres(&data)?;
        let mut cluster = Cluster {
            process: None,
            directory: directory.to_owned(),
            data,
            bin,
            psql,
            port: free_port()?,
            options: options.clone(),
            account,
            preload: None,
            template: Mutex::new(false),
            _own: None,
        };
        cluster.prepare().await?;
        cluster.start_again().await?;
        Ok(cluster)
    }

    /// Returns the directory of the server's socket.
    pub fn socket_dir(&self) -> PathBuf {
        self.directory.join("pg")
    }

    /// Returns the port: on 127.0.0.1 (with passwords), and in the socket's name.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns where the server listens, apart from TCP.
    pub fn socket(&self) -> Endpoint {
        Endpoint::Unix(socket_in(&self.socket_dir(), self.port))
    }

    /// Returns the process id of the postmaster, or `None` while it is down.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().filter(|process| process.exit_status().is_none()).map(Process::pid)
    }

    /// Returns where the data is.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// Returns where the server logs.
    pub fn log(&self) -> PathBuf {
        self.directory.join("postgres.log")
    }

    /// Returns the directory of the server's programs.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// Measures the device that the data is on, now.
    ///
    /// # Errors
    /// When it cannot be measured.
    pub fn disk(&self) -> Result<Disk> {
        Disk::of(&self.data)
    }

    /// Returns how the superuser connects to `database`: through the socket, without a password.
    pub fn admin_url(&self, database: &str) -> String {
        format!("host={} port={} user={SUPERUSER} dbname={database}", self.socket_dir().display(), self.port)
    }

    /// Returns how the service connects to `database`: through the socket, as the restricted role.
    pub fn api_url(&self, database: &str) -> String {
        self.api_url_in(&self.socket_dir(), database)
    }

    /// Returns the same where a proxy's socket for this server is in `directory`, named by [`socket_in`].
    pub fn api_url_in(&self, directory: &Path, database: &str) -> String {
        let directory = directory.display();
        format!("host={directory} port={} user=guiche password=guiche dbname={database}", self.port)
    }

    /// Returns the same over TCP, where the password is asked for.
    pub fn api_url_tcp(&self, database: &str) -> String {
        format!("postgresql://guiche:guiche@127.0.0.1:{}/{database}", self.port)
    }

    /// Stops the server and waits until it is gone. One that is down is left so.
    ///
    /// # Errors
    /// When it had to be killed.
    pub async fn stop(&mut self, mode: StopMode) -> Result<()> {
        if let Some(process) = self.process.take() {
            let signal = if mode == StopMode::Fast { Signal::SIGINT } else { Signal::SIGQUIT };
            process.stop(signal, STOP_DEADLINE).await?;
        }
        Ok(())
    }

    /// Kills the postmaster (`SIGKILL`) and waits until its children have noticed and gone too.
    ///
    /// # Errors
    /// When they have not, within a minute.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            process.kill().await;
        }
        let deadline = Instant::now() + STOP_DEADLINE;
        while working_in(&self.data).next().is_some() {
            ensure!(Instant::now() < deadline, "children of the killed server still run");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Starts the server, on the same port and data, and waits until it answers.
    ///
    /// # Errors
    /// When it ends, or does not answer within a minute; the error shows its log's end.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.pid().is_none(), "the server already runs");
        let process = self.launch().spawn()?;
        let url = self.admin_url("postgres");
        process.ready(START_DEADLINE, async || connect(&url).await).await?;
        self.process = Some(process);
        Ok(())
    }

    /// Waits until the server ends, however it does; for ever if it is down already.
    pub async fn ended(&self) -> anyhow::Error {
        match &self.process {
            Some(process) => {
                process.wait().await;
                process.obituary()
            }
            None => std::future::pending().await,
        }
    }

    fn launch(&self) -> Launch {
        Launch::new("PostgreSQL", self.bin.join("postgres"), self.log())
            .envs(self.preload.iter().flat_map(Preload::env))
            .arg("-D")
            .arg(&self.data)
            .account(self.account.clone())
            .cgroups(self.options.cgroups.clone())
            .cpus(self.options.cpus.clone())
            .memory_each(MEMORY_EACH)
            .last_signal(Signal::SIGQUIT)
    }
}

/// Returns the processes that work in `directory` or below it. PostgreSQL's all work in their data directory,
/// which is how the children of a killed postmaster are found.
fn working_in(directory: &Path) -> impl Iterator<Item = procfs::process::Process> {
    let processes = procfs::process::all_processes().into_iter().flatten().flatten();
    processes.filter(move |process| process.cwd().is_ok_and(|cwd| cwd.starts_with(directory)))
}

/// Returns the socket that clients look for in `directory`.
pub fn socket_in(directory: &Path, port: u16) -> PathBuf {
    directory.join(format!(".s.PGSQL.{port}"))
}

/// Returns a TCP port of 127.0.0.1 that nobody listens on at this moment: none of those that the kernel gives to outgoing
/// connections, one of which might have it before it is listened on.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    let outgoing = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let least = outgoing.split_whitespace().next().and_then(|least| least.parse().ok()).unwrap_or(32_768);
    let drawn = (0..1_000).filter(|_| FIRST_PORT < least).map(|_| fastrand::u16(FIRST_PORT..least));
    // Where outgoing connections may have all, the kernel chooses.
    let mut listeners = drawn.chain([0]).map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    let listener = listeners.find_map(Result::ok).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr().context("a listener without an address")?.port())
}
