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
//! | [`outside`]               | what somebody else has started                                       |
//! | [`slow`], [`witness`], [`instructions`] | which answers came slowly; what an instance does by itself |
//! | [`traced`], [`trace`]     | the traces of runs                                                   |
//! | [`kept`]                  | what is kept while it is made, and goes on                           |
//! | [`result`], [`figures`]   | what came of all runs: `results.json`; the one table of figures      |
//! | [`formula`]               | answers and expectations, computed from the figures                  |
//! | [`table`], [`charts`], [`words`], [`report`], [`index`] | the outcome on paper                   |
//! | [`mod@compare`]           | two results side by side                                             |
//! | [`progress`]              | what is shown meanwhile                                              |
//! | [`soak`]                  | one long run, minute by minute                                       |

pub mod axis;
mod batches;
pub mod charts;
pub mod compare;
pub mod cores;
pub mod declaration;
pub mod declared;
pub mod figures;
#[cfg(test)]
pub(crate) mod fixture;
pub mod formula;
pub mod index;
pub mod instructions;
pub mod interval;
pub mod kept;
pub mod outside;
pub mod plan;
pub mod progress;
pub mod report;
pub mod result;
pub mod run;
pub mod sampler;
pub mod setup;
pub mod slow;
pub mod soak;
pub mod table;
pub mod tools;
pub mod trace;
pub mod traced;
pub mod users;
pub mod witness;
pub mod words;
pub mod wrk;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};

use crate::files::now;
use crate::lock::Machine;
use instructions::Callgrind;
use plan::Plan;
use progress::Progress;
use result::{Case, Conditions, Measurement};
use testbed::instance::find_guiche;
use testbed::signals::interrupted;
use tools::Tools;
use traced::Place;

/// Makes all measurements one after the other, and writes the report of each; `finished` is told of each, and of
/// its page.
///
/// # Errors
/// At once when the first run fails, as what fails first would fail again and again, or when it was interrupted:
/// then the report has what there is. Later failures are in the results.
pub async fn make(
    plans: Vec<Plan>,
    mut finished: impl FnMut(&Measurement, &Path, &Progress),
) -> Result<Vec<Measurement>> {
    let interruption = interrupted();
    tokio::pin!(interruption);
    let tools = Tools::find(&plans)?;
    let names: Vec<&str> = plans.iter().map(|plan| plan.result.name.as_str()).collect();
    let _machine = Machine::take(&format!("measuring {}", names.join(", ")))?;
    let (runs, estimate) =
        plans.iter().map(Plan::estimate).reduce(|a, b| (a.0 + b.0, a.1 + b.1)).unwrap_or_default();
    let mut progress = Progress::new(runs, estimate);
    let own = plans.iter().any(|plan| plan.target.is_none());
    if own
        && find_guiche(None).is_ok_and(|program| program.components().any(|part| part.as_os_str() == "debug"))
    {
        progress.say("this is a debug build of the service: its figures are worth nothing");
    }
    let mut results = Vec::new();
    for plan in plans {
        let mut result = plan.result.clone();
        let outcome = tokio::select! {
            outcome = measure(&tools, &plan, &mut result, &mut progress) => outcome,
            signal = &mut interruption => Err(anyhow!("stopped by {signal}")),
        };
        result.unfinished = outcome.as_ref().err().map(|why| format!("{why:#}")).unwrap_or_default();
        if result.cases().all(|(_, case)| case.runs.is_empty()) {
            return Err(outcome.err().unwrap_or_else(|| anyhow!("not one run could be made")));
        }
        let page = kept::report(&result, &plan.directory)?;
        if let Some(earlier) = &plan.against {
            let told = compare::side_by_side(earlier, &result).unwrap_or_else(|why| format!("{why:#}"));
            progress.say(&format!("A is the earlier result, B this one.\n{told}"));
        }
        outcome.with_context(|| format!("{} has what there is; --resume goes on", page.display()))?;
        finished(&result, &page, &progress);
        results.push(result);
    }
    Ok(results)
}

async fn measure(
    tools: &Tools,
    plan: &Plan,
    result: &mut Measurement,
    progress: &mut Progress,
) -> Result<()> {
    if result.conditions.started_at.is_empty() {
        result.conditions.started_at = now()?;
    }
    for (position, planned) in plan.comparisons.iter().enumerate() {
        compare(tools, plan, position, result, progress).await?;
        let comparison = &mut result.comparisons[position];
        if let (true, Some(callgrind)) = (planned.instructions, &tools.callgrind) {
            for (case, (setup, _)) in comparison.cases.iter_mut().zip(&planned.cases) {
                progress.begins(&comparison.title, &case.label);
                count(callgrind, setup, case, progress).await;
            }
        }
        let rows = table::rows(comparison, plan.rounds);
        progress.say(&format!("{}\n\n{}", comparison.title, crate::report::text::table(&rows)));
    }
    Ok(())
}

/// Runs the cases in turn, round after round, and keeps each run as it ends.
async fn compare(
    tools: &Tools,
    plan: &Plan,
    position: usize,
    result: &mut Measurement,
    progress: &mut Progress,
) -> Result<()> {
    let before: usize = plan.comparisons[..position].iter().map(|one| one.cases.len()).sum();
    for round in 0..plan.rounds {
        for (number, (setup, times)) in plan.comparisons[position].cases.iter().enumerate() {
            let comparison = &mut result.comparisons[position];
            let case = &mut comparison.cases[number];
            if case.has_round(round) {
                continue;
            }
            if case.is_hopeless() {
                progress.passes(times.estimate());
                continue;
            }
            progress.begins(&comparison.title, &case.label);
            let place =
                Place::of(&plan.directory, plan.watched.as_deref(), (before + number, &case.label), round);
            let (is_first, begin) = (progress.is_first(), Instant::now());
            let outcome = match &plan.target {
                Some(target) => outside::run(tools, target, setup, *times, round).await,
                None => run::run(tools, setup, *times, round, &place).await,
            };
            progress.ends(
                &case.label,
                outcome.as_ref().map(|ran| progress::summary(&ran.0)),
                times.estimate(),
            );
            match outcome {
                Ok((run, platform)) => {
                    case.runs.push(run);
                    let (comparison, case) = (&*comparison, number);
                    let beside = |earlier| compare::line(earlier, comparison, &comparison.cases[case]);
                    plan.against.as_ref().and_then(beside).iter().for_each(|line| progress.say(line));
                    if result.conditions.machine.is_empty() {
                        let started_at = std::mem::take(&mut result.conditions.started_at);
                        result.conditions = Conditions { started_at, ..tools.conditions(plan, platform) };
                    }
                }
                Err(error) if is_first => return Err(error.context(case.label.clone())),
                Err(error) => case.failures.push(format!("round {}: {error:#}", round + 1)),
            }
            result.conditions.took_s += begin.elapsed().as_secs_f64();
            kept::keep(result, &plan.directory)?;
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
