//! What the figures of known runs are, and that none is forgotten.

use std::collections::BTreeSet;

use super::*;
use crate::measure::fixture::{experiment, run};

fn told(name: &str, run: &Run) -> Option<f64> {
    Figure::of_run(name).unwrap_or_else(|| panic!("no {name}")).values(run).first().copied()
}

#[test]
fn every_figure_has_a_name_of_its_own_and_is_explained() {
    let names: BTreeSet<&str> = FIGURES.iter().map(|figure| figure.name).collect();
    assert_eq!(names.len(), FIGURES.len());
    let mut explained = BTreeSet::new();
    for figure in FIGURES {
        if !figure.doc.is_empty() {
            explained.insert(figure.heading);
        }
        let head = figure.heading;
        assert!(explained.contains(head), "nobody explains {head}");
        assert!(!figure.doc.ends_with('.'), "{}: the notes end the sentence", figure.name);
    }
    assert!(Figure::of_run("speed").is_none());
}

#[test]
fn a_figure_is_of_the_valid_runs() {
    let mut case = experiment().comparisons[0].cases[0].clone();
    case.runs = [300.0, 100.0, 200.0, 9_000.0].map(run).into();
    case.runs[3].invalid = Some("k6 dropped 3 iterations".into());
    let figure = case.figure("goodput").expect("three valid runs");
    assert_eq!(figure, Spread { median: 200.0, least: 100.0, most: 300.0 });
    case.runs.iter_mut().for_each(|run| run.invalid = Some("no".into()));
    assert_eq!(case.figure("goodput"), None);
}

#[test]
fn every_figure_is_told_in_its_unit() {
    let run = run(1_000.0);
    let expected = [
        ("goodput", 1_000.0),
        ("shed", 10.0),
        ("p50", 10.0),
        ("p99", 40.0),
        ("active", 8.0),
        ("running", 2.0),
        ("lock_waiters", 4.0),
        ("wal_waiters", 1.5),
        ("other_waiters", 0.5),
        ("batch", 4.0),
        ("queue_ms", 2.0),
        ("connection_ms", 0.25),
        ("db_ms", 3.0),
        ("lock_ms", 1.5),
        ("work_ms", 0.5),
        ("commits", 250.0),
        ("cpu_us", 1.0 / 1_010.0 * 1e6),
        ("load_percent", 50.0),
    ];
    for (name, value) in expected {
        let told = told(name, &run).unwrap_or(f64::NAN);
        assert!((told - value).abs() < 1e-6, "{name}: {told} is not {value}");
    }
}

#[test]
fn what_is_not_known_is_no_zero() {
    let none = Run { seconds: 10.0, ..Run::default() };
    for name in ["p99", "batch", "db_ms", "cpu_us"] {
        assert_eq!(told(name, &none), None, "{name}");
    }
    assert_eq!(told("goodput", &none), Some(0.0));
    assert_eq!(told("goodput", &Run::default()), None);
}

#[test]
fn a_figure_has_a_median_and_a_spread() {
    let figure = Spread::of(vec![30.0, 10.0, 20.0]);
    assert_eq!(figure, Spread { median: 20.0, least: 10.0, most: 30.0 });
    assert_eq!(figure.percent(), 50.0);
    assert_eq!(Spread::of(vec![4.0, 2.0]).median, 3.0);
    assert_eq!(Spread::of(Vec::new()), Spread::default());
    assert_eq!(Spread::of(vec![0.0]).percent(), 0.0);
}
