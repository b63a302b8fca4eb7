//! What the page and the Markdown say beside figures and pictures.

use std::collections::BTreeMap;

use super::answer::{self, Verdict};
use super::result::{ExperimentResult, Point};
use crate::report::text::grouped;

/// How the page is to be read.
pub static NOTES: [&str; 7] = [
    "Figures are medians over the valid rounds. ±\u{a0}% is half the way from the least to the most, as a share of \
     the median; the thin lines in the charts go from the least to the most.",
    "Goodput is right answers per second: 200, and 422 for a limit. Shed is answers of 503: refused at once \
     because a bound was reached. p50 and p99 are response times of right answers as k6 sees them.",
    "A run in which k6 used over 80% of its core or dropped iterations says something about k6 and not about \
     the service: it is invalid. A point without a valid run has a cross and a gap in the charts and a dash in \
     the table.",
    "Sessions are those of PostgreSQL with a call under way, on average, sampled several times a second; on row \
     lock, on WAL, on other: those of them that wait for it. A row lock is waited for by the holder's transaction or in the queue of \
     the row; WAL is the log, to be written or synced; a running session waits for nothing that PostgreSQL \
     knows of, which includes waiting for a CPU. LWLock:LockManager is the table of all locks itself, which a \
     long queue for one row keeps busy.",
    "Batch is transactions in one call. Lock, db and queue are means of a right answer inside the instances, \
     from Server-Timing: waiting for row locks; in the database, round trip and lock and work included; in \
     its mailbox.",
    "CPU is that of the four services (two instances, NGINX, PostgreSQL) for one request, shed ones included. \
     Commits are the database's own count.",
    "points.csv has a row for each run, samples.csv the sessions over time, results.json everything.",
];

/// Fewer sessions than this, on average over a series, are not worth a word.
const FEW_SESSIONS: f64 = 0.1;

/// Nor is a smaller share of them.
const SMALL_SHARE: f64 = 0.1;

/// The note that tells of files which lie beside a whole report only.
const FILES_NOTE: usize = 6;

/// The notes for a report that has no raw data beside it.
pub fn notes_without_files() -> &'static [&'static str] {
    &NOTES[..FILES_NOTE]
}

/// The answer, or why there is none.
pub fn answer(result: &ExperimentResult) -> Result<String, String> {
    answer::sentence(result).map_err(|error| format!("The answer cannot be told: {error:#}"))
}

/// A sign and a word for what became of an expectation.
pub fn outcome(verdict: &Verdict) -> &'static str {
    match verdict.held {
        Some(true) => "✓ held",
        Some(false) => "✗ not held",
        None => "? cannot be told",
    }
}

