//! One engine that measures: cases × a load × rounds in turn → samples → one result → text, table, chart.
//!
//! What is measured is declared in a file ([`declaration`], read by [`declared`]): two axes and every point on them (an experiment),
//! or several comparisons of cases (`bench.toml`); a comparison typed on the command line makes the same
//! [`plan`]. The cases of a comparison are run in turn, round after round, so that what changes on the machine
//! meanwhile changes for all of them. Each run has a stack of its own:
//!
//! 1. the stack starts, and the sessions that only watch leave the database's box ([`mod@run`]);
//! 2. wrk or k6 warms it up and loads it ([`wrk`], [`users`]);
//! 3. meanwhile sessions, statistics, metrics and CPU are read ([`interval`], [`sampler`]);
//! 4. the load ends, the books are checked, the stack goes.
//!
//! A run in which k6 could not keep up is invalid: it says nothing of the service, and no figure rests on it.
//!
//! | module                    | what it has                                                          |
//! | ------------------------- | -------------------------------------------------------------------- |
//! | [`setup`], [`axis`]       | the settings of a case in words, and what sets them                  |
//! | [`tools`], [`cores`]      | what a run needs, and who runs on which core                         |
//! | [`load`], [`slow`], [`witness`], [`instructions`] | what came back, which of it slowly; what an instance does by itself |
//! | [`result`], [`figures`]   | what came of all runs: `results.json`; the one table of figures      |
//! | [`formula`]               | answers and expectations, computed from the figures                  |
//! | [`table`], [`charts`], [`words`], [`report`], [`index`] | the outcome on paper                   |
//! | [`progress`]              | what is shown meanwhile                                              |

pub mod axis;
mod batches;
pub mod charts;
pub mod cores;
pub mod declaration;
pub mod declared;
pub mod figures;
#[cfg(test)]
mod fixture;
pub mod formula;
pub mod index;
pub mod instructions;
pub mod interval;
pub mod load;
pub mod plan;
pub mod progress;
pub mod report;
pub mod result;
pub mod run;
pub mod sampler;
pub mod setup;
pub mod slow;
pub mod table;
pub mod tools;
pub mod users;
pub mod witness;
pub mod words;
pub mod wrk;

use std::time::Instant;

use anyhow::{Context, Result, bail};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use instructions::Callgrind;
use plan::{Plan, Planned};
use progress::Progress;
use result::{Case, Comparison, Measurement};
use testbed::instance::find_guiche;
use testbed::signals::interrupted;
use tools::{Platform, Tools};

/// Makes all measurements one after the other; `finished` is told of each.
///
/// # Errors
/// At once when the first run fails, as what fails first would fail again and again, or when `finished`
/// fails, or when it was interrupted. Later failures are in the results.
pub async fn make(
    plans: Vec<Plan>,
    finished: impl FnMut(&Measurement, &Progress) -> Result<()>,
) -> Result<Vec<Measurement>> {
    tokio::select! {
        results = make_all(plans, finished) => results,
        signal = interrupted() => bail!("stopped by {signal}"),
    }
}

async fn make_all(
    plans: Vec<Plan>,
    mut finished: impl FnMut(&Measurement, &Progress) -> Result<()>,
) -> Result<Vec<Measurement>> {
    let tools = Tools::find(&plans)?;
    let (runs, estimate) =
        plans.iter().map(Plan::estimate).reduce(|a, b| (a.0 + b.0, a.1 + b.1)).unwrap_or_default();
    let mut progress = Progress::new(runs, estimate);
    if find_guiche(None).is_ok_and(|program| program.components().any(|part| part.as_os_str() == "debug")) {
        progress.say("this is a debug build of the service: its figures are worth nothing");
    }
    let mut results = Vec::new();
    for plan in plans {
        let result = measure(&tools, plan, &mut progress).await?;
        finished(&result, &progress)?;
        results.push(result);
    }
    Ok(results)
}

async fn measure(tools: &Tools, mut plan: Plan, progress: &mut Progress) -> Result<Measurement> {
    let started_at = OffsetDateTime::now_utc().truncate_to_second().format(&Rfc3339);
    let started_at = started_at.context("the clock shows no year of our era")?;
    let begin = Instant::now();
    let mut on = None;
    let mut comparisons = std::mem::take(&mut plan.result.comparisons);
    for (comparison, planned) in comparisons.iter_mut().zip(&plan.comparisons) {
        compare(tools, (comparison, planned), plan.rounds, progress, &mut on).await?;
        let rows = table::rows(comparison, plan.rounds);
        progress.say(&format!("{}\n\n{}", comparison.title, crate::report::text::table(&rows)));
    }
    let mut conditions = tools.conditions(&plan, on.unwrap_or_default());
    (conditions.started_at, conditions.took_s) = (started_at, begin.elapsed().as_secs_f64());
    Ok(Measurement { conditions, comparisons, ..plan.result })
}

/// Runs the cases in turn, round after round. `on` takes what they were made on.
async fn compare(
    tools: &Tools,
    (comparison, planned): (&mut Comparison, &Planned),
    rounds: u32,
    progress: &mut Progress,
    on: &mut Option<Platform>,
) -> Result<()> {
    for round in 0..rounds {
        for (case, (setup, times)) in comparison.cases.iter_mut().zip(&planned.cases) {
            progress.begins(&comparison.title, &case.label);
            let is_first = progress.is_first();
            let outcome = run::run(tools, setup, *times, round).await;
            progress.ends(
                &case.label,
                outcome.as_ref().map(|ran| progress::summary(&ran.0)),
                times.estimate(),
            );
            match outcome {
                Ok((run, platform)) => {
                    case.runs.push(run);
                    *on = Some(platform);
                }
                Err(error) if is_first => return Err(error.context(case.label.clone())),
                Err(error) => case.failures.push(format!("round {}: {error:#}", round + 1)),
            }
        }
    }
    if let (true, Some(callgrind)) = (planned.instructions, &tools.callgrind) {
        for (case, (setup, _)) in comparison.cases.iter_mut().zip(&planned.cases) {
            progress.begins(&comparison.title, &case.label);
            count(callgrind, setup, case, progress).await;
        }
    }
    Ok(())
}

/// Counts a case's instructions, once: they hardly differ from one time to the next.
async fn count(callgrind: &Callgrind, setup: &setup::Setup, case: &mut Case, progress: &mut Progress) {
    let counted = callgrind.count(setup, instructions::TRANSACTIONS).await;
    let summary = counted.as_ref().map(|count| format!("{count:>7.0} instructions a transaction"));
    progress.ends(&case.label, summary, instructions::ESTIMATE);
    match counted {
        Ok(count) => case.runs.iter_mut().for_each(|run| run.instructions = Some(count)),
        Err(error) => case.failures.push(format!("{error:#}")),
    }
}
