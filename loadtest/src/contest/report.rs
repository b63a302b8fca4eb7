//! A run's outcome: Markdown and a page with charts, text for a terminal, JSON for programs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use minijinja::context;

use super::costs::ServiceCost;
use super::live::Second;
use super::plan::Operation;
use super::result::{Conditions, ContestResult};
use super::score::{Tally, usd};
use crate::files::save;
use crate::latency::Latency;
use crate::report::document::{self, Chart, Picture, SUM};
use crate::report::lines::{Axis, Line, LineChart, Scale};
use crate::report::text::{BYTES_PER_MB, grouped, markdown_table, megabytes, table};
use crate::stalls::Stalls;

/// The report's words, and those of a terminal.
const PAGE: &str = include_str!("../../templates/contest.md");
const TEXT: &str = include_str!("../../templates/contest.txt");

/// Writes `result.json`, `report.md` with its pictures and `report.html` into `directory`, which is made if it
/// is missing, and returns the path of the page.
///
/// # Errors
/// When they cannot be drawn or written.
pub fn write(result: &ContestResult, directory: &Path) -> Result<PathBuf> {
    let json = serde_json::to_string_pretty(result).context("cannot express the result as JSON")?;
    save(&directory.join("result.json"), &format!("{json}\n"))?;
    let markdown = document::render(PAGE, words(result, |rows| markdown_table(rows, 1)))?;
    document::write(directory, &markdown, &pictures(result))
}

/// Returns the whole outcome for a terminal.
///
/// # Errors
/// When the template does not fit, which a test rules out.
pub fn text(result: &ContestResult) -> Result<String> {
    document::render(TEXT, words(result, table))
}

/// Returns what the templates say, its tables drawn by `table`.
fn words(result: &ContestResult, table: impl Fn(&[Vec<String>]) -> String) -> minijinja::Value {
    let ContestResult { conditions, score, summary, problems, .. } = result;
    let tally = summary.tally();
    let stack = conditions.stack.as_ref();
    let failures: Vec<String> =
        summary.failures.iter().map(|one| format!("{} × {}", grouped(one.count), one.what)).collect();
    let services = match &result.services[..] {
        [] => String::new(),
        costs => table(&services(costs, tally.total())),
    };
    context! {
        title => title(conditions),
        score => usd(score.prize_cents),
        said => format!(
            "{:.2}% right and within 250 ms, fined {}; {} inconsistent, fined {}",
            score.right_and_fast_percent,
            usd(score.sla_fine_cents),
            grouped(tally.inconsistent),
            usd(score.inconsistency_fine_cents)
        ),
        books => books(result).into_iter().collect::<Vec<_>>(),
        caveat => stack.and_then(|stack| stack.caveat.clone()).into_iter().collect::<Vec<_>>(),
        problems,
        failures,
        responses => table(&operations(result)),
        services,
        slow => result.stalls.as_ref().map(Stalls::summary),
        stalls => result.stalls.iter().flat_map(|stalls| stalls.lines()).collect::<Vec<_>>(),
        charts => document::described(&pictures(result)),
        started_at => conditions.started_at,
        url => conditions.url,
        ready => format!("{:.1} s", conditions.ready_s),
        k6 => conditions.k6,
        k6_cpu => format!("{:.1} s", result.k6_cpu_s),
        cpus => conditions.machine_cpus,
        disk => stack.map(|stack| &stack.disk),
    }
}

/// Returns the conditions of a run in one line.
fn title(conditions: &Conditions) -> String {
    let Some(stack) = &conditions.stack else { return format!("The contest against {}", conditions.url) };
    let limits = if stack.envelope { "limits enforced" } else { "limits not enforced" };
    format!(
        "The contest: {}, {}, {}, CPUs {}, {limits}",
        stack.mode, stack.profile, stack.balancing, stack.cpus
    )
}

