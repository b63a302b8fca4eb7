//! What a report says beside figures and pictures.

use std::collections::BTreeMap;

use super::figures::{FIGURES, Tables};
use super::formula::{self, Verdict};
use super::result::{Case, Comparison, Measurement};
use super::table;
use crate::report::text::grouped;

/// How medians are to be read.
const MEDIANS: &str = "Figures are medians over the valid rounds. ±\u{a0}% is half the way from the least to the most, \
                       as a share of the median; the thin lines in the charts go from the least to the most. \
                       What is expected holds where the 95% interval of the rounds’ mean (Student’s t) is all on one \
                       side; the rounds of all cases are run in turn and compared with each other.";

/// When a run is invalid.
const INVALID: &str = "A run in which k6 used over 80% of its core or dropped iterations, or of which the services told \
                       their counts too late, says something of how it was measured and not of the service: it is \
                       invalid. A case without a valid run has a cross and a gap in the \
                       charts and a dash in the table.";

/// Fewer sessions than this, on average over a series, are not worth a word.
const FEW_SESSIONS: f64 = 0.1;

/// Nor is a smaller share of them.
const SMALL_SHARE: f64 = 0.1;

/// Returns how the report is to be read: the figures that its tables have come from their own table.
pub fn notes(result: &Measurement) -> Vec<String> {
    let mut notes = vec![MEDIANS.to_owned()];
    let columns: Vec<_> = result.comparisons.iter().flat_map(table::columns).flatten().collect();
    let shown = FIGURES.iter().filter(|figure| columns.iter().any(|column| column.name == figure.name));
    let explained = shown.filter(|figure| figure.tables != Tables::Neither && !figure.doc.is_empty());
    notes.extend(explained.map(|figure| format!("{}: {}.", figure.heading, figure.doc)));
    notes.push(INVALID.to_owned());
    notes
}

/// Returns the answer, or why there is none.
///
/// # Errors
/// The reason.
pub fn answer(result: &Measurement) -> Result<String, String> {
    formula::answer(result).map_err(|error| format!("The answer cannot be told: {error:#}"))
}

/// Returns what became of the expectations. Of goals beside several comparisons, those for which nothing
/// was measured are left out.
pub fn verdicts(result: &Measurement) -> Vec<Verdict> {
    let all = formula::verdicts(result).into_iter();
    all.filter(|verdict| !result.question.is_empty() || verdict.held.is_some() || !verdict.doubt.is_empty())
        .collect()
}

/// Returns a sign and a word for what became of an expectation, and what is to be said of that.
pub fn outcome(verdict: &Verdict) -> String {
    let word = match (verdict.held, verdict.goal.starts_with(['>', '<'])) {
        (Some(true), true) => "✓ held",
        (Some(false), true) => "✗ not held",
        (Some(true), false) => "met",
        (Some(false), false) => "missed",
        (None, _) => "? cannot be told",
    };
    if verdict.doubt.is_empty() { word.to_owned() } else { format!("{word} ({})", verdict.doubt) }
}

/// Returns the goals as rows of text, the header first; empty where none was judged.
pub fn goals(result: &Measurement) -> Vec<Vec<String>> {
    let rows: Vec<Vec<String>> = verdicts(result)
        .iter()
        .map(|one| vec![one.says.clone(), one.measured.clone(), one.goal.clone(), outcome(one)])
        .collect();
    let header = ["what", "measured", "goal", ""].map(str::to_owned).to_vec();
    if rows.is_empty() { rows } else { std::iter::once(header).chain(rows).collect() }
}

