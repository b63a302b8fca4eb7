//! Who waits for what in PostgreSQL: its sessions, looked at several times a second in a session
//! of its own. That session is the server's work like any other: five looks a second cost it a
//! few milliseconds of CPU.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::cluster::connect;

/// How often one looks unless told otherwise.
pub const INTERVAL: Duration = Duration::from_millis(200);

/// Sessions that work on something right now, and what they wait for. A row lock is waited for
/// by its holder's transaction, or in the queue of the row itself (`tuple`). The names of the
/// log's waits begin with `WAL` up to version 16 and with `Wal` since.
const QUERY: &str = "
    SELECT count(*),
           count(*) FILTER (WHERE wait_event_type = 'Lock' AND wait_event IN ('transactionid', 'tuple')),
           count(*) FILTER (WHERE wait_event ILIKE 'wal%'),
           count(*) FILTER (WHERE wait_event IS NULL)
      FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()";

/// Sessions at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds since the sampler began.
    pub at_s: f64,
    /// Sessions with a call under way.
    pub active: u32,
    /// Of these, waiting for a row lock.
    pub row_lock: u32,
    /// Of these, waiting for the log: to be written, to be synced, or for one who does.
    pub wal: u32,
    /// Of these, waiting for anything else.
    pub other: u32,
}

/// What the samples of some time come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Waits {
    /// How many samples there were.
    pub samples: usize,
    /// Sessions with a call under way, on average.
    pub active_mean: f64,
    /// Sessions waiting for a row lock, on average.
    pub row_lock_mean: f64,
    /// The most sessions that waited for a row lock at once.
    pub row_lock_max: u32,
    /// Sessions waiting for the log, on average.
    pub wal_mean: f64,
    /// Sessions waiting for anything else, on average.
    pub other_mean: f64,
}

impl Waits {
    /// Sums them up.
    pub fn of(samples: &[Sample]) -> Waits {
        let mean = |of: fn(&Sample) -> u32| {
            let sum: f64 = samples.iter().map(|sample| f64::from(of(sample))).sum();
            sum / samples.len().max(1) as f64
        };
        Waits {
            samples: samples.len(),
            active_mean: mean(|sample| sample.active),
            row_lock_mean: mean(|sample| sample.row_lock),
            row_lock_max: samples.iter().map(|sample| sample.row_lock).max().unwrap_or(0),
            wal_mean: mean(|sample| sample.wal),
            other_mean: mean(|sample| sample.other),
        }
    }
}

/// Looks at least once, and until it is told to stop. Dropped, it stops too.
#[derive(Debug)]
pub struct Sampler {
    backend: u32,
    begin: Instant,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Vec<Sample>>>,
}

impl Sampler {
    /// Connects and begins. `url` is of a superuser: others do not see what sessions wait for.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn start(url: &str, interval: Duration) -> Result<Sampler> {
        let client = connect(url).await?;
        let row = client.query_one("SELECT pg_backend_pid()", &[]).await.context("cannot ask for a pid")?;
        let backend = u32::try_from(row.try_get::<_, i32>(0)?)?;
        let query = client.prepare(QUERY).await.context("cannot prepare the look at the sessions")?;
        let (stop, stopped) = oneshot::channel();
        let begin = Instant::now();
        let task = tokio::spawn(follow(client, query, (begin, interval), stopped));
        Ok(Sampler { backend, begin, stop, task })
    }

    /// When it began: what its samples' times count from.
    pub fn begin(&self) -> Instant {
        self.begin
    }

    /// The process of the database that serves its session.
    pub fn backend(&self) -> u32 {
        self.backend
    }

    /// Ends it.
    ///
    /// # Errors
    /// When the database failed meanwhile.
    pub async fn stop(self) -> Result<Vec<Sample>> {
        // It may have ended by itself, with an error that follows.
        let _ = self.stop.send(());
        self.task.await.context("the sampler of the sessions died")?
    }
}

async fn follow(
    client: tokio_postgres::Client,
    query: tokio_postgres::Statement,
    (begin, interval): (Instant, Duration),
    mut stopped: oneshot::Receiver<()>,
) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks.tick().await;
    loop {
        let row = client.query_one(&query, &[]).await.context("cannot look at the sessions")?;
        let count = |column: usize| -> Result<u32> { Ok(u32::try_from(row.try_get::<_, i64>(column)?)?) };
        let (active, row_lock, wal, running) = (count(0)?, count(1)?, count(2)?, count(3)?);
        let other = active.saturating_sub(row_lock + wal + running);
        samples.push(Sample { at_s: begin.elapsed().as_secs_f64(), active, row_lock, wal, other });
        tokio::select! {
            _ = &mut stopped => return Ok(samples),
            _ = ticks.tick() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_to_means_and_a_maximum() {
        let sample = |active, row_lock| Sample { active, row_lock, ..Sample::default() };
        let waits = Waits::of(&[sample(2, 0), sample(16, 15), sample(3, 0)]);
        assert_eq!((waits.samples, waits.active_mean, waits.row_lock_mean), (3, 7.0, 5.0));
        assert_eq!(waits.row_lock_max, 15);
        assert_eq!(Waits::of(&[]).active_mean, 0.0);
    }
}
