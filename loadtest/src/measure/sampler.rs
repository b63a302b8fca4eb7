//! Who waits for what in PostgreSQL: its sessions, looked at several times a second in a session
//! of its own. That session is the server's work like any other: five looks a second cost it a
//! few milliseconds of CPU.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use testbed::cluster::connect;

/// Sessions that work on something right now, and what they wait for.
const QUERY: &str = "
    SELECT count(*),
           coalesce(array_agg(wait_event_type || ':' || wait_event) FILTER (WHERE wait_event IS NOT NULL), '{}')
      FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()";

/// Sessions at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds since the sampler began.
    pub at_s: f64,
    /// How long the database took to answer.
    #[serde(skip)]
    pub took_s: f64,
    /// Sessions with a call under way.
    pub active: u32,
    /// Of these, waiting for a row lock.
    pub row_lock: u32,
    /// Of these, waiting for the log: to be written, to be synced, or for one who does.
    pub wal: u32,
    /// Of these, waiting for anything else.
    pub other: u32,
    /// What that is, as PostgreSQL names it, and how many sessions wait for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub other_events: BTreeMap<String, u32>,
}

impl Sample {
    /// Sorts what sessions wait for, as `type:event`. A row lock is waited for by its holder's
    /// transaction, or in the queue of the row itself (`tuple`). The names of the log's waits begin
    /// with `WAL` up to version 16 and with `Wal` since.
    fn new(at_s: f64, active: u32, events: Vec<String>) -> Sample {
        let mut sample = Sample { at_s, active, ..Sample::default() };
        for event in events {
            let name = event.split_once(':').map_or(event.as_str(), |(_, name)| name);
            if ["Lock:transactionid", "Lock:tuple"].contains(&event.as_str()) {
                sample.row_lock += 1;
            } else if name.to_ascii_lowercase().starts_with("wal") {
                sample.wal += 1;
            } else {
                sample.other += 1;
                *sample.other_events.entry(event).or_default() += 1;
            }
        }
        sample
    }
}

/// What the samples of some time come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// What that is, as PostgreSQL names it, and how many sessions wait for it on average.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub other_events: BTreeMap<String, f64>,
}

impl Waits {
    /// Sums them up.
    pub fn of(samples: &[Sample]) -> Waits {
        let count = samples.len().max(1) as f64;
        let mean =
            |of: fn(&Sample) -> u32| samples.iter().map(|sample| f64::from(of(sample))).sum::<f64>() / count;
        let mut other_events = BTreeMap::new();
        for (event, sessions) in samples.iter().flat_map(|sample| &sample.other_events) {
            *other_events.entry(event.clone()).or_default() += f64::from(*sessions) / count;
        }
        Waits {
            samples: samples.len(),
            active_mean: mean(|sample| sample.active),
            row_lock_mean: mean(|sample| sample.row_lock),
            row_lock_max: samples.iter().map(|sample| sample.row_lock).max().unwrap_or(0),
            wal_mean: mean(|sample| sample.wal),
            other_mean: mean(|sample| sample.other),
            other_events,
        }
    }
}

/// A session that looks at the others.
pub struct Looker {
    /// The process of the database that serves it.
    pub backend: u32,
    client: tokio_postgres::Client,
    query: tokio_postgres::Statement,
}

impl Looker {
    /// Connects. `url` is of a superuser: others do not see what sessions wait for.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn connect(url: &str) -> Result<Looker> {
        let client = connect(url).await?;
        let row = client.query_one("SELECT pg_backend_pid()", &[]).await.context("cannot ask for a pid")?;
        let backend = u32::try_from(row.try_get::<_, i32>(0)?)?;
        let query = client.prepare(QUERY).await.context("cannot prepare the look at the sessions")?;
        Ok(Looker { backend, client, query })
    }

    /// Looks once; the sample has no time yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn look(&self) -> Result<Sample> {
        let row = self.client.query_one(&self.query, &[]).await.context("cannot look at the sessions")?;
        let active = u32::try_from(row.try_get::<_, i64>(0)?)?;
        Ok(Sample::new(0.0, active, row.try_get(1)?))
    }
}

/// Looks at least once, and until it is told to stop. Dropped, it stops too.
#[derive(Debug)]
pub struct Sampler {
    /// The process of the database that serves its session.
    pub backend: u32,
    /// When it began: what its samples' times count from.
    pub begin: Instant,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Vec<Sample>>>,
}

impl Sampler {
    /// Connects and begins. `url` is of a superuser: others do not see what sessions wait for.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn start(url: &str, interval: Duration) -> Result<Sampler> {
        let looker = Looker::connect(url).await?;
        let backend = looker.backend;
        let (stop, stopped) = oneshot::channel();
        let begin = Instant::now();
        let task = tokio::spawn(follow(looker, (begin, interval), stopped));
        Ok(Sampler { backend, begin, stop, task })
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
    looker: Looker,
    (begin, interval): (Instant, Duration),
    mut stopped: oneshot::Receiver<()>,
) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let mut ticks = crate::ticks(interval);
    ticks.tick().await;
    loop {
        let asked_s = begin.elapsed().as_secs_f64();
        let sample = looker.look().await?;
        let at_s = begin.elapsed().as_secs_f64();
        samples.push(Sample { at_s, took_s: at_s - asked_s, ..sample });
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
    fn waits_are_sorted() {
        let events = [
            "Lock:transactionid",
            "Lock:tuple",
            "Lock:relation",
            "IO:WALSync",
            "IO:WalWrite",
            "LWLock:LockManager",
            "LWLock:LockManager",
        ];
        let sample = Sample::new(0.5, 9, events.map(str::to_owned).into());
        let others = [("LWLock:LockManager", 2), ("Lock:relation", 1)];
        let expected = Sample {
            at_s: 0.5,
            took_s: 0.0,
            active: 9,
            row_lock: 2,
            wal: 2,
            other: 3,
            other_events: others.map(|(event, count)| (event.to_owned(), count)).into(),
        };
        assert_eq!(sample, expected);
    }

    #[test]
    fn what_others_wait_for_is_named() {
        let sample = |events: &[(&str, u32)]| Sample {
            other_events: events.iter().map(|(event, count)| ((*event).to_owned(), *count)).collect(),
            ..Sample::default()
        };
        let waits = Waits::of(&[sample(&[("LWLock:LockManager", 6), ("IO:DataFileRead", 1)]), sample(&[])]);
        let expected = [("IO:DataFileRead", 0.5), ("LWLock:LockManager", 3.0)];
        assert_eq!(waits.other_events, expected.map(|(event, mean)| (event.to_owned(), mean)).into());
    }

    #[test]
    fn samples_come_to_means_and_a_maximum() {
        let sample = |active, row_lock| Sample { active, row_lock, ..Sample::default() };
        let waits = Waits::of(&[sample(2, 0), sample(16, 15), sample(3, 0)]);
        assert_eq!((waits.samples, waits.active_mean, waits.row_lock_mean), (3, 7.0, 5.0));
        assert_eq!(waits.row_lock_max, 15);
        assert_eq!(Waits::of(&[]).active_mean, 0.0);
    }
}
