//! Experiments: one question each, answered by loading the stack while a few things vary.
//!
//! An experiment is a declared file ([`declaration`]). Each of its points, every x with every
//! series, is run once per round, all points in turn, so that what changes on the machine meanwhile
//! changes for all of them. A run is a new stack on one core, with its CPU scaled down, and k6
//! alone on another core:
//!
//! 1. the stack starts, and the sessions that only watch leave the database's box ([`mod@run`]);
//! 2. k6 warms it up and then measures; it says when ([`load`], `k6/experiment.js`);
//! 3. meanwhile sessions, statistics, metrics and CPU are read ([`interval`]);
//! 4. the load ends, the books are checked, the stack goes.
//!
//! A run in which k6 could not keep up is invalid: it says nothing of the service, and no figure
//! rests on it.
//!
//! | module          | what it has                                                        |
//! | --------------- | ------------------------------------------------------------------ |
//! | [`declaration`], [`axis`] | the file, and every mistake that can be made in it       |
//! | [`setup`]       | the settings of a point, in words                                  |
//! | [`plan`]        | the points                                                         |
//! | [`cores`]       | who runs on which core                                             |
//! | [`mod@run`]         | one run                                                            |
//! | [`load`]        | what k6 sends, and what it says came of it                         |
//! | [`interval`]    | what is read while it measures                                     |
//! | [`conditions`]  | under which conditions it was measured, in words                   |
//! | [`result`]      | what came of all runs: `results.json`                              |
//! | [`figures`], [`answer`] | medians, and the sentences that are computed from them     |
//! | [`report`], [`index`] and theirs | the outcome on paper                              |

pub mod answer;
pub mod axis;
pub mod charts;
pub mod conditions;
pub mod cores;
pub mod data;
pub mod declaration;
pub mod figures;
#[cfg(test)]
mod fixture;
pub mod index;
pub mod interval;
pub mod load;
pub mod markdown;
pub mod page;
pub mod plan;
pub mod report;
pub mod result;
pub mod run;
pub mod setup;
pub mod table;
pub mod words;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::bench::progress::Progress;
use crate::report::text::grouped;
use declaration::Declaration;
use load::Times;
use plan::Planned;
use result::{Conditions, ExperimentResult, Point, PointRun};
use run::{Ran, Tools};
use testbed::instance::find_guiche;
use testbed::signals::interrupted;

/// Where the reports go unless told otherwise, one directory for each experiment.
const REPORTS: &str = "reports/experiments";

/// A glance: rounds, and seconds before and in the measured interval.
const QUICK: (u32, u32, u32) = (1, 2, 3);

/// Which experiments to play, and how long.
#[derive(Clone, Debug, clap::Args)]
pub struct ExperimentArgs {
    /// Those of loadtest/experiments, without the ending, or files of one's own
    #[arg(value_name = "NAME|FILE.toml", required_unless_present_any = ["all", "list"])]
    pub names: Vec<String>,

    /// All of loadtest/experiments
    #[arg(long)]
    pub all: bool,

    /// Only say which there are
    #[arg(long)]
    pub list: bool,

    /// A glance: one round of short runs
    #[arg(long)]
    pub quick: bool,

    /// Rounds [default: what the experiment declares]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,

    /// Seconds that are measured in each run [default: what the experiment declares]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: Option<u32>,

    /// Seconds of load before that [default: what the experiment declares]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub warm_up: Option<u32>,

    /// Where the reports go, a directory for each experiment and an index [default:
    /// reports/experiments]
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
}

