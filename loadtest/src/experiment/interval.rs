//! The measured interval of a run, as the stack sees it: what is counted when it begins, when it
//! ends, and in between. k6 decides when that is, and says so on its console.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::mpsc;
use tokio_postgres::Client;

use super::load::{BEGINS, ENDS, WARM};
use super::setup::Setup;
use crate::contest::costs::{Meter, ServiceCost};
use crate::contest::k6::{Heard, K6, Run};
use crate::sampler::{Sample, Sampler};
use testbed::envelope::Throttling;
use testbed::scrape::{Counts, Work};
use testbed::stack::Stack;

/// What the server logs of a session that has waited for a lock as long as `deadlock_timeout`.
const WAITS_ON: &[u8] = b"still waiting for";

/// What PostgreSQL did in this database since its statistics began.
const TOTALS: &str = "SELECT xact_commit, tup_inserted + tup_updated FROM pg_stat_database
    WHERE datname = current_database()";

/// What the stack saw.
#[derive(Debug)]
pub struct Interval {
    /// Seconds between the two readings.
    pub elapsed_s: f64,
    /// k6's CPU as a share of its core.
    pub k6_cpu_share: f64,
    /// What the services used.
    pub costs: Vec<ServiceCost>,
    /// The shares of slices in which their quotas were used up.
    pub throttled: [f64; 4],
    /// What the instances counted.
    pub work: Work,
    /// PostgreSQL's sessions.
    pub samples: Vec<Sample>,
    /// Commits.
    pub commits: u64,
    /// Rows inserted and updated.
    pub rows: u64,
    /// Waits for a lock that the server logged.
    pub logged_lock_waits: u64,
}

/// Everything that takes part in a run.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The program that sends.
    pub k6: &'a K6,
    /// What it is told.
    pub script: &'a Run<'a>,
    /// What is loaded.
    pub stack: &'a Stack,
    /// With these settings.
    pub setup: &'a Setup,
    /// A session of somebody who may read the database's statistics.
    pub client: &'a Client,
}

impl Scene<'_> {
    /// Runs k6 to its end and watches the interval that it measures, of which `sampler` has been
    /// started to look at the sessions. Half-way through the warm-up the CPU is scaled down: until
    /// then sessions of the database have begun and have compiled their functions, some 10 ms of
    /// CPU each, for which the scaled one would take seconds.
    ///
    /// # Errors
    /// When k6 fails or never says that it measures, or when something cannot be read.
    pub async fn watch(&self, sampler: Sampler) -> Result<Interval> {
        let (marks, mut heard) = mpsc::unbounded_channel();
        let mut ear =
            Ear { scene: *self, marks, meter: Meter::default(), scaled: Ok(()), begun: None, ended: None };
        let playing = async move {
            self.k6.run_aside(self.script, &mut |what| ear.hear(what)).await?;
            ear.scaled?;
            let (begun, ended) = (ear.begun.transpose()?, ear.ended.transpose()?);
            let both =
                begun.zip(ended).context("k6 never said that the measured interval began and ended")?;
            anyhow::Ok((both, ear.meter.into_costs()))
        };
        let reading = async {
            // Without a mark k6 has failed, and says why.
            heard.recv().await;
            let before = self.totals().await?;
            heard.recv().await;
            anyhow::Ok((before, self.totals().await?))
        };
        let (((begun, ended), costs), (before, after)) = tokio::try_join!(playing, reading)?;
        let elapsed_s = (ended.at - begun.at).as_secs_f64();
        let offset = (begun.at - sampler.begin()).as_secs_f64();
        let log = self.stack.cluster().log();
        Ok(Interval {
            elapsed_s,
            k6_cpu_share: ended.k6_cpu.saturating_sub(begun.k6_cpu).as_secs_f64() / elapsed_s,
            costs,
            throttled: std::array::from_fn(|index| {
                ended.throttled[index].share_since(&begun.throttled[index])
            }),
            work: Work::of(&after.counts.since(&before.counts)),
            samples: cut(&sampler.stop().await?, offset, elapsed_s),
            commits: after.commits.saturating_sub(before.commits),
            rows: after.rows.saturating_sub(before.rows),
            logged_lock_waits: count_in(&log, begun.log_bytes, ended.log_bytes)?,
        })
    }

    async fn totals(&self) -> Result<Totals> {
        let counts = Counts::read(self.stack.metrics()).await?;
        let row =
            self.client.query_one(TOTALS, &[]).await.context("cannot read the database's statistics")?;
        let count = |column| -> Result<u64> { Ok(row.try_get::<_, i64>(column)?.unsigned_abs()) };
        Ok(Totals { counts, commits: count(0)?, rows: count(1)? })
    }
}

