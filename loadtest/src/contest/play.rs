//! One run of the simulation against a service that is up.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use super::costs::Meter;
use super::live::Live;
use super::plan::Plan;
use super::ports;
use super::progress::Progress;
use super::result::{Audit, Conditions, ContestResult, StackConditions};
use super::score::Score;
use super::summary::Summary;
use super::target::Target;
use crate::files::now;
use crate::k6::{Channel, Event, K6, Run};
use crate::stalls::watch;
use testbed::Running;
use testbed::check::Books;

/// What to play, and against what.
pub struct Session<'a> {
    /// The program that plays.
    pub k6: &'a K6,
    /// The service.
    pub target: Target,
    /// The load.
    pub plan: Plan,
    /// The database behind the service, where its books can be read.
    pub database_url: Option<String>,
    /// The stack, where it was started for this run.
    pub running: Option<&'a Running>,
    /// Where k6's log and summary go; made if it is missing.
    pub directory: &'a Path,
}

/// Waits until the service is ready, makes sure that it is new, plays, and reads the books.
///
/// # Errors
/// When it could not be played. A run that was played and lost is no error: its problems are in
/// the result.
pub async fn play(session: &Session<'_>) -> Result<ContestResult> {
    std::fs::create_dir_all(session.directory)
        .with_context(|| format!("cannot make {}", session.directory.display()))?;
    let begin = Instant::now();
    session.target.until_ready().await?;
    let cold_start = session.running.map(Running::cold_start).unwrap_or_default();
    let ready_s = (cold_start + begin.elapsed()).as_secs_f64();
    session.target.check_new().await?;
    let rows_before = match &session.database_url {
        Some(url) => Books::read(url).await?.rows,
        None => 0,
    };
    let started_at = now()?;

    let mut watch = Watch::new(session);
    let envelope = session.running.and_then(Running::envelope);
    let looking_on = session.running.map(|_| watch::Watch::start(session.database_url.clone(), envelope));
    let summary_path = session.directory.join("summary.json");
    let run = Run {
        script: "contest.js".as_ref(),
        arguments: &[],
        channel: Channel::Samples,
        env: vec![
            ("BASE_URL", session.target.url().to_owned()),
            ("RAMP", session.plan.ramp_s.to_string()),
            ("PLATEAU", session.plan.plateau_s.to_string()),
            ("SUMMARY", summary_path.display().to_string()),
        ],
        log: &session.directory.join("k6.log"),
        cpus: None,
    };
    let k6_cpu = session.k6.run(&run, &mut |event| watch.take(event)).await;
    watch.measure();
    drop(watch.progress);
    let k6_cpu = k6_cpu?;
    let evidence = looking_on.map(watch::Watch::stop).unwrap_or_default();

    let books = match &session.database_url {
        Some(url) => {
            let books = Books::read(url).await?;
            Some(Audit { new_rows: books.rows.saturating_sub(rows_before), books })
        }
        None => None,
    };
    let summary = Summary::read(&summary_path)?;
    let mut result = ContestResult {
        conditions: conditions(session, started_at, ready_s),
        plan: session.plan,
        score: Score::of(&summary.tally()),
        problems: Vec::new(),
        services: watch.meter.into_costs(),
        k6_cpu_s: k6_cpu.as_secs_f64(),
        books,
        timeline: watch.live.timeline(),
        curves: watch.live.curves(),
        stalls: Some(watch.live.stalls(&evidence)),
        summary,
    };
    result.judge();
    Ok(result)
}

fn conditions(session: &Session<'_>, started_at: String, ready_s: f64) -> Conditions {
    Conditions {
        started_at,
        url: session.target.url().to_owned(),
        stack: session.running.map(|running| stack_conditions(running, &session.plan)),
        ready_s,
        k6: session.k6.version.clone(),
        machine_cpus: std::thread::available_parallelism().map_or(0, usize::from),
    }
}

/// Returns how a stack was set up, and what is in the figures and is not its own.
fn stack_conditions(running: &Running, plan: &Plan) -> StackConditions {
    let options = running.options();
    StackConditions {
        mode: options.mode.to_string(),
        profile: options.profile.to_string(),
        balancing: options.balancing.to_string(),
        cpus: options.split.to_string(),
        envelope: running.is_limited(),
        disk: running.disk(),
        caveat: if matches!(running, Running::Docker(_)) { ports::caveat(plan) } else { None },
    }
}

/// Sees a run through: counts, measures, shows.
struct Watch<'a> {
    live: Live,
    meter: Meter,
    progress: Progress,
    running: Option<&'a Running>,
}

impl<'a> Watch<'a> {
    fn new(session: &Session<'a>) -> Watch<'a> {
        let (live, meter, progress) = (Live::default(), Meter::default(), Progress::new(session.plan));
        let mut watch = Watch { live, meter, progress, running: session.running };
        watch.measure();
        watch
    }

    fn measure(&mut self) {
        if let Some(running) = self.running {
            self.meter.sample(running.usage());
        }
    }

    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Sample(sample) => self.live.add(&sample),
            Event::Tick => {
                self.measure();
                self.progress.show(&self.live);
            }
            Event::Line(..) => {}
        }
    }
}
