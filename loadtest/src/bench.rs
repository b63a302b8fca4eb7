//! The benchmark: the stack within the contest's limits, loaded as hard as it can take, one case
//! after the other.
//!
//! | module       | what it has                                                             |
//! | ------------ | ----------------------------------------------------------------------- |
//! | [`case`]     | everything that may differ between two cases                            |
//! | [`plan`]     | which cases are compared with each other                                |
//! | [`load`]     | what is sent, by [`wrk`] or at the contest's rate by k6 ([`steady`])    |
//! | [`measure`]  | one run: a stack of its own, a warm-up, the measured load, the books    |
//! | [`instructions`] | what an instance does by itself, where time cannot tell             |
//! | [`result`]   | what came of the runs, medians and spread                               |
//! | [`goals`]    | what the project wants to reach, beside what was measured               |
//! | [`progress`] | what is shown meanwhile                                                 |
//! | [`table`], [`picture`], [`report`] | the outcome on paper                              |

pub mod case;
pub mod goals;
pub mod instructions;
pub mod load;
pub mod measure;
pub mod picture;
pub mod plan;
pub mod progress;
pub mod report;
pub mod result;
pub mod steady;
pub mod table;
pub mod wrk;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::contest::k6::K6;
use crate::contest::timestamp;
use crate::report::text;
use case::{Case, Pace};
use instructions::Callgrind;
use load::Generators;
use measure::Times;
use plan::{Comparison, Factor};
use progress::Progress;
use report::{BenchResult, Conditions};
use result::{CaseResult, ComparisonResult, Run};
use testbed::instance::find_guiche;
use testbed::machine;
use testbed::signals::interrupted;
use wrk::Wrk;

/// How long the contest's rate is played before and while it is measured, in seconds: its p99 is
/// that of 340 requests a second.
const STEADY_S: (u64, u64) = (4, 30);

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchArgs {
    /// A few cases, one round each, in under two minutes
    #[arg(long)]
    pub quick: bool,

    /// Only what this factor changes; may be repeated
    #[arg(long, value_enum, value_name = "FACTOR", value_delimiter = ',')]
    pub only: Vec<Factor>,

    /// Only the contest's own 340 requests/s, mode by mode: the same as --only contest_rate
    #[arg(long)]
    pub contest_rate: bool,

    /// A case of a comparison of one's own, as settings in addition to the base: mode, profile,
    /// connections, clients, balancing, split, transport, mix, pace, guiche (a program; {target} is the
    /// repository's target), a setting of the service in capitals ({dir} in it is the run's directory),
    /// pg.SETTING; may be repeated
    #[arg(long = "case", value_name = "KEY=VALUE,…")]
    pub cases: Vec<String>,

    /// What all cases have in common, where it is not what is shipped
    #[arg(long, default_value = "", value_name = "KEY=VALUE,…", hide_default_value = true)]
    pub base: String,

    /// A setting of the service for all cases, such as BATCH_MAX=64; may be repeated
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub env: Vec<String>,

    /// A setting of PostgreSQL for all cases, such as wal_buffers=1MB; may be repeated
    #[arg(long = "pg", value_name = "NAME=VALUE")]
    pub pg: Vec<String>,

    /// Count an instance's instructions for each case too, with valgrind; comparing tracing does it anyway
    #[arg(long)]
    pub instructions: bool,

    /// Rounds [default: 3, with --quick 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,

    /// Seconds that are measured in each run [default: 6, with --quick 4; at the contest's rate 30]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: Option<u64>,

    /// Seconds of load before that [default: 2; at the contest's rate 4]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub warm_up: Option<u64>,

    /// Where the report goes [default: reports/bench-TIME]
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
}

impl BenchArgs {
    fn base(&self) -> Result<Case> {
        let base = Case::default().with(&self.base).context("--base")?;
        let pg = self.pg.iter().map(|setting| format!("pg.{setting}"));
        self.env.iter().cloned().chain(pg).try_fold(base, |base, setting| base.with(&setting))
    }

