//! What is said of a measurement with known figures.

use super::*;
use crate::measure::fixture::{bench, experiment};

#[test]
fn what_went_wrong_is_said_with_its_place() {
    let mut experiment = experiment();
    experiment.comparisons[0].cases[2].runs[0].wrong = 12;
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
    let axes = experiment.comparisons[0].axes.as_mut().expect("axes");
    axes[1].values.truncate(1);
    let said = others(&experiment.comparisons[0]).expect("there are some");
    assert_eq!(said, "“Other” is with direct LWLock:LockManager (75%) and IO:DataFileRead (20%).");
    experiment.comparisons[0].cases.clear();
    assert_eq!(others(&experiment.comparisons[0]), None);
}

#[test]
fn conditions_that_are_not_known_are_left_out() {
    let mut experiment = experiment();
    let names =
        |result: &Measurement| conditions(result).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
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
    experiment.answer = "{{ goodput('nobody', 1) }}".into();
    let error = answer(&experiment).expect_err("no such series");
    assert!(error.contains("no series \"nobody\""), "{error}");
}

#[test]
fn notes_explain_the_columns_that_are_there() {
    let explains = |result: &Measurement, head: &str| {
        notes(result).iter().any(|note| note.starts_with(&format!("{head}: ")))
    };
    let (cases, points) = (bench(&[&[("", 1_000)]]), experiment());
    assert!(explains(&cases, "throttled %") && !explains(&points, "throttled %"));
    assert!(explains(&points, "goodput/s") && !explains(&cases, "goodput/s"));
    assert!(!explains(&cases, "instructions"));
}
