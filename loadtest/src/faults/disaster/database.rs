//! What somebody else does to the database: holds rows, takes connections, ends server processes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testbed::cluster::connect;

use super::PAUSE;
use super::site::Site;

/// How often, and how far apart, server processes are told to end.
const TERMINATIONS: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(50);

/// How far a wrong clock is from the right one, in seconds.
const WRONG_S: i64 = 3_600;

/// A moment of a call in which its server process is ended.
pub(super) struct Moment {
    /// What makes the moment last, and what undoes that.
    prolong: &'static str,
    undo: &'static str,
    /// Whether somebody holds a row meanwhile.
    row_held: bool,
    /// What `pg_stat_activity` says in that moment.
    condition: &'static str,
}

pub(super) const ANY: Moment = Moment { prolong: "", undo: "", row_held: false, condition: "true" };

pub(super) const WAITING: Moment =
    Moment { prolong: "", undo: "", row_held: true, condition: "wait_event_type = 'Lock'" };

pub(super) const BEFORE_COMMIT: Moment = Moment {
    prolong: "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
              BEGIN PERFORM pg_sleep(0.002); RETURN NULL; END $$;
              CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON transacoes
              DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit()",
    undo: "DROP FUNCTION at_commit CASCADE",
    row_held: false,
    condition: "wait_event = 'PgSleep'",
};

pub(super) const AFTER_COMMIT: Moment = Moment {
    prolong: "ALTER SYSTEM SET synchronous_standby_names = 'nobody'",
    undo: "ALTER SYSTEM RESET synchronous_standby_names",
    row_held: false,
    condition: "wait_event = 'SyncRep'",
};

impl Moment {
    /// Ends one server process that is in this moment, again and again.
    pub(super) async fn terminate(&self, site: &Site<'_>, random: &mut fastrand::Rng) -> Result<()> {
        let _up = site.cluster.read().await;
        let admin = connect(&site.admin_url).await?;
        // Its own commits wait for nobody.
        admin.batch_execute("SET synchronous_commit = local").await?;
        let holder = if self.row_held { Some(lock(site, &row(random)).await?) } else { None };
        let begun = all(&admin, self.prolong).await;
        let sql = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE usename = 'guiche' AND state = 'active' AND {} ORDER BY random() LIMIT 1",
            self.condition
        );
        let mut ended = Ok(());
        for _ in 0..TERMINATIONS {
            ended = ended.and(admin.batch_execute(&sql).await);
            tokio::time::sleep(BETWEEN).await;
        }
        let undone = all(&admin, self.undo).await;
        drop(holder);
        begun.and(undone)?;
        ended.context("cannot terminate server processes")
    }
}

/// Executes one statement after the other, each by itself, and has the server read its settings again.
async fn all(admin: &tokio_postgres::Client, sql: &str) -> Result<()> {
    if !sql.is_empty() {
        admin.batch_execute(sql).await.with_context(|| format!("cannot execute {sql}"))?;
        admin.batch_execute("SELECT pg_reload_conf()").await.context("cannot reload the settings")?;
    }
    Ok(())
}

/// Holds a client's row.
pub(super) async fn hold_row(site: &Site<'_>, random: &mut fastrand::Rng, long: Duration) -> Result<()> {
    hold(site, &row(random), long).await
}

/// Holds what a statement locks.
pub(super) async fn hold(site: &Site<'_>, sql: &str, long: Duration) -> Result<()> {
    let _up = site.cluster.read().await;
    let holder = lock(site, sql).await?;
    tokio::time::sleep(long).await;
    holder.batch_execute("COMMIT").await.context("cannot let go of a lock")
}

fn row(random: &mut fastrand::Rng) -> String {
    format!("SELECT FROM clientes WHERE id = {} FOR UPDATE", random.i32(1..=5))
}

async fn lock(site: &Site<'_>, sql: &str) -> Result<tokio_postgres::Client> {
    let holder = connect(&site.admin_url).await?;
    holder.batch_execute(&format!("BEGIN; {sql}")).await.with_context(|| format!("cannot hold: {sql}"))?;
    Ok(holder)
}

/// Takes whatever connection is free, and ends the service's own, until nothing is left for it.
pub(super) async fn take_connections(site: &Site<'_>) -> Result<()> {
    let _up = site.cluster.read().await;
    let admin = connect(&site.admin_url).await?;
    let end_one = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guiche' LIMIT 1";
    let mut taken = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < PAUSE {
        match connect(&site.admin_url).await {
            Ok(connection) => taken.push(connection),
            // None is free.
            Err(_) => {
                admin.batch_execute(end_one).await.context("cannot end a connection of the service")?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    Ok(())
}

/// Sets the wall clock forward, back, and right again.
pub(super) async fn set_clock(site: &Site<'_>) -> Result<()> {
    for seconds in [WRONG_S, -WRONG_S, 0] {
        site.cluster.write().await.shift_clock(seconds).await?;
        tokio::time::sleep(PAUSE / 2).await;
    }
    Ok(())
}
