//! What is done to a running stack.

mod database;
mod disk;
mod link;
mod site;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use strum::IntoEnumIterator;
use testbed::cluster::StopMode;
use testbed::programs::built;
use testbed::stack::Stack;

pub use link::{Harm, Link};
use site::Site;

/// How long what stands still or is held does so: less than any deadline that would end it.
const PAUSE: Duration = Duration::from_secs(3);

/// Longer than a statement (5 s) and a call (6 s) may take.
const TOO_LONG: Duration = Duration::from_secs(7);

/// A fault, from its beginning until everything is there again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::EnumIter)]
#[strum(serialize_all = "kebab-case")]
pub enum Disaster {
    /// An instance is killed, and started again.
    KillInstance,
    /// An instance is told to end, and started again.
    EndInstance,
    /// An instance stands still for three seconds.
    PauseInstance,
    /// Both instances are told to end and started again, one after the other.
    RollingRestart,
    /// PostgreSQL is killed, and started again.
    KillDatabase,
    /// PostgreSQL stops at once, without a word, and is started again.
    StopDatabaseImmediately,
    /// PostgreSQL stops in order, and is started again.
    StopDatabaseFast,
    /// All of PostgreSQL's processes stand still for three seconds.
    PauseDatabase,
    /// All of PostgreSQL's connections are taken by somebody else for three seconds, the service's own too.
    TakeConnections,
    /// Server processes that work for the service are terminated, twenty times.
    TerminateBackends,
    /// The same, while they wait for a row.
    TerminateWaiting,
    /// The same, when all is done but the commit.
    TerminateBeforeCommit,
    /// The same, when the commit is done and waits for a standby.
    TerminateAfterCommit,
    /// Somebody holds a client's row for three seconds.
    HoldRow,
    /// Somebody holds a client's row for longer than a statement may take.
    HoldRowTooLong,
    /// Somebody holds the table of transactions for longer than a statement may take.
    HoldTableTooLong,
    /// There is no room for further transactions for three seconds.
    FillTable,
    /// There is no room for the write-ahead log, which ends PostgreSQL.
    FillLog,
    /// Each fsync takes 50 ms longer for three seconds.
    SlowDisk,
    /// PostgreSQL's wall clock is set an hour forward, and then an hour back.
    SetClock,
    /// NGINX is killed, and started again.
    KillNginx,
    /// NGINX's worker is killed.
    KillNginxWorker,
    /// NGINX reads its file again.
    ReloadNginx,
    /// A link between two parts is harmed.
    #[strum(to_string = "{0}-{1}")]
    Link(Harm, Link),
}

/// One disaster, or several at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault(pub Vec<Disaster>);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&names.join("+"))
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Fault, String> {
        let disasters = text.split('+').map(|name| {
            Disaster::all().find(|disaster| disaster.to_string() == name).ok_or_else(|| {
                let names: Vec<String> = Disaster::all().map(|disaster| disaster.to_string()).collect();
                format!("{name:?} is none of {}", names.join(", "))
            })
        });
        disasters.collect::<Result<_, _>>().map(Fault)
    }
}

impl Fault {
    /// Returns whether it harms a link, for which the stack must have been started with proxies.
    pub fn needs_links(&self) -> bool {
        self.0.iter().any(|disaster| matches!(disaster, Disaster::Link(..)))
    }

    /// Returns whether PostgreSQL must have loaded a library for it.
    pub fn is_preloaded(&self) -> bool {
        self.0.iter().any(|disaster| disaster.is_preloaded())
    }

    /// Does it, and returns once every part that it ended has been started again. What needs the same part
    /// comes one after the other.
    ///
    /// # Errors
    /// When something cannot be done, or a part does not start again.
    pub async fn strike(&self, stack: &mut Stack, random: &mut fastrand::Rng) -> Result<()> {
        let site = Site::of(stack);
        let (mut one, mut two) = (random.fork(), random.fork());
        match self.0[..] {
            [first, second] => {
                // Both to their ends: what one has stopped is started again, whatever the other meets.
                let (first, second) =
                    tokio::join!(first.strike(&site, &mut one), second.strike(&site, &mut two));
                first.and(second)
            }
            _ => {
                for disaster in &self.0 {
                    disaster.strike(&site, &mut one).await?;
                }
                Ok(())
            }
        }
    }
}

