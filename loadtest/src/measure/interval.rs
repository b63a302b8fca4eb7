//! The measured interval of a run, as the stack sees it: what is read when it begins, when it ends, and
//! in between.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio_postgres::Client;

use super::result::{Run, ServiceUse};
use super::sampler::{Sample, Sampler, Waits};
use crate::contest::costs::{Meter, killed};
use crate::stalls;
use crate::stalls::watch::{Watch, now_s};
use testbed::envelope::Throttling;
use testbed::machine::Busy;
use testbed::scrape::{Counts, Work};
use testbed::stack::Stack;

/// What the server logs of a session that has waited for a lock as long as `deadlock_timeout`.
const WAITS_ON: &[u8] = b"still waiting for";

/// What PostgreSQL did in this database since its statistics began.
const TOTALS: &str = "SELECT xact_commit, tup_inserted + tup_updated FROM pg_stat_database
    WHERE datname = current_database()";

/// What can be read at once, at one end of the interval.
#[derive(Clone, Debug)]
pub struct Mark {
    at: Instant,
    generator_cpu: Duration,
    throttled: Vec<Throttling>,
    busy: Busy,
    log_bytes: u64,
}

impl Mark {
    /// Reads it.
    ///
    /// # Errors
    /// When something is not there.
    pub fn now(stack: &Stack, generator_cpu: Duration) -> Result<Mark> {
        let log = stack.cluster.log();
        let log_bytes = log.metadata().with_context(|| format!("no {}", log.display()))?.len();
        let (throttled, busy) = (stack.throttling()?, Busy::now()?);
        Ok(Mark { at: Instant::now(), generator_cpu, throttled, busy, log_bytes })
    }
}

/// The share of the interval by which a reading of its ends may be late.
const LATE: f64 = 0.25;

/// One end of the interval, in the services' own words.
#[derive(Debug)]
pub struct Totals {
    /// When they had been read, unless that was when nothing was under way any more.
    at: Option<Instant>,
    counts: Counts,
    commits: u64,
    rows: u64,
}

impl Totals {
    /// Reads them under load, or, where there is none, when nothing is under way any more.
    ///
    /// # Errors
    /// When an instance or the database does not answer.
    pub async fn read(stack: &Stack, client: &Client, quiet: bool) -> Result<Totals> {
        let counts = match quiet {
            true => Counts::read_when_quiet(&stack.metrics).await?,
            false => Counts::read(&stack.metrics).await?,
        };
        let row = client.query_one(TOTALS, &[]).await.context("cannot read the database's statistics")?;
        let count = |column| -> Result<u64> { Ok(row.try_get::<_, i64>(column)?.unsigned_abs()) };
        Ok(Totals { at: (!quiet).then(Instant::now), counts, commits: count(0)?, rows: count(1)? })
    }
}

/// Returns why what was counted between two readings is not what was done in the interval: services that
/// are starved answer a reading late, and at its end they might have told the same as at its beginning.
fn why_late(late: [Duration; 2], interval: Duration) -> Option<String> {
    let worst = late.into_iter().max().filter(|late| *late > interval.mul_f64(LATE))?.as_secs_f64();
    Some(format!("the services took {worst:.1} s to say what they count, in an interval of {interval:.1?}"))
}

/// Adds to a run what was seen between the two ends of its interval, at the sessions and the machine of
/// which somebody has looked.
///
/// # Errors
/// When the sampler failed, or the server's log cannot be read.
pub async fn observed(
    stack: &Stack,
    run: Run,
    (begun, ended): (Mark, Mark),
    (before, after): (&Totals, &Totals),
    meter: Meter,
    (sampler, watch): (Sampler, Option<Watch>),
) -> Result<Run> {
    let elapsed = ended.at - begun.at;
    let elapsed_s = elapsed.as_secs_f64();
    let late = [(before, &begun), (after, &ended)]
        .map(|(read, end)| read.at.map_or(Duration::ZERO, |at| at.saturating_duration_since(end.at)));
    let offset = (begun.at - sampler.begin).as_secs_f64();
    let costs = meter.into_costs();
    let problems = killed(&costs).collect();
    let services = costs.into_iter().enumerate().map(|(index, cost)| ServiceUse {
        service: cost.service,
        cpu_share: cost.cpu_s / elapsed_s,
        throttled_share: ended.throttled[index].share_since(&begun.throttled[index]),
        anonymous_peak_bytes: cost.anonymous_peak_bytes,
        shared_peak_bytes: cost.shared_peak_bytes,
    });
    // Where the readings do not have the generator's CPU, the run has it.
    let generator_cpu = ended.generator_cpu.saturating_sub(begun.generator_cpu).as_secs_f64();
    let sampled_s = now_s() - sampler.begin.elapsed().as_secs_f64();
    let samples = sampler.stop().await?;
    let interval_s @ [begin_s, end_s] = [sampled_s + offset, sampled_s + offset + elapsed_s];
    let stalls = run.slow.as_ref().zip(watch).map(|(slow, watch)| {
        let evidence = watch.stop().with_samples(&samples, sampled_s).within(begin_s, end_s);
        stalls::find(slow, run.latency_ms.p50, &evidence, begin_s)
    });
    let samples = cut(&samples, offset, elapsed_s);
    let per_s = |before: u64, after: u64| after.saturating_sub(before) as f64 / elapsed_s;
    Ok(Run {
        generator_cpu_share: run.generator_cpu_share + generator_cpu / elapsed_s,
        services: services.collect(),
        work: Work::of(&after.counts.since(&before.counts)),
        waits: Waits::of(&samples),
        samples,
        stalls,
        interval_s,
        commits_per_s: per_s(before.commits, after.commits),
        rows_per_s: per_s(before.rows, after.rows),
        logged_lock_waits: count_in(&stack.cluster.log(), begun.log_bytes, ended.log_bytes)?,
        idle_share: ended.busy.idle_share_since(&begun.busy),
        invalid: why_late(late, elapsed),
        problems,
        ..run
    })
}

/// Returns the samples of so many seconds from `offset` on, which is where their time begins then.
fn cut(samples: &[Sample], offset: f64, seconds: f64) -> Vec<Sample> {
    let shifted = samples.iter().map(|sample| Sample { at_s: sample.at_s - offset, ..sample.clone() });
    shifted.filter(|sample| (0.0..=seconds).contains(&sample.at_s)).collect()
}

fn count_in(log: &Path, from: u64, to: u64) -> Result<u64> {
    let bytes = std::fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    let between = bytes.get(from as usize..to as usize).context("the server's log has become shorter")?;
    Ok(between.windows(WAITS_ON.len()).filter(|window| *window == WAITS_ON).count() as u64)
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
    fn readings_may_be_late_by_a_quarter_of_the_interval() {
        let [soon, late, interval] = [500, 501, 2_000].map(Duration::from_millis);
        assert_eq!(why_late([soon, soon], interval), None);
        let says = "the services took 0.5 s to say what they count, in an interval of 2.0s";
        assert_eq!(why_late([late, Duration::ZERO], interval).as_deref(), Some(says));
        assert_eq!(why_late([soon, late], interval).as_deref(), Some(says));
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
