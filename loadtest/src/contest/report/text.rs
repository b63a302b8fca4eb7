//! A run's outcome as text.

use std::fmt::Write;

use crate::contest::costs::ServiceCost;
use crate::contest::plan::Operation;
use crate::contest::result::{Conditions, ContestResult};
use crate::contest::score::{Tally, grouped, usd};
use crate::contest::summary::Times;
use crate::report::text::{BYTES_PER_MB, megabytes, table};

/// The whole outcome, for a terminal.
pub fn of(result: &ContestResult) -> String {
    let mut text = format!("{}\n\n", conditions(&result.conditions));
    if let Some(caveat) = caveat(&result.conditions) {
        text += &format!("{caveat}\n\n");
    }
    text += &table(&operations(result));
    if !result.services.is_empty() {
        text.push('\n');
        text += &table(&services(&result.services, result.summary.tally().total()));
    }
    text.push('\n');
    text += &verdict(result);
    text
}

/// The conditions of a run in one line.
pub fn conditions(conditions: &Conditions) -> String {
    let Some(stack) = &conditions.stack else { return format!("The contest against {}", conditions.url) };
    let limits = if stack.envelope { "limits enforced" } else { "limits not enforced" };
    format!(
        "The contest: {}, {}, {}, CPUs {}, {limits}",
        stack.mode, stack.profile, stack.balancing, stack.cpus
    )
}

/// What is in the figures and is not the stack's.
pub fn caveat(conditions: &Conditions) -> Option<&str> {
    conditions.stack.as_ref()?.caveat.as_deref()
}

/// One row for each kind of request and one for all.
pub fn operations(result: &ContestResult) -> Vec<Vec<String>> {
    let header = ["requests", "right", "slow", "wrong", "inconsistent", "p50", "p98", "p99", "max"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for operation in Operation::ALL {
        let outcome = result.summary.operations.get(&operation).copied().unwrap_or_default();
        rows.push(responses(operation.name(), &outcome.tally, &outcome.response_time_ms));
    }
    rows.push(responses("all", &result.summary.tally(), &result.summary.response_time_ms));
    rows
}

fn responses(name: &str, tally: &Tally, times: &Times) -> Vec<String> {
    let counts = [tally.right, tally.slow, tally.wrong, tally.inconsistent].map(grouped);
    let times = [times.p50, times.p98, times.p99, times.max].map(|ms| format!("{ms:.1} ms"));
    [vec![name.to_owned()], counts.to_vec(), times.to_vec()].concat()
}

/// One row for each service and one for the stack. `requests` are those of the whole run.
pub fn services(costs: &[ServiceCost], requests: u64) -> Vec<Vec<String>> {
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

/// The stack as if it were one service. Peaks need not be of one moment: their sum is a bound.
fn sum(costs: &[ServiceCost]) -> ServiceCost {
    let all = |of: fn(&ServiceCost) -> u64| costs.iter().map(of).sum();
    ServiceCost {
        service: "all".to_owned(),
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

/// Faults, books and the score, a line each.
fn verdict(result: &ContestResult) -> String {
    let mut text = String::new();
    let score = &result.score;
    let mut line = |line: String| writeln!(text, "{line}").expect("a String takes any text");
    for failure in &result.summary.failures {
        line(format!("  {} × {}", grouped(failure.count), failure.what));
    }
    if let Some(books) = books(result) {
        line(books);
    }
    line(format!("k6 used {:.1} s of CPU", result.k6_cpu_s));
    line(format!(
        "{:.2}% right and within 250 ms, fined {}; {} inconsistent, fined {}",
        score.right_and_fast_percent,
        usd(score.sla_fine_cents),
        grouped(result.summary.tally().inconsistent),
        usd(score.inconsistency_fine_cents)
    ));
    line(format!("\nScore: {}", usd(score.prize_cents)));
    text
}

/// What the database said, or `None` where it was not asked.
pub fn books(result: &ContestResult) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contest::result::tests::flawless;

    #[test]
    fn a_run_fits_a_page_of_text() {
        let text = of(&flawless());
        for part in
            ["debits", "39,660", "3.4 ms", "61,503", "45,000 rows for 45,000", "Score: USD 100,000.00"]
        {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
    }
}