/// Returns one row for each kind of request and one for all.
fn operations(result: &ContestResult) -> Vec<Vec<String>> {
    let header = ["requests", "right", "slow", "wrong", "inconsistent", "p50", "p98", "p99", "max"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for &operation in Operation::ALL {
        let outcome = result.summary.operations.get(&operation).copied().unwrap_or_default();
        rows.push(responses(operation.name(), &outcome.tally, &outcome.response_time_ms));
    }
    rows.push(responses(SUM, &result.summary.tally(), &result.summary.response_time_ms));
    rows
}

fn responses(name: &str, tally: &Tally, times: &Latency) -> Vec<String> {
    let counts = [tally.right, tally.slow, tally.wrong, tally.inconsistent].map(grouped);
    let times = [times.p50, times.p98, times.p99, times.max].map(|ms| format!("{ms:.1} ms"));
    [vec![name.to_owned()], counts.to_vec(), times.to_vec()].concat()
}

/// Returns one row for each service and one for the stack. `requests` are those of the whole run.
pub(crate) fn services(costs: &[ServiceCost], requests: u64) -> Vec<Vec<String>> {
    let header =
        ["service", "CPU", "per request", "throttled", "anonymous", "shared", "page cache", "limits"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(costs.iter().map(|cost| service(cost, requests)));
    rows.push(service(&sum(costs), requests));
    rows
}

fn service(cost: &ServiceCost, requests: u64) -> Vec<String> {
    let per_request = if requests == 0 { 0.0 } else { cost.cpu_s * 1e6 / requests as f64 };
    let limits = match (cost.cpu_limit, cost.memory_limit_bytes) {
        (Some(cpus), Some(memory)) => format!("{cpus:.2} CPU, {} MB", memory / BYTES_PER_MB),
        (Some(cpus), None) => format!("{cpus:.2} CPU"),
        (None, Some(memory)) => format!("{} MB", memory / BYTES_PER_MB),
        (None, None) => "none".to_owned(),
    };
    vec![
        cost.service.clone(),
        format!("{:.2} s", cost.cpu_s),
        format!("{per_request:.0} µs"),
        format!("{:.2} s", cost.throttled_s),
        megabytes(cost.anonymous_peak_bytes),
        megabytes(cost.shared_peak_bytes),
        megabytes(cost.cache_peak_bytes),
        limits,
    ]
}

/// Returns the stack as if it were one service. Peaks need not be of one moment: their sum is a bound.
fn sum(costs: &[ServiceCost]) -> ServiceCost {
    let all = |of: fn(&ServiceCost) -> u64| costs.iter().map(of).sum();
    ServiceCost {
        service: SUM.to_owned(),
        cpu_s: costs.iter().map(|cost| cost.cpu_s).sum(),
        throttled_s: costs.iter().map(|cost| cost.throttled_s).sum(),
        anonymous_peak_bytes: all(|cost| cost.anonymous_peak_bytes),
        shared_peak_bytes: all(|cost| cost.shared_peak_bytes),
        cache_peak_bytes: all(|cost| cost.cache_peak_bytes),
        oom_kills: all(|cost| cost.oom_kills),
        cpu_limit: costs.iter().map(|cost| cost.cpu_limit).sum(),
        memory_limit_bytes: costs.iter().map(|cost| cost.memory_limit_bytes).sum(),
    }
}

/// Returns what the database said, or `None` where it was not asked.
fn books(result: &ContestResult) -> Option<String> {
    let audit = result.books.as_ref()?;
    let sums = match audit.books.faults.len() {
        0 => "each balance is the sum of its rows".to_owned(),
        faults => format!("{} balances are wrong", grouped(faults as u64)),
    };
    Some(format!(
        "{} clients, {} rows for {} acknowledged transactions; {sums}",
        grouped(audit.books.clients),
        grouped(audit.new_rows),
        grouped(result.summary.acknowledged)
    ))
}

/// Returns the pictures of a run that has been seen.
fn pictures(result: &ContestResult) -> Vec<Picture<'_>> {
    if result.timeline.is_empty() {
        return Vec::new();
    }
    let picture =
        |file, title, chart| Picture { file, title, note: String::new(), chart: Chart::Lines(chart) };
    vec![
        picture("distribution.svg", "How the response times are distributed", distribution(result)),
        picture("times.svg", "Response times over the run", times(result)),
        picture("rates.svg", "Responses per second", rates(result)),
    ]
}

fn distribution(result: &ContestResult) -> LineChart<'static> {
    let lines = result.curves.iter().map(|(operation, curve)| {
        // The slowest of all is in the table; its place among the nines is unknown.
        let points = curve.iter().filter(|point| point.percent < 100.0);
        Line { name: operation.name(), points: points.map(|point| (point.percent, point.ms)).collect() }
    });
    LineChart {
        description: "Response time in milliseconds by percentile, for each kind of request",
        x: Axis { label: "percent of the responses that took at most", scale: Scale::Nines },
        y: Axis { label: "milliseconds", scale: Scale::Logarithmic },
        lines: lines.collect(),
    }
}

fn times(result: &ContestResult) -> LineChart<'static> {
    let line = |name, of: fn(&Second) -> f64| Line {
        name,
        points: result.timeline.iter().map(|second| (second.second as f64, of(second))).collect(),
    };
    LineChart {
        description: "Median, 99th percentile and maximum of the response times of each second",
        x: Axis { label: "seconds", scale: Scale::Linear },
        y: Axis { label: "milliseconds", scale: Scale::Logarithmic },
        lines: vec![
            line("median", |second| second.p50_ms),
            line("p99", |second| second.p99_ms),
            line("max", |second| second.max_ms),
        ],
    }
}

fn rates(result: &ContestResult) -> LineChart<'static> {
    let line = |operation: Operation| Line {
        name: operation.name(),
        points: result
            .timeline
            .iter()
            .map(|second| {
                (second.second as f64, second.responses.get(&operation).copied().unwrap_or(0) as f64)
            })
            .collect(),
    };
    LineChart {
        description: "Responses per second of the open load, for each kind of request",
        x: Axis { label: "seconds", scale: Scale::Linear },
        y: Axis { label: "responses per second", scale: Scale::Linear },
        lines: [Operation::Debits, Operation::Credits, Operation::Statements].map(line).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contest::result::tests::flawless;
    use testbed::rundir::RunDir;

    #[test]
    fn a_run_fits_a_page_of_text() {
        let text = text(&flawless()).expect("text");
        for part in
            ["debits", "39,660", "3.4 ms", "61,503", "45,000 rows for 45,000", "Score: USD 100,000.00"]
        {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
    }

    #[test]
    fn the_page_stands_by_itself() {
        let mut result = flawless();
        result.problems.push("5 < 6 & so on".into());
        result.timeline = (0..20)
            .map(|second| Second {
                second,
                responses: [(Operation::Debits, 10 * second)].into(),
                not_right: 0,
                p50_ms: 1.0,
                p99_ms: 2.5,
                max_ms: 30.0,
            })
            .collect();
        let page = page_of(&result);
        for part in ["USD 100,000.00", "5 &lt; 6 &amp; so on", "<svg", "39,660"] {
            assert!(page.contains(part), "{part} is missing");
        }
        let outside = page.replace("http://www.w3.org/2000/svg", "").replace("http://127.0.0.1:9999", "");
        assert!(!outside.contains("http://") && !outside.contains("https://") && !page.contains("<script"));
    }

    fn page_of(result: &ContestResult) -> String {
        let directory = RunDir::create().expect("a run directory");
        let page = write(result, directory.path()).expect("a page");
        std::fs::read_to_string(page).expect("it is there")
    }
}