    fn only(&self) -> Vec<Factor> {
        let rate = self.contest_rate.then_some(Factor::ContestRate);
        self.only.iter().copied().chain(rate).collect()
    }

    fn times(&self, case: &Case) -> Times {
        let (warm_up, measured) = match case.pace {
            Pace::Contest => STEADY_S,
            Pace::Saturating => (2, if self.quick { 4 } else { 6 }),
        };
        Times {
            warm_up: Duration::from_secs(self.warm_up.unwrap_or(warm_up)),
            measured: Duration::from_secs(self.seconds.unwrap_or(measured)),
        }
    }

    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 })
    }
}

/// Runs the command to its end.
///
/// # Errors
/// When any run failed or left wrong books, after everything else was run; at once when the first
/// one failed, or when it was interrupted.
pub async fn run(args: &BenchArgs) -> Result<()> {
    let base = args.base()?;
    let mut comparisons = plan::comparisons(&base, &args.only(), &args.cases, args.quick)?;
    comparisons.iter_mut().for_each(|comparison| comparison.instructions |= args.instructions);
    let tools = Tools::find(&comparisons)?;
    let started_at = OffsetDateTime::now_utc().truncate_to_second().format(&Rfc3339);
    let started_at = started_at.context("the clock shows no year of our era")?;
    let name = format!("reports/bench-{}", timestamp());
    let begin = Instant::now();
    let comparisons = tokio::select! {
        results = run_all(args, &tools, &comparisons) => results?,
        signal = interrupted() => bail!("stopped by {signal}"),
    };
    let conditions = Conditions {
        started_at,
        took_s: begin.elapsed().as_secs_f64(),
        ..conditions(args, base.clone(), &tools.generators, &comparisons)
    };
    let result = BenchResult { goals: goals::judge(&comparisons, &base), conditions, comparisons };
    let directory = args.report.clone().unwrap_or_else(|| testbed::repository_root().join(name));
    let page = report::write(&result, &directory)?;
    if !result.goals.is_empty() {
        println!("{}", text::table(&report::goal_rows(&result.goals)));
    }
    println!("Report: {}", page.canonicalize().unwrap_or(page).display());
    check(&result)
}

/// The programs that the comparisons need.
struct Tools {
    generators: Generators,
    callgrind: Option<Callgrind>,
}

impl Tools {
    /// Fails when one is missing, the programs that are compared included.
    fn find(comparisons: &[Comparison]) -> Result<Tools> {
        let cases = || comparisons.iter().flat_map(|comparison| &comparison.cases);
        cases().try_for_each(|(label, case)| case.program().map(drop).with_context(|| label.clone()))?;
        let steady = cases().any(|(_, case)| case.pace == Pace::Contest);
        let counted = comparisons.iter().any(|comparison| comparison.instructions);
        Ok(Tools {
            generators: Generators { wrk: Wrk::find()?, k6: steady.then(|| K6::find(None)).transpose()? },
            callgrind: counted.then(Callgrind::find).transpose()?,
        })
    }
}

/// Fails when a run failed or left wrong books.
fn check(result: &BenchResult) -> Result<()> {
    let cases = result.comparisons.iter().flat_map(|comparison| &comparison.cases);
    let problems: Vec<String> = cases.flat_map(CaseResult::problems).collect();
    if !problems.is_empty() {
        bail!("not every run went well:\n  {}", problems.join("\n  "));
    }
    Ok(())
}

async fn run_all(
    args: &BenchArgs,
    tools: &Tools,
    comparisons: &[Comparison],
) -> Result<Vec<ComparisonResult>> {
    let cases = || comparisons.iter().flat_map(|comparison| &comparison.cases);
    let estimate: Duration = cases().map(|(_, case)| args.times(case).estimate()).sum();
    let counted = comparisons.iter().filter(|comparison| comparison.instructions);
    let counts = u32::try_from(counted.flat_map(|comparison| &comparison.cases).count())?;
    let runs = cases().count() as u64 * u64::from(args.rounds()) + u64::from(counts);
    let mut progress = Progress::new(runs, estimate * args.rounds() + instructions::ESTIMATE * counts);
    if find_guiche(None).is_ok_and(|program| program.components().any(|part| part.as_os_str() == "debug")) {
        progress.say("this is a debug build of the service: its figures are worth nothing");
    }
    let mut results = Vec::new();
    for comparison in comparisons {
        let result = compare(args, tools, comparison, &mut progress).await?;
        progress.say(&format!("\n\n{}", table::text(&result)));
        results.push(result);
    }
    Ok(results)
}