impl ExperimentArgs {
    /// The declarations that were asked for, each once, with the rounds and times that hold.
    fn declarations(&self) -> Result<Vec<Declaration>> {
        let shipped = declaration::shipped()?;
        let all = if self.all { shipped.clone() } else { Vec::new() };
        let mut paths = Vec::new();
        for name in all.iter().chain(&self.names) {
            let path = if name.ends_with(".toml") {
                PathBuf::from(name)
            } else {
                ensure!(
                    shipped.contains(name),
                    "there is no experiment {name:?}; there are {}",
                    shipped.join(", ")
                );
                declaration::directory().join(format!("{name}.toml"))
            };
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        let declarations = paths.iter().map(|path| Ok(self.with_times(Declaration::read(path)?)));
        let declarations: Vec<Declaration> = declarations.collect::<Result<_>>()?;
        let names: BTreeSet<&str> = declarations.iter().map(|one| one.name.as_str()).collect();
        ensure!(names.len() == declarations.len(), "two files of one name would share one report");
        Ok(declarations)
    }

    fn with_times(&self, declaration: Declaration) -> Declaration {
        let (rounds, warm_up, seconds) = match self.quick {
            true => QUICK,
            false => (declaration.rounds, declaration.warm_up, declaration.seconds),
        };
        Declaration {
            rounds: self.rounds.unwrap_or(rounds),
            warm_up: self.warm_up.unwrap_or(warm_up),
            seconds: self.seconds.unwrap_or(seconds),
            ..declaration
        }
    }
}

/// Runs the command to its end.
///
/// # Errors
/// When something that is asked for is not there or wrong, before anything is started; when a run
/// failed or left wrong books, after everything else was run; at once when it was interrupted.
pub async fn run(args: &ExperimentArgs) -> Result<()> {
    if args.list {
        return list();
    }
    let declarations = args.declarations()?;
    let planned = declarations.iter().map(plan::points).collect::<Result<Vec<_>>>()?;
    let delays_fsync = planned.iter().flatten().any(|point| !point.setup.fsync_delay.is_zero());
    let tools = Tools::find(delays_fsync)?;
    let directory = args.report.clone().unwrap_or_else(|| testbed::repository_root().join(REPORTS));
    tokio::select! {
        outcome = run_all(&tools, &declarations, &planned, &directory) => outcome,
        signal = interrupted() => bail!("stopped by {signal}"),
    }
}

fn list() -> Result<()> {
    for name in declaration::shipped()? {
        let declaration = Declaration::read(&declaration::directory().join(format!("{name}.toml")))?;
        let points = declaration.x.values.len() * declaration.series.values.len();
        println!("{name:<12} {}: {} ({points} points)", declaration.title, declaration.question);
    }
    Ok(())
}

async fn run_all(
    tools: &Tools,
    declarations: &[Declaration],
    planned: &[Vec<Planned>],
    directory: &Path,
) -> Result<()> {
    let runs =
        |(declaration, points): (&Declaration, &Vec<Planned>)| declaration.rounds * points.len() as u32;
    let pairs = || declarations.iter().zip(planned);
    let estimate = pairs().map(|pair| pair.0.times().estimate() * runs(pair)).sum();
    let mut progress = Progress::new(pairs().map(runs).map(u64::from).sum(), estimate);
    if find_guiche(None).is_ok_and(|program| program.components().any(|part| part.as_os_str() == "debug")) {
        progress.say("this is a debug build of the service: its figures are worth nothing");
    }
    let mut problems = Vec::new();
    for (declaration, points) in pairs() {
        let result = play(tools, declaration, points, &mut progress).await?;
        let page = report::write(&result, &directory.join(&result.name))?;
        // An answer that cannot be given is no reason to stop: the data is there.
        let answer = answer::sentence(&result).unwrap_or_else(|error| format!("{error:#}"));
        progress.say(&format!("{}: {answer}\n  {}\n", result.title, page.display()));
        problems.extend(result.problems());
    }
    index::write(directory)?;
    ensure!(problems.is_empty(), "not every run went well:\n  {}", problems.join("\n  "));
    Ok(())
}

/// Plays one experiment: all points in turn, round after round.
async fn play(
    tools: &Tools,
    declaration: &Declaration,
    planned: &[Planned],
    progress: &mut Progress,
) -> Result<ExperimentResult> {
    let started_at = OffsetDateTime::now_utc().truncate_to_second().format(&Rfc3339);
    let started_at = started_at.context("the clock shows no year of our era")?;
    let begin = Instant::now();
    let times = declaration.times();
    let point = |point: &Planned| Point { x: point.x, series: point.series, ..Point::default() };
    let mut points: Vec<Point> = planned.iter().map(point).collect();
    let mut on = None;
    for round in 0..declaration.rounds {
        for (planned, point) in planned.iter().zip(&mut points) {
            progress.begins(&declaration.name, &planned.label);
            let outcome = run::run(tools, &planned.setup, times, round).await;
            progress.ends(&planned.label, outcome.as_ref().map(|ran| glance(&ran.run)), times.estimate());
            match outcome {
                Ok(Ran { run, postgres, disk }) => {
                    point.runs.push(run);
                    on = Some((postgres, disk));
                }
                Err(error) => point.failures.push(format!("{error:#}")),
            }
        }
    }
    let conditions = Conditions {
        started_at,
        took_s: begin.elapsed().as_secs_f64(),
        ..conditions::of(tools, declaration, planned, on.unwrap_or_default())
    };
    Ok(ExperimentResult {
        name: declaration.name.clone(),
        title: declaration.title.clone(),
        question: declaration.question.clone(),
        x: declaration.x.as_result(),
        series: declaration.series.as_result(),
        answer: declaration.answer.clone(),
        expectations: declaration.expectations(),
        conditions,
        points,
    })
}

impl Declaration {
    fn times(&self) -> Times {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Times { warm_up: seconds(self.warm_up), measured: seconds(self.seconds) }
    }
}

impl ExperimentResult {
    /// Everything that makes the command fail, one sentence each.
    fn problems(&self) -> Vec<String> {
        let of_point = |point: &Point| {
            let label =
                format!("{} {}, {}", self.name, self.x.values[point.x], self.series.values[point.series]);
            let of_runs = point.runs.iter().flat_map(|run| &run.problems);
            let all = of_runs.chain(&point.failures).map(|problem| format!("{label}: {problem}"));
            all.collect::<Vec<_>>()
        };
        self.points.iter().flat_map(of_point).collect()
    }
}

/// A run in half a line.
fn glance(run: &PointRun) -> String {
    let per_s = |count: u64| grouped((count as f64 / run.seconds).round() as u64);
    let mut text = format!(
        "{:>6}/s  p99 {:>7.1} ms  {:>4.1} wait for rows  k6 {:>3.0}%",
        per_s(run.right),
        run.latency_ms.p99,
        run.waits.row_lock_mean,
        run.k6_cpu_share * 100.0,
    );
    for (count, what) in [(run.shed, "shed"), (run.wrong, "wrong")] {
        if count > 0 {
            text.push_str(&format!("  {} {what}/s", per_s(count)));
        }
    }
    if let Some(reason) = &run.invalid {
        text.push_str(&format!("  INVALID: {reason}"));
    }
    if let Some(problem) = run.problems.first() {
        text.push_str(&format!("  WRONG BOOKS: {problem}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_in_half_a_line() {
        let mut run = PointRun { seconds: 2.0, right: 2_468, k6_cpu_share: 0.31, ..PointRun::default() };
        assert_eq!(glance(&run), " 1,234/s  p99     0.0 ms   0.0 wait for rows  k6  31%");
        run.shed = 5;
        run.invalid = Some("k6 was slow".into());
        run.problems.push("a row is missing".into());
        assert!(glance(&run).ends_with("  3 shed/s  INVALID: k6 was slow  WRONG BOOKS: a row is missing"));
    }

    #[test]
    fn wrong_books_and_failures_are_problems_and_invalid_runs_are_none() {
        let mut result = fixture::experiment();
        let found = result.problems();
        assert!(found.iter().any(|problem| problem.contains("the balance of client 1")), "{found:?}");
        for point in &mut result.points {
            point.failures.clear();
            point.runs.iter_mut().for_each(|run| run.problems.clear());
        }
        assert!(result.points.iter().flat_map(|point| &point.runs).any(|run| run.invalid.is_some()));
        assert_eq!(result.problems(), Vec::<String>::new());
    }
}
