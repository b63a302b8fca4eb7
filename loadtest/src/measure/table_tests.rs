//! The tables and CSV files of measurements with known figures.

use std::collections::BTreeSet;

use super::*;
use crate::latency::ClientShare;
use crate::measure::fixture::{bench, experiment};

fn of_experiment() -> Vec<Vec<String>> {
    rows(&experiment().comparisons[0], 3)
}

#[test]
fn a_row_has_the_medians_of_its_point() {
    let rows = of_experiment();
    assert_eq!(rows.len(), 1 + 9);
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{rows:?}");
    assert_eq!(rows[3][..5], ["1", "batched", "2,610", "2", "3.8/13/15/38"]);
    let column = |head: &str| rows[0].iter().position(|own| own == head).expect(head);
    assert_eq!(rows[1][column("row lock ∅/max")], "30.0/60.0");
    assert_eq!(rows[1][column("lock ms")], "1.5");
    assert_eq!(rows[1][column("valid rounds")], "3 of 3");
}

#[test]
fn a_point_without_valid_runs_has_no_figures() {
    let rows = of_experiment();
    let row = &rows[8];
    assert_eq!(row[..2], ["1000", "serial"]);
    assert!(row[2..row.len() - 1].iter().all(|cell| cell == NONE), "{row:?}");
    assert_eq!(row[row.len() - 1], "0 of 3");
}

#[test]
fn every_figure_has_a_column_where_it_is_to_be() {
    let (mut cases, mut points) = (bench(&[&[("", 5_000)]]), experiment());
    for run in cases.comparisons.iter_mut().flat_map(|one| &mut one.cases).flat_map(|case| &mut case.runs) {
        run.work.calls = 1;
        run.unwell_s = Some(0.5);
    }
    for run in points.comparisons.iter_mut().flat_map(|one| &mut one.cases).flat_map(|case| &mut case.runs) {
        run.each = vec![ClientShare { client: 2, asked: 2, right: 1, p99_ms: Some(3.0) }];
    }
    let csv = csv_of_runs(&points);
    let named = csv.lines().next().expect("a header").split(',').collect::<BTreeSet<&str>>();
    for figure in FIGURES {
        let has = |result: &Measurement| {
            columns(&result.comparisons[0]).iter().flatten().any(|own| own.name == figure.name)
        };
        let (in_cases, in_points) = match figure.tables {
            Tables::Every => (has(&cases), has(&points)),
            Tables::Cases => (has(&cases), !has(&points)),
            Tables::Points => (!has(&cases), has(&points)),
            Tables::Neither => (!has(&cases), !has(&points)),
        };
        // Known where it was counted, or where nothing else is.
        let at_times = ["instructions", "status_400"].contains(&figure.name);
        assert!(at_times || in_cases && in_points, "{}: {in_cases}, {in_points}", figure.name);
        let name = match figure.value {
            Value::OfRun(_) => figure.name.to_owned(),
            Value::OfService(_) => format!("db_{}", figure.name),
            Value::OfClient(_) => continue,
        };
        assert!(named.contains(name.as_str()), "{name} has no column in {named:?}");
    }
}

#[test]
fn instructions_have_a_column_where_they_were_counted() {
    let mut result = bench(&[&[("", 5_000)]]);
    assert!(!rows(&result.comparisons[0], 2)[0].contains(&"instructions".to_owned()));
    result.comparisons[0].cases[0].runs[0].instructions = Some(94_631.0);
    let rows = rows(&result.comparisons[0], 2);
    let at = rows[0].iter().position(|head| head == "instructions").expect("a column");
    assert_eq!(rows[1][at], "94,631");
}

#[test]
fn a_star_says_that_something_else_may_have_set_the_pace() {
    let mut result = bench(&[&[("", 5_000)]]);
    result.comparisons[0].cases[0].runs[1].limited_from_outside = true;
    assert_eq!(rows(&result.comparisons[0], 2)[1][1], "5,000*");
}

#[test]
fn the_parts_of_the_time_add_up() {
    let rows = spent(&experiment().comparisons[0]);
    assert_eq!(rows[0].len(), rows[1].len());
    // 2 + 0.25 + 1.5 + 0.5 + (3 - 1.5 - 0.5)
    assert_eq!(rows[1], ["1", "direct", "2", "0.25", "1.5", "0.5", "1", "5.25"]);
    assert_eq!(rows.len(), 1 + 8, "the point without valid runs has no row");
}

#[test]
fn without_server_timing_there_is_no_such_table() {
    let mut comparison = experiment().comparisons.remove(0);
    let runs = comparison.cases.iter_mut().flat_map(|case| &mut case.runs);
    runs.for_each(|run| run.spent_ms = Default::default());
    assert_eq!(spent(&comparison), Vec::<Vec<String>>::new());
}

#[test]
fn there_is_a_row_for_each_run() {
    let text = csv_of_runs(&experiment());
    assert_eq!(text.lines().count(), 1 + 26);
    let header: Vec<&str> = text.lines().next().expect("a header").split(',').collect();
    let row = |number: usize| -> Vec<&str> { text.lines().nth(number).expect("a row").split(',').collect() };
    assert!((1..=26).all(|number| row(number).len() == header.len()), "{text}");
    let column = |name: &str| header.iter().position(|own| *own == name).expect(name);
    assert_eq!(row(1)[1..4], ["1", "direct", "1"]);
    assert_eq!(row(1)[column("goodput")], "290");
    assert_eq!(row(1)[column("db_cpu_share")], "0.25");
    let invalid = text.lines().find(|line| line.contains(",1000,serial,1")).expect("the invalid run");
    let invalid: Vec<&str> = invalid.split(',').collect();
    assert_eq!(
        (invalid[column("valid")], invalid[column("invalid_because")]),
        ("false", "k6 used 93% of its core")
    );
    let names: BTreeSet<&str> = header.iter().copied().collect();
    assert_eq!(names.len(), header.len(), "two columns have the same name");
}

#[test]
fn there_is_a_row_for_each_sample() {
    let mut experiment = experiment();
    let sample = &mut experiment.comparisons[0].cases[0].runs[0].samples[1];
    sample.other = 3;
    sample.other_events = [("LWLock:LockManager".into(), 2), ("IO:DataFileRead".into(), 1)].into();
    let text = csv_of_samples(&experiment);
    assert_eq!(text.lines().count(), 1 + 26 * 2);
    let expected = "Figures,1,direct,1,0.200,8,5,1,3,IO:DataFileRead 1 LWLock:LockManager 2";
    assert_eq!(text.lines().nth(2), Some(expected));
}

#[test]
fn commas_and_quotes_end_no_cell() {
    assert_eq!(quoted("a,b"), "\"a,b\"");
    assert_eq!(quoted("say \"a\""), "\"say \"\"a\"\"\"");
    assert_eq!(quoted("plain"), "plain");
}