/// Runs the cases in turn, round after round: what changes on the machine meanwhile changes for
/// all of them.
async fn compare(
    args: &BenchArgs,
    tools: &Tools,
    comparison: &Comparison,
    progress: &mut Progress,
) -> Result<ComparisonResult> {
    let results = comparison.cases.iter().map(|(label, case)| CaseResult::new(label, case.clone()));
    let mut results: Vec<CaseResult> = results.collect();
    for round in 0..args.rounds() {
        for result in &mut results {
            let CaseResult { label, case, runs, failures, .. } = result;
            progress.begins(&comparison.title, label);
            let times = args.times(case);
            match measure::run(case, &tools.generators, times, round).await {
                Ok(run) => {
                    progress.ends(label, Ok(progress::glance(&run)), times.estimate());
                    runs.push(run);
                }
                // What fails first would fail again and again.
                Err(error) if progress.is_first() => return Err(error.context(label.clone())),
                Err(error) => {
                    progress.ends(label, Err(&error), times.estimate());
                    failures.push(format!("{error:#}"));
                }
            }
        }
    }
    if let (true, Some(callgrind)) = (comparison.instructions, &tools.callgrind) {
        count(callgrind, &comparison.title, &mut results, progress).await;
    }
    Ok(ComparisonResult { title: comparison.title.clone(), cases: results })
}

/// Counts each case's instructions, once: they hardly differ from one time to the next.
async fn count(callgrind: &Callgrind, title: &str, results: &mut [CaseResult], progress: &mut Progress) {
    for result in results {
        progress.begins(title, &result.label);
        let counted = callgrind.count(&result.case, instructions::TRANSACTIONS).await;
        let glance = counted.as_ref().map(|count| format!("{count:>7.0} instructions a transaction"));
        progress.ends(&result.label, glance, instructions::ESTIMATE);
        match counted {
            Ok(count) => result.instructions = Some(count),
            Err(error) => result.failures.push(format!("{error:#}")),
        }
    }
}

/// What is known of the conditions without a clock.
fn conditions(
    args: &BenchArgs,
    base: Case,
    generators: &Generators,
    comparisons: &[ComparisonResult],
) -> Conditions {
    let run = comparisons.iter().flat_map(|one| &one.cases).flat_map(|case| &case.runs).next();
    let of_run = |of: fn(&Run) -> &String| run.map(of).cloned().unwrap_or_default();
    let mut versions = vec![
        format!("PostgreSQL {}", of_run(|run| &run.postgres)),
        nginx_version(),
        format!("wrk {}", generators.wrk.version()),
    ];
    versions.extend(generators.k6.as_ref().map(|k6| format!("k6 {}", k6.version())));
    let times = args.times(&base);
    Conditions {
        started_at: String::new(),
        took_s: 0.0,
        machine: machine::describe(),
        versions,
        disk: of_run(|run| &run.disk),
        base,
        rounds: args.rounds(),
        warm_up_s: times.warm_up.as_secs(),
        measured_s: times.measured.as_secs(),
    }
}

/// `nginx version: nginx/1.22.1` on standard error.
pub(crate) fn nginx_version() -> String {
    let program = testbed::programs::find("nginx").unwrap_or_else(|| "nginx".into());
    let output = Command::new(program).arg("-v").output().map(|output| output.stderr).unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    let version = text.split_once("nginx/").map_or("of unknown version", |(_, version)| version.trim());
    format!("NGINX {version}")
}