/// Hears what k6 says, and reads at once what can be read without waiting.
struct Ear<'a> {
    scene: Scene<'a>,
    marks: mpsc::UnboundedSender<()>,
    meter: Meter,
    scaled: Result<()>,
    begun: Option<Result<Mark>>,
    ended: Option<Result<Mark>>,
}

impl Ear<'_> {
    fn hear(&mut self, heard: Heard<'_>) {
        let measuring = self.begun.is_some() && self.ended.is_none();
        match heard {
            Heard::Line(line, _) if line.contains(WARM) => self.scaled = self.scale(),
            Heard::Line(line, cpu) if line.contains(BEGINS) => {
                self.begun = Some(Mark::now(self.scene.stack, cpu));
                self.mark();
            }
            Heard::Line(line, cpu) if line.contains(ENDS) => {
                self.ended = Some(Mark::now(self.scene.stack, cpu));
                self.mark();
            }
            Heard::Tick if measuring => self.meter.sample(self.scene.stack.usage()),
            Heard::Line(..) | Heard::Tick => {}
        }
    }

    fn scale(&self) -> Result<()> {
        let Scene { stack, setup, .. } = self.scene;
        let envelope = stack.envelope().context("no limits are enforced")?;
        envelope.limit_cpu(&setup.split(), setup.period())
    }

    fn mark(&mut self) {
        self.meter.sample(self.scene.stack.usage());
        // Nobody listens any more when reading has failed, which is an error of its own.
        let _ = self.marks.send(());
    }
}

/// One end of the interval, on this machine.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Instant,
    k6_cpu: Duration,
    throttled: [Throttling; 4],
    log_bytes: u64,
}

impl Mark {
    fn now(stack: &Stack, k6_cpu: Duration) -> Result<Mark> {
        let log = stack.cluster().log();
        let log_bytes = log.metadata().with_context(|| format!("no {}", log.display()))?.len();
        Ok(Mark { at: Instant::now(), k6_cpu, throttled: stack.throttling()?, log_bytes })
    }
}

/// One end of the interval, in the services' own words.
struct Totals {
    counts: Counts,
    commits: u64,
    rows: u64,
}

/// The samples of so many seconds from `offset` on, which is where their time begins then.
fn cut(samples: &[Sample], offset: f64, seconds: f64) -> Vec<Sample> {
    let shifted = samples.iter().map(|sample| Sample { at_s: sample.at_s - offset, ..sample.clone() });
    shifted.filter(|sample| (0.0..=seconds).contains(&sample.at_s)).collect()
}

fn count_in(log: &Path, from: u64, to: u64) -> Result<u64> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(to.saturating_sub(from)).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().with_context(|| format!("cannot read {}", log.display()))?;
    Ok(bytes.windows(WAITS_ON.len()).filter(|window| *window == WAITS_ON).count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testbed::rundir::RunDir;

    #[test]
    fn samples_of_the_interval_remain_and_begin_at_zero() {
        let samples: Vec<Sample> =
            (0..10_u8).map(|at| Sample { at_s: f64::from(at), ..Sample::default() }).collect();
        let times: Vec<f64> = cut(&samples, 3.0, 2.5).iter().map(|sample| sample.at_s).collect();
        assert_eq!(times, [0.0, 1.0, 2.0]);
    }

    #[test]
    fn waits_are_counted_between_two_places_of_the_log() {
        let dir = RunDir::create().expect("a run directory");
        let log = dir.path().join("log");
        let line = "LOG:  process 7 still waiting for ShareLock on transaction 8 after 100.1 ms\n";
        let text = format!("{line}LOG:  checkpoint\n{line}{line}");
        std::fs::write(&log, &text).expect("it is writable");
        let all = text.len() as u64;
        assert_eq!(count_in(&log, 0, all).expect("it is there"), 3);
        assert_eq!(count_in(&log, line.len() as u64, all - line.len() as u64).expect("it is there"), 1);
    }
}