/// The conditions, as name and value.
pub fn conditions(result: &ExperimentResult) -> Vec<(&'static str, String)> {
    let c = &result.conditions;
    let stays: Vec<String> = c.stays.iter().map(|(setting, value)| format!("{setting} {value}")).collect();
    let rounds = match c.rounds {
        1 => "1 round".to_owned(),
        rounds => format!("{rounds} rounds, interleaved"),
    };
    let long_waits: u64 =
        result.points.iter().flat_map(|point| &point.runs).map(|run| run.logged_lock_waits).sum();
    let facts = [
        ("Envelope", c.envelope.clone()),
        ("The same everywhere", stays.join(", ")),
        (
            "Each run",
            format!(
                "a stack of its own, {} s of warm-up, {} s that are measured; {rounds}",
                c.warm_up_s, c.measured_s
            ),
        ),
        ("Versions", c.versions.join(", ")),
        ("Disk", c.disk.clone()),
        ("Machine", c.machine.clone()),
        ("Begun", format!("{}, took {}", c.started_at, duration(c.took_s))),
        (
            "Long lock waits",
            format!(
                "{} of more than deadlock_timeout in PostgreSQL's log, over all runs",
                grouped(long_waits)
            ),
        ),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// What the sessions of “other” waited for, series by series; nothing where next to none did.
pub fn others(result: &ExperimentResult) -> Option<String> {
    let of_series = |(series, name): (usize, &String)| {
        let points = result.points.iter().filter(|point| point.series == series);
        let runs: Vec<_> = points.flat_map(Point::valid).collect();
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
    let series: Vec<String> = result.series.values.iter().enumerate().filter_map(of_series).collect();
    (!series.is_empty()).then(|| format!("“Other” is {}.", series.join(", ")))
}

fn duration(seconds: f64) -> String {
    if seconds < 90.0 { format!("{seconds:.0} s") } else { format!("{:.0} minutes", seconds / 60.0) }
}

/// Runs that failed, and what is wrong with the books or the answers of the others: one sentence
/// each.
pub fn problems(result: &ExperimentResult) -> Vec<String> {
    let of_point = |point: &Point| {
        let name = name(result, point);
        let failures = point.failures.iter().map(|failure| format!("{name}: a run failed: {failure}"));
        let runs = point.runs.iter().flat_map(|run| {
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
    result.points.iter().flat_map(of_point).collect()
}

/// Points with runs that say nothing about the service, and why: one sentence for each point.
pub fn invalid(result: &ExperimentResult) -> Vec<String> {
    let of_point = |point: &Point| {
        let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
        for run in &point.runs {
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
        (!reasons.is_empty()).then(|| format!("{}: {}", name(result, point), reasons.join("; ")))
    };
    result.points.iter().filter_map(of_point).collect()
}

/// A point's place: `clients 1000, serial`.
fn name(result: &ExperimentResult, point: &Point) -> String {
    let label =
        |values: &[String], index: usize| values.get(index).cloned().unwrap_or_else(|| "?".to_owned());
    let (x, series) = (label(&result.x.values, point.x), label(&result.series.values, point.series));
    format!("{} {x}, {series}", result.x.label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::fixture::experiment;

    #[test]
    fn what_went_wrong_is_said_with_its_place() {
        let mut experiment = experiment();
        experiment.points[2].runs[0].wrong = 12;
        assert_eq!(
            problems(&experiment),
            [
                "clients 1, direct, round 2: the balance of client 1 is 5 cents < the sum of its rows",
                "clients 1, batched, round 1: 12 of 26,200 answers were neither right nor shed",
                "clients 1000, serial: a run failed: round 3: PostgreSQL did not start",
            ]
        );
        assert_eq!(invalid(&experiment), ["clients 1000, serial: rounds 1, 2: k6 used 93% of its core"]);
    }

    #[test]
    fn others_are_named_from_the_most_to_the_least() {
        let mut experiment = experiment();
        experiment.series.values.truncate(1);
        let said = others(&experiment).expect("there are some");
        assert_eq!(said, "“Other” is with direct LWLock:LockManager (75%) and IO:DataFileRead (20%).");
        experiment.points.clear();
        assert_eq!(others(&experiment), None);
    }

    #[test]
    fn conditions_that_are_not_known_are_left_out() {
        let mut experiment = experiment();
        let names = |result: &ExperimentResult| {
            conditions(result).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert!(names(&experiment).contains(&"Disk"));
        experiment.conditions.disk.clear();
        assert!(!names(&experiment).contains(&"Disk"));
        let said: Vec<String> = conditions(&experiment).into_iter().map(|(_, value)| value).collect();
        assert!(said.contains(&"profile durable, users 64".to_owned()), "{said:?}");
        assert!(said.contains(&"2026-01-02T03:04:05Z, took 10 minutes".to_owned()), "{said:?}");
    }

    #[test]
    fn a_template_that_does_not_fit_is_said() {
        let mut experiment = experiment();
        experiment.answer = "{goodput nobody@1}".into();
        let error = answer(&experiment).expect_err("no such series");
        assert!(error.contains("no series \"nobody\""), "{error}");
    }

    #[test]
    fn the_last_note_is_the_one_on_files() {
        assert!(NOTES[FILES_NOTE].contains("points.csv"));
        assert!(notes_without_files().iter().all(|note| !note.contains(".csv")));
    }
}