impl Disaster {
    /// Returns all there are.
    pub fn all() -> impl Iterator<Item = Disaster> {
        let of_parts = Disaster::iter().filter(|disaster| !matches!(disaster, Disaster::Link(..)));
        of_parts.chain(link::all())
    }

    /// Returns whether PostgreSQL must have loaded the library that does it.
    fn is_preloaded(self) -> bool {
        matches!(self, Disaster::SlowDisk | Disaster::SetClock)
    }

    /// Returns why it cannot be had on this machine, if so.
    pub fn left_out(self) -> Option<String> {
        match self {
            Disaster::FillTable | Disaster::FillLog if !Uid::effective().is_root() => {
                Some("only root can mount a small disk".to_owned())
            }
            _ if self.is_preloaded() => built(testbed::preload::LIBRARY).err().map(|error| error.to_string()),
            _ => None,
        }
    }

    async fn strike(self, site: &Site<'_>, random: &mut fastrand::Rng) -> Result<()> {
        let victim = random.usize(..2);
        match self {
            Disaster::KillInstance => {
                let mut instance = site.instances[victim].lock().await;
                instance.kill().await;
                instance.start_again().await
            }
            Disaster::EndInstance => site.restart(victim).await,
            Disaster::PauseInstance => {
                let instance = site.instances[victim].lock().await;
                instance.process.signal(Signal::SIGSTOP);
                tokio::time::sleep(PAUSE).await;
                instance.process.signal(Signal::SIGCONT);
                Ok(())
            }
            Disaster::RollingRestart => {
                site.restart(0).await?;
                site.restart(1).await
            }
            Disaster::KillDatabase => {
                let mut cluster = site.cluster.write().await;
                cluster.kill().await?;
                cluster.start_again().await
            }
            Disaster::StopDatabaseImmediately => site.restart_database(StopMode::Immediate).await,
            Disaster::StopDatabaseFast => site.restart_database(StopMode::Fast).await,
            Disaster::PauseDatabase => {
                let cluster = site.cluster.write().await;
                let standing = cluster.stand_still();
                tokio::time::sleep(PAUSE).await;
                drop(standing);
                Ok(())
            }
            Disaster::TakeConnections => database::take_connections(site).await,
            Disaster::TerminateBackends => database::ANY.terminate(site, random).await,
            Disaster::TerminateWaiting => database::WAITING.terminate(site, random).await,
            Disaster::TerminateBeforeCommit => database::BEFORE_COMMIT.terminate(site, random).await,
            Disaster::TerminateAfterCommit => database::AFTER_COMMIT.terminate(site, random).await,
            Disaster::HoldRow => database::hold_row(site, random, PAUSE).await,
            Disaster::HoldRowTooLong => database::hold_row(site, random, TOO_LONG).await,
            Disaster::HoldTableTooLong => database::hold(site, "LOCK TABLE transacoes", TOO_LONG).await,
            Disaster::FillTable => disk::fill_table(site).await,
            Disaster::FillLog => disk::fill_log(site).await,
            Disaster::SlowDisk => disk::slow(site).await,
            Disaster::SetClock => database::set_clock(site).await,
            Disaster::KillNginx => {
                let mut nginx = site.nginx.lock().await;
                nginx.process.kill().await;
                nginx.start_again()
            }
            Disaster::KillNginxWorker => {
                let nginx = site.nginx.lock().await;
                for worker in nginx.workers()? {
                    kill(Pid::from_raw(worker), Signal::SIGKILL)?;
                }
                Ok(())
            }
            Disaster::ReloadNginx => {
                site.nginx.lock().await.process.signal(Signal::SIGHUP);
                Ok(())
            }
            Disaster::Link(harm, link) => link::strike(site, (harm, link), victim, random).await,
        }
    }
}
