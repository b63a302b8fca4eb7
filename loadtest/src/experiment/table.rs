//! An experiment's figures as rows of text, for the page and for Markdown.

use super::figures::Metric;
use super::result::{ExperimentResult, Point};
use crate::report::text::{grouped, significant};

/// Where there is no valid figure, or none can be.
const NONE: &str = "–";

/// One figure: its column's head, what it is, how it is shown.
type Column = (&'static str, Metric, fn(f64) -> String);

const COLUMNS: [Column; 14] = [
    ("p50 ms", Metric::P50, significant),
    ("p99 ms", Metric::P99, significant),
    ("shed/s", Metric::Shed, whole),
    ("batch", Metric::Batch, tenths),
    ("sessions", Metric::Active, tenths),
    ("on row lock", Metric::LockWaiters, tenths),
    ("on WAL", Metric::WalWaiters, tenths),
    ("on other", Metric::OtherWaiters, tenths),
    ("lock ms", Metric::LockMs, significant),
    ("db ms", Metric::DbMs, significant),
    ("queue ms", Metric::QueueMs, significant),
    ("commits/s", Metric::Commits, whole),
    ("CPU µs/req", Metric::CpuUs, whole),
    ("k6 core %", Metric::K6Percent, whole),
];

const SPENT: [Column; 4] = [
    ("queue", Metric::QueueMs, significant),
    ("connection", Metric::ConnectionMs, significant),
    ("lock", Metric::LockMs, significant),
    ("work", Metric::WorkMs, significant),
];

/// One row for each x with each series, the header first.
pub fn rows(result: &ExperimentResult) -> Vec<Vec<String>> {
    let header = [&result.x.label, &result.series.label].map(String::as_str);
    let header = header.into_iter().chain(["goodput/s", "±\u{a0}%"]);
    let header = header.chain(COLUMNS.iter().map(|(head, ..)| *head)).chain(["valid rounds"]);
    let mut rows = vec![header.map(str::to_owned).collect::<Vec<_>>()];
    rows.extend(places(result).map(|(x, series)| {
        let none = Point::default();
        let point = result.point(x, series).unwrap_or(&none);
        let goodput = point.figure(Metric::Goodput);
        let spread = goodput.map_or(NONE.to_owned(), |figure| format!("{:.0}", 50.0 * figure.spread()));
        let goodput = goodput.map_or(NONE.to_owned(), |figure| whole(figure.median));
        let figures = COLUMNS.iter().map(|column| cell(point, column));
        let valid = format!("{} of {}", point.valid().count(), result.conditions.rounds);
        names(result, x, series).into_iter().chain([goodput, spread]).chain(figures).chain([valid]).collect()
    }));
    rows
}

/// Where the time of a right answer went inside the instances, in milliseconds; the header first.
/// `None` where nothing is known of it.
pub fn spent(result: &ExperimentResult) -> Option<Vec<Vec<String>>> {
    let header = [&result.x.label, &result.series.label].map(String::as_str);
    let header = header.into_iter().chain(SPENT.iter().map(|(head, ..)| *head));
    let header = header.chain(["rest of the database", "all"]).map(|head| head.replace("queue", "queue, ms"));
    let rows = places(result).filter_map(|(x, series)| {
        let point = result.point(x, series)?;
        let median = |metric| Some(point.figure(metric)?.median);
        let database = median(Metric::DbMs)?;
        let rest = (database - median(Metric::LockMs)? - median(Metric::WorkMs)?).max(0.0);
        let all = median(Metric::QueueMs)? + median(Metric::ConnectionMs)? + database;
        let figures = SPENT.iter().map(|column| cell(point, column));
        Some(
            names(result, x, series).into_iter().chain(figures).chain([rest, all].map(significant)).collect(),
        )
    });
    let rows: Vec<Vec<String>> = rows.collect();
    (!rows.is_empty()).then(|| std::iter::once(header.collect()).chain(rows).collect())
}

/// All indices of x and series, in order.
pub(super) fn places(result: &ExperimentResult) -> impl Iterator<Item = (usize, usize)> {
    let series = result.series.values.len();
    (0..result.x.values.len()).flat_map(move |x| (0..series).map(move |series| (x, series)))
}

fn names(result: &ExperimentResult, x: usize, series: usize) -> [String; 2] {
    [result.x.values[x].clone(), result.series.values[series].clone()]
}

fn cell(point: &Point, (_, metric, show): &Column) -> String {
    point.figure(*metric).map_or(NONE.to_owned(), |figure| show(figure.median))
}

fn whole(value: f64) -> String {
    grouped(value.round().max(0.0) as u64)
}

fn tenths(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::fixture::experiment;

    #[test]
    fn a_row_has_the_medians_of_its_point() {
        let rows = rows(&experiment());
        assert_eq!(rows.len(), 1 + 9);
        assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{rows:?}");
        assert_eq!(rows[3][..6], ["1", "batched", "2,610", "2", "3.83", "15.3"]);
        let column = |head: &str| rows[0].iter().position(|own| own == head).expect(head);
        assert_eq!(rows[1][column("on row lock")], "30.0");
        assert_eq!(rows[1][column("lock ms")], "1.5");
        assert_eq!(rows[1][column("valid rounds")], "3 of 3");
    }

    #[test]
    fn a_point_without_valid_runs_has_no_figures() {
        let rows = rows(&experiment());
        let row = &rows[8];
        assert_eq!(row[..2], ["1000", "serial"]);
        assert!(row[2..row.len() - 1].iter().all(|cell| cell == NONE), "{row:?}");
        assert_eq!(row[row.len() - 1], "0 of 3");
    }

    #[test]
    fn the_parts_of_the_time_add_up() {
        let rows = spent(&experiment()).expect("Server-Timing");
        assert_eq!(rows[0].len(), rows[1].len());
        // 2 + 0.25 + 1.5 + 0.5 + (3 - 1.5 - 0.5)
        assert_eq!(rows[1], ["1", "direct", "2", "0.25", "1.5", "0.5", "1", "5.25"]);
        assert_eq!(rows.len(), 1 + 8, "the point without valid runs has no row");
    }

    #[test]
    fn without_server_timing_there_is_no_such_table() {
        let mut experiment = experiment();
        let runs = experiment.points.iter_mut().flat_map(|point| &mut point.runs);
        runs.for_each(|run| run.spent_ms = Default::default());
        assert_eq!(spent(&experiment), None);
    }
}
