//! What is done to a running stack.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use nix::sys::signal::Signal;
use testbed::cluster::{StopMode, connect};
use testbed::stack::Stack;

/// How long what stands still or is held does so: less than any deadline that would end it.
const PAUSE: Duration = Duration::from_secs(3);

/// How often, and how far apart, backends are told to end.
const TERMINATIONS: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(50);

/// A fault, from its beginning until everything is there again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, strum::Display)]
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
    /// Server processes that work for the service are terminated, twenty times.
    TerminateBackends,
    /// Somebody holds a client's row for three seconds.
    HoldRow,
    /// NGINX is killed, and started again.
    KillNginx,
    /// NGINX reads its file again.
    ReloadNginx,
}

impl Disaster {
    /// Does it, and returns once every part that it ended has been started again.
    ///
    /// # Errors
    /// When something cannot be done, or a part does not start again.
    pub async fn strike(self, stack: &mut Stack, random: &mut fastrand::Rng) -> Result<()> {
        let victim = random.usize(..2);
        match self {
            Disaster::KillInstance => {
                stack.instances[victim].kill().await;
                stack.instances[victim].start_again().await
            }
            Disaster::EndInstance => restart(stack, victim).await,
            Disaster::PauseInstance => {
                stack.instances[victim].process.signal(Signal::SIGSTOP);
                tokio::time::sleep(PAUSE).await;
                stack.instances[victim].process.signal(Signal::SIGCONT);
                Ok(())
            }
            Disaster::RollingRestart => {
                restart(stack, 0).await?;
                restart(stack, 1).await
            }
            Disaster::KillDatabase => {
                stack.cluster.kill().await?;
                stack.cluster.start_again().await
            }
            Disaster::StopDatabaseImmediately => restart_database(stack, StopMode::Immediate).await,
            Disaster::StopDatabaseFast => restart_database(stack, StopMode::Fast).await,
            Disaster::TerminateBackends => terminate_backends(stack).await,
            Disaster::HoldRow => {
                let holder = connect(&stack.admin_url()).await?;
                let client = random.i32(1..=5);
                let sql = format!("BEGIN; SELECT FROM clientes WHERE id = {client} FOR UPDATE");
                holder.batch_execute(&sql).await.context("cannot hold a row")?;
                tokio::time::sleep(PAUSE).await;
                holder.batch_execute("COMMIT").await.context("cannot let go of a row")
            }
            Disaster::KillNginx => {
                stack.nginx.process.kill().await;
                stack.nginx.start_again()
            }
            Disaster::ReloadNginx => {
                stack.nginx.process.signal(Signal::SIGHUP);
                Ok(())
            }
        }
    }
}

async fn restart(stack: &mut Stack, instance: usize) -> Result<()> {
    stack.instances[instance].stop().await?;
    stack.instances[instance].start_again().await
}

async fn restart_database(stack: &mut Stack, mode: StopMode) -> Result<()> {
    stack.cluster.stop(mode).await?;
    stack.cluster.start_again().await
}

async fn terminate_backends(stack: &Stack) -> Result<()> {
    let admin = connect(&stack.admin_url()).await?;
    for _ in 0..TERMINATIONS {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE usename = 'guiche' AND state = 'active' ORDER BY random() LIMIT 1";
        admin.batch_execute(sql).await.context("cannot terminate backends")?;
        tokio::time::sleep(BETWEEN).await;
    }
    Ok(())
}
