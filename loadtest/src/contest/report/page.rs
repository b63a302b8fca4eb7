//! A run's outcome as one HTML page that needs nothing else.

use anyhow::Result;
use maud::{Markup, PreEscaped, html};

use super::text;
use crate::contest::plan::Operation;
use crate::contest::result::ContestResult;
use crate::contest::score::{grouped, usd};
use crate::report::lines::{Axis, Line, LineChart, Scale};
use crate::report::page::{page, table};

/// The page.
///
/// # Errors
/// When a chart cannot be drawn.
pub(super) fn of(result: &ContestResult) -> Result<Markup> {
    let body = html! {
        (verdict(result))
        h2 { "Responses" }
        div.sums { (table(&text::operations(result))) }
        (charts(result)?)
        @if !result.services.is_empty() {
            h2 { "What the services used" }
            div.sums { (table(&text::services(&result.services, result.summary.tally().total()))) }
            p.faint {
                "Memory is the peak of samples taken once a second; page cache is charged to a service but is "
                "the kernel’s to drop."
            }
        }
        (footer(result))
    };
    Ok(page(&text::conditions(&result.conditions), body))
}

fn verdict(result: &ContestResult) -> Markup {
    let (score, tally) = (&result.score, result.summary.tally());
    let class = if result.problems.is_empty() { "score good" } else { "score bad" };
    html! {
        p class=(class) { (usd(score.prize_cents)) }
        p {
            (format!("{:.2}", score.right_and_fast_percent)) "% of " (grouped(tally.total()))
            " responses right and within 250 ms, fined " (usd(score.sla_fine_cents)) "; "
            (grouped(tally.inconsistent)) " inconsistent, fined " (usd(score.inconsistency_fine_cents)) "."
        }
        @if let Some(books) = text::books(result) { p { "In the database: " (books) "." } }
        @if let Some(caveat) = text::caveat(&result.conditions) { p { (caveat) } }
        @if !result.problems.is_empty() {
            h2 { "Problems" }
            ul.bad { @for problem in &result.problems { li { (problem) } } }
        }
        @if !result.summary.failures.is_empty() {
            ul { @for failure in &result.summary.failures { li { (grouped(failure.count)) " × " (failure.what) } } }
        }
    }
}

fn charts(result: &ContestResult) -> Result<Markup> {
    if result.timeline.is_empty() {
        return Ok(html! {});
    }
    Ok(html! {
        h2 { "How the response times are distributed" }
        (PreEscaped(distribution(result).to_svg()?))
        h2 { "Response times over the run" }
        (PreEscaped(times(result).to_svg()?))
        h2 { "Responses per second" }
        (PreEscaped(rates(result).to_svg()?))
    })
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
    let line = |name, of: fn(&crate::contest::live::Second) -> f64| Line {
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

fn footer(result: &ContestResult) -> Markup {
    let conditions = &result.conditions;
    html! {
        footer {
            p {
                (conditions.started_at) ", against " (conditions.url) ", which was ready after "
                (format!("{:.1}", conditions.ready_s)) " s. k6 " (conditions.k6) " used "
                (format!("{:.1}", result.k6_cpu_s)) " s of CPU on the same machine, which has "
                (conditions.machine_cpus) " CPUs. Response times include connecting."
                @if let Some(stack) = &conditions.stack { " The data is on " (stack.disk) "." }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contest::live::Second;
    use crate::contest::result::tests::flawless;

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
        let page = of(&result).expect("a page").into_string();
        for part in ["USD 100,000.00", "5 &lt; 6 &amp; so on", "<svg", "39,660"] {
            assert!(page.contains(part), "{part} is missing");
        }
        let outside = page.replace("http://www.w3.org/2000/svg", "").replace("http://127.0.0.1:9999", "");
        assert!(!outside.contains("http://") && !outside.contains("https://") && !page.contains("<script"));
    }
}
