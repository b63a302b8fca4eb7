//! The table: one row for each case, one column for each figure.

use super::result::{CaseResult, ComparisonResult, Run};
use crate::report::text::{BYTES_PER_MB, grouped, table};

/// Figures of the same kind that share a column: each is the median over the rounds.
struct Column {
    head: &'static str,
    of: fn(&Run) -> Vec<f64>,
    show: fn(f64) -> String,
}

const COLUMNS: [Column; 13] = [
    Column { head: "accepted/s", of: |run| vec![run.per_s(run.work.accepted)], show: whole },
    Column { head: "refused/s", of: |run| vec![run.per_s(run.work.refused)], show: whole },
    Column { head: "p50/p98/p99/max ms", of: latency, show: millis },
    Column { head: "errors", of: |run| vec![run.errors() as f64], show: whole },
    Column { head: "CPU µs/request", of: |run| vec![run.cpu_us_per_request()], show: whole },
    Column { head: "api/api/nginx/db", of: |run| services(run, |one| one.cpu_us_per_request), show: tenths },
    Column { head: "throttled %", of: |run| services(run, |one| 100.0 * one.throttled_share), show: whole },
    Column {
        head: "MB",
        of: |run| services(run, |one| one.anonymous_peak_bytes as f64 / BYTES_PER_MB as f64),
        show: whole,
    },
    Column { head: "batch", of: |run| vec![run.work.mean_batch()], show: tenths },
    Column {
        head: "lock/work µs", of: |run| vec![run.work.lock_wait_us(), run.work.work_us()], show: whole
    },
    Column {
        head: "row lock ∅/max",
        of: |run| vec![run.waits.row_lock_mean, f64::from(run.waits.row_lock_max)],
        show: tenths,
    },
    Column { head: "wal ∅", of: |run| vec![run.waits.wal_mean], show: tenths },
    Column { head: "load %", of: |run| vec![100.0 * run.load.cpu_share], show: whole },
];

/// The last column, in a table of which a case has it.
const INSTRUCTIONS: &str = "instructions";

/// One comparison as rows of text, the header first.
pub fn rows(comparison: &ComparisonResult) -> Vec<Vec<String>> {
    let header = ["case", "requests/s", "±%"].into_iter().chain(COLUMNS.iter().map(|column| column.head));
    let mut rows = vec![header.map(str::to_owned).collect::<Vec<_>>()];
    let cases: Vec<&CaseResult> = comparison.cases.iter().filter(|case| !case.runs.is_empty()).collect();
    rows.extend(cases.iter().map(|case| row(case)));
    if cases.iter().any(|case| case.instructions.is_some()) {
        let counted = cases.iter().map(|case| case.instructions.map(whole).unwrap_or_default());
        let column = std::iter::once(INSTRUCTIONS.to_owned()).chain(counted);
        rows.iter_mut().zip(column).for_each(|(row, cell)| row.push(cell));
    }
    rows
}

/// The same, aligned for a terminal.
pub fn text(comparison: &ComparisonResult) -> String {
    format!("{}\n{}", comparison.title, table(&rows(comparison)))
}

fn row(case: &CaseResult) -> Vec<String> {
    let requests = case.figure(Run::requests_per_s);
    let mark = if case.runs.iter().any(|run| run.is_limited_from_outside()) { "*" } else { "" };
    let mut cells = vec![
        case.label.clone(),
        format!("{}{mark}", whole(requests.median)),
        format!("{:.0}", 50.0 * requests.spread()),
    ];
    for column in &COLUMNS {
        let count = case.runs.first().map_or(0, |run| (column.of)(run).len());
        let median = |index: usize| case.figure(|run| (column.of)(run)[index]).median;
        let figures: Vec<String> = (0..count).map(|index| (column.show)(median(index))).collect();
        cells.push(figures.join("/"));
    }
    cells
}

fn services(run: &Run, of: fn(&super::result::ServiceRun) -> f64) -> Vec<f64> {
    run.services.iter().map(of).collect()
}

fn latency(run: &Run) -> Vec<f64> {
    let latency = run.load.outcome.latency_us;
    [latency.p50, latency.p98, latency.p99, latency.max].map(|us| us as f64 / 1000.0).to_vec()
}

fn whole(value: f64) -> String {
    grouped(value.round().max(0.0) as u64)
}

fn tenths(value: f64) -> String {
    format!("{value:.1}")
}

/// Three digits are enough.
fn millis(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}