/// Returns the conditions, as name and value; what is not known is left out.
pub fn conditions(result: &Measurement) -> Vec<(&'static str, String)> {
    let c = &result.conditions;
    let base: Vec<String> = c
        .base
        .iter()
        .filter(|pair| result.varies(pair))
        .map(|(key, value)| format!("{key} {value}"))
        .collect();
    let rounds = match c.rounds {
        1 => "1 round".to_owned(),
        rounds => format!("{rounds} rounds, interleaved"),
    };
    let outside = result.cases().any(|(_, case)| case.runs.iter().any(|run| run.outside));
    let own = if outside { "" } else { "a stack of its own, " };
    let long_waits: u64 =
        result.cases().flat_map(|(_, case)| &case.runs).map(|run| run.logged_lock_waits).sum();
    let long_waits =
        format!("{} of more than deadlock_timeout in PostgreSQL's log, over all runs", grouped(long_waits));
    // Elsewhere the server is not told to log them.
    let is_logged = result.comparisons.iter().any(|comparison| comparison.axes.is_some());
    let facts = [
        ("Envelope", c.envelope.clone()),
        ("Where a case does not say otherwise", base.join(", ")),
        (
            "Each run",
            format!("{own}{} s of warm-up, {} s that are measured; {rounds}", c.warm_up_s, c.measured_s),
        ),
        ("Versions", c.versions.join(", ")),
        ("Commit", c.commit.clone()),
        ("Disk", c.disk.clone()),
        ("Machine", c.machine.clone()),
        ("Begun", format!("{}, took {}", c.started_at, duration(c.took_s))),
        ("Long lock waits", if is_logged { long_waits } else { String::new() }),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

impl Measurement {
    /// Returns whether a setting of the base tells something: on two axes, what every case sets anew does
    /// not.
    fn varies(&self, setting: &(String, String)) -> bool {
        let on_axes = self.comparisons.iter().any(|comparison| comparison.axes.is_some());
        !on_axes || self.cases().all(|(_, case)| case.settings.contains(setting))
    }
}

fn duration(seconds: f64) -> String {
    if seconds < 90.0 { format!("{seconds:.0} s") } else { format!("{:.0} minutes", seconds / 60.0) }
}

/// Returns what the sessions of “other” waited for, series by series; nothing where next to none did.
pub fn others(comparison: &Comparison) -> Option<String> {
    let [_, names] = comparison.axes.as_ref()?;
    let of_series = |(series, name): (usize, &String)| {
        let cases = comparison.cases.iter().skip(series).step_by(names.values.len());
        let runs: Vec<_> = cases.flat_map(Case::valid).collect();
        let mut events: BTreeMap<&str, f64> = BTreeMap::new();
        for (event, sessions) in runs.iter().flat_map(|run| &run.waits.other_events) {
            *events.entry(event).or_default() += sessions / runs.len() as f64;
        }
        let all: f64 = events.values().sum();
        let mut events: Vec<_> = events.into_iter().filter(|(_, one)| *one >= SMALL_SHARE * all).collect();
        events.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        let shares = events.iter().map(|(event, one)| format!("{event} ({:.0}%)", 100.0 * one / all));
        (all >= FEW_SESSIONS).then(|| format!("with {name} {}", shares.collect::<Vec<_>>().join(" and ")))
    };
    let series: Vec<String> = names.values.iter().enumerate().filter_map(of_series).collect();
    (!series.is_empty()).then(|| format!("“Other” is {}.", series.join(", ")))
}

/// Returns runs that failed, and what is wrong with the books or the answers of the others: one sentence
/// each.
pub fn problems(result: &Measurement) -> Vec<String> {
    let of_case = |(_, case): (&Comparison, &Case)| {
        let name = place(case);
        let failures = case.failures.iter().map(|failure| format!("{name}: a run failed: {failure}"));
        let runs = case.runs.iter().flat_map(|run| {
            let of_run = format!("{name}, round {}", run.round + 1);
            let wrong = (run.wrong > 0).then(|| {
                let wrong = grouped(run.wrong);
                format!("{of_run}: {wrong} of {} answers were neither right nor shed", grouped(run.requests))
            });
            let problems = run.problems.iter().map(|problem| format!("{of_run}: {problem}"));
            wrong.into_iter().chain(problems).collect::<Vec<_>>()
        });
        failures.chain(runs).collect::<Vec<_>>()
    };
    result.cases().flat_map(of_case).collect()
}

/// Returns cases with runs that say nothing about the service, and why: one sentence for each case.
pub fn invalid(result: &Measurement) -> Vec<String> {
    let of_case = |(_, case): (&Comparison, &Case)| {
        let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
        for run in &case.runs {
            let Some(reason) = run.invalid.as_deref() else { continue };
            let round = (run.round + 1).to_string();
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, rounds)) => rounds.push(round),
                None => reasons.push((reason, vec![round])),
            }
        }
        let reasons = reasons.into_iter().map(|(reason, rounds)| {
            let rounds_are = if rounds.len() == 1 { "round" } else { "rounds" };
            format!("{rounds_are} {}: {reason}", rounds.join(", "))
        });
        let reasons: Vec<String> = reasons.collect();
        (!reasons.is_empty()).then(|| format!("{}: {}", place(case), reasons.join("; ")))
    };
    result.cases().filter_map(of_case).collect()
}

/// Returns a case's place in a sentence: `clients 1000, serial`.
fn place(case: &Case) -> String {
    case.label.replace(" · ", ", ")
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
