//! The raw data as CSV: a row for each run, and PostgreSQL's sessions over time.

use std::borrow::Cow;

use super::figures::Metric;
use super::result::{ExperimentResult, Point, PointRun};

/// A column that every run has.
type Column = (&'static str, fn(&PointRun) -> String);

const COLUMNS: [Column; 25] = [
    ("valid", |run| run.invalid.is_none().to_string()),
    ("invalid_because", |run| run.invalid.clone().unwrap_or_default()),
    ("seconds", |run| decimal(run.seconds)),
    ("requests", |run| run.requests.to_string()),
    ("right", |run| run.right.to_string()),
    ("shed_answers", |run| run.shed.to_string()),
    ("wrong", |run| run.wrong.to_string()),
    ("dropped_iterations", |run| run.dropped.to_string()),
    ("p95", |run| decimal(run.latency_ms.p95)),
    ("latency_max_ms", |run| decimal(run.latency_ms.max)),
    ("row_lock_max", |run| run.waits.row_lock_max.to_string()),
    ("rows_per_s", |run| decimal(run.rows_per_s)),
    ("logged_lock_waits", |run| run.logged_lock_waits.to_string()),
    ("applied", |run| run.work.accepted.to_string()),
    ("refused", |run| run.work.refused.to_string()),
    ("unknown_client", |run| run.work.unknown_client.to_string()),
    ("statements", |run| run.work.statements.to_string()),
    ("calls", |run| run.work.calls.to_string()),
    ("clients_of_calls", |run| run.work.clients_of_calls.to_string()),
    ("sheds_counted", |run| run.work.sheds.to_string()),
    ("abandoned", |run| run.work.abandoned.to_string()),
    ("failed_calls", |run| run.work.failed_calls.to_string()),
    ("lock_wait_s", |run| decimal(run.work.lock_wait_s)),
    ("work_s", |run| decimal(run.work.work_s)),
    ("problems", |run| run.problems.join("; ")),
];

/// One row for each run: its place, every metric by its name, everything that was counted, and
/// each service's CPU and memory.
pub fn points(result: &ExperimentResult) -> String {
    let services = services(result);
    let of_services = services.iter().flat_map(|name| {
        ["cpu_share", "throttled_share", "memory_bytes"].map(|figure| Cow::Owned(format!("{name}_{figure}")))
    });
    let header = ["x", "series", "round"].into_iter().chain(Metric::ALL.into_iter().map(Metric::name));
    let header = header.chain(COLUMNS.iter().map(|(name, _)| *name)).map(Cow::Borrowed);
    let mut text = line(header.chain(of_services));
    for (point, run) in runs(result) {
        let metrics = Metric::ALL.into_iter().map(|metric| metric.of(run));
        let metrics = metrics.map(|value| value.map_or(String::new(), decimal));
        let columns = COLUMNS.iter().map(|(_, of)| of(run));
        let of_services = services.iter().flat_map(|name| {
            let service = run.services.iter().find(|service| service.service == *name);
            service.map_or_else(Default::default, |service| {
                let memory = service.anonymous_peak_bytes.to_string();
                [decimal(service.cpu_share), decimal(service.throttled_share), memory]
            })
        });
        let cells = metrics.chain(columns).chain(of_services).map(Cow::Owned);
        text += &line(place(result, point, run).into_iter().chain(cells));
    }
    text
}

/// One row for each look at PostgreSQL's sessions.
pub fn samples(result: &ExperimentResult) -> String {
    let header = ["x", "series", "round", "at_s", "active", "row_lock", "wal", "other", "other_events"];
    let mut text = line(header.map(Cow::Borrowed));
    for (point, run) in runs(result) {
        for sample in &run.samples {
            let counts =
                [sample.active, sample.row_lock, sample.wal, sample.other].map(|count| count.to_string());
            let events = sample.other_events.iter().map(|(event, sessions)| format!("{event} {sessions}"));
            let events = std::iter::once(events.collect::<Vec<_>>().join(" "));
            let figures = std::iter::once(format!("{:.3}", sample.at_s)).chain(counts).chain(events);
            let figures = figures.map(Cow::Owned);
            text += &line(place(result, point, run).into_iter().chain(figures));
        }
    }
    text
}

fn runs(result: &ExperimentResult) -> impl Iterator<Item = (&Point, &PointRun)> {
    result.points.iter().flat_map(|point| point.runs.iter().map(move |run| (point, run)))
}

/// The labels of x and series, and the round from 1.
fn place<'a>(result: &'a ExperimentResult, point: &Point, run: &PointRun) -> [Cow<'a, str>; 3] {
    let label =
        |values: &'a [String], index: usize| Cow::Borrowed(values.get(index).map_or("", String::as_str));
    let round = Cow::Owned((run.round + 1).to_string());
    [label(&result.x.values, point.x), label(&result.series.values, point.series), round]
}

/// The services' names, in the order in which they first appear.
fn services(result: &ExperimentResult) -> Vec<&str> {
    let mut names = Vec::new();
    for service in runs(result).flat_map(|(_, run)| &run.services) {
        if !names.contains(&service.service.as_str()) {
            names.push(&service.service);
        }
    }
    names
}

fn line<'a>(cells: impl IntoIterator<Item = Cow<'a, str>>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|cell| quoted(&cell)).collect();
    format!("{}\n", cells.join(","))
}

/// A number without the digits that nobody measured.
fn decimal(value: f64) -> String {
    ((value * 1e4).round() / 1e4).to_string()
}

/// A cell as RFC 4180 has it.
fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::fixture::experiment;

    #[test]
    fn there_is_a_row_for_each_run() {
        let experiment = experiment();
        let text = points(&experiment);
        assert_eq!(text.lines().count(), 1 + 26);
        let header: Vec<&str> = text.lines().next().expect("a header").split(',').collect();
        let row =
            |number: usize| -> Vec<&str> { text.lines().nth(number).expect("a row").split(',').collect() };
        assert!((1..=26).all(|number| row(number).len() == header.len()), "{text}");
        let column = |name: &str| header.iter().position(|own| *own == name).expect(name);
        assert_eq!(row(1)[..3], ["1", "direct", "1"]);
        assert_eq!(row(1)[column("goodput")], "290");
        assert_eq!(row(1)[column("db_cpu_share")], "0.25");
        let invalid = text.lines().find(|line| line.starts_with("1000,serial,1")).expect("the invalid run");
        let invalid: Vec<&str> = invalid.split(',').collect();
        assert_eq!(
            (invalid[column("valid")], invalid[column("invalid_because")]),
            ("false", "k6 used 93% of its core")
        );
        let names: std::collections::BTreeSet<&str> = header.iter().copied().collect();
        assert_eq!(names.len(), header.len(), "two columns have the same name");
    }

    #[test]
    fn there_is_a_row_for_each_sample() {
        let mut experiment = experiment();
        let sample = &mut experiment.points[0].runs[0].samples[1];
        sample.other = 3;
        sample.other_events = [("LWLock:LockManager".into(), 2), ("IO:DataFileRead".into(), 1)].into();
        let text = samples(&experiment);
        assert_eq!(text.lines().count(), 1 + 26 * 2);
        let expected = "1,direct,1,0.200,8,5,1,3,IO:DataFileRead 1 LWLock:LockManager 2";
        assert_eq!(text.lines().nth(2), Some(expected));
    }

    #[test]
    fn commas_and_quotes_end_no_cell() {
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("say \"a\""), "\"say \"\"a\"\"\"");
        assert_eq!(quoted("plain"), "plain");
    }
}
