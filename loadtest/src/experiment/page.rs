//! An experiment as one HTML page that needs nothing else.

use anyhow::Result;
use maud::{Markup, PreEscaped, html};

use super::answer::{self, Verdict};
use super::result::ExperimentResult;
use super::{charts, table, words};
use crate::report::groups::GroupChart;
use crate::report::page::{page, table as rows_of};

/// The page.
///
/// # Errors
/// When a chart cannot be drawn.
pub fn of(result: &ExperimentResult) -> Result<Markup> {
    let body = html! {
        p.question { (result.question) }
        (answer(result))
        (problems(result))
        h2 { "Throughput and response time" }
        (panels(&charts::throughput(result))?)
        h2 { "Who waited on what" }
        (panels(&charts::waits(result))?)
        @if let Some(others) = words::others(result) { p.faint { (others) } }
        h2 { "Figures" }
        div.dense.pairs { (rows_of(&table::rows(result))) }
        (invalid(result))
        @if let Some(rows) = table::spent(result) {
            h2 { "Where the time of a request went" }
            p.faint { "Means of right answers inside the instances, in milliseconds." }
            div.dense.pairs.narrow { (rows_of(&rows)) }
        }
        h2 { "Conditions" }
        dl.facts { @for (name, value) in words::conditions(result) { dt { (name) } dd { (value) } } }
        h2 { "How to read this" }
        ul.faint { @for note in words::NOTES { li { (note) } } }
    };
    Ok(page(&result.title, body))
}

fn answer(result: &ExperimentResult) -> Markup {
    html! {
        @match words::answer(result) {
            Ok(answer) => p.answer { (answer) },
            Err(reason) => p.answer.bad { (reason) },
        }
        ul.verdicts { @for verdict in answer::verdicts(result) { (expectation(&verdict)) } }
    }
}

fn expectation(verdict: &Verdict) -> Markup {
    let class = match verdict.held {
        Some(true) => "good",
        Some(false) => "bad",
        None => "unknown",
    };
    html! {
        li {
            strong class=(class) { (words::outcome(verdict)) } ": " (verdict.says) " "
            span.faint { "(" (verdict.measured) ")" }
        }
    }
}

fn problems(result: &ExperimentResult) -> Markup {
    let problems = words::problems(result);
    html! {
        @if !problems.is_empty() {
            h2.bad { "What went wrong" }
            ul { @for problem in &problems { li { (problem) } } }
        }
    }
}

fn invalid(result: &ExperimentResult) -> Markup {
    let invalid = words::invalid(result);
    html! {
        @if !invalid.is_empty() {
            h3 { "Not the service's limit: invalid runs" }
            ul { @for point in &invalid { li { (point) } } }
        }
    }
}

/// Side by side where there is room, one below the other on a phone.
fn panels(chart: &GroupChart<'_>) -> Result<Markup> {
    let panels = chart.to_svgs()?;
    let class = if chart.columns > 2 { "charts three" } else { "charts" };
    Ok(html! { div class=(class) { @for panel in &panels { (PreEscaped(panel)) } } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::fixture::experiment;

    fn shown(result: &ExperimentResult) -> String {
        of(result).expect("a page").into_string()
    }

    #[test]
    fn the_page_stands_by_itself() {
        let page = shown(&experiment());
        let outside = page.replace("http://www.w3.org/2000/svg", "");
        for sign in ["http://", "https://", "<script", "src=", "href=", "@import"] {
            assert!(!outside.contains(sign), "{sign} is in the page");
        }
        assert!(page.contains("max-width") && !page.contains("#0400"));
    }

    #[test]
    fn the_page_says_everything() {
        let page = shown(&experiment());
        for part in [
            "What does it cost when all requests want the same row?",
            "9.0 times as many as direct.",
            ">✓ held<",
            ">✗ not held<",
            ">? cannot be told<",
            "(3.03, expected &lt; 1.5)",
            "5 cents &lt; the sum",
            "PostgreSQL did not start",
            "clients 1000, serial: rounds 1, 2: k6 used 93%",
            "no valid figure",
            "share 0.50 CPU",
            "rest of the database",
        ] {
            assert!(page.contains(part), "{part} is missing");
        }
        assert_eq!(page.matches("<svg").count(), 2 + 3);
    }

    #[test]
    fn an_experiment_without_valid_runs_has_a_page() {
        let mut experiment = experiment();
        let runs = experiment.points.iter_mut().flat_map(|point| &mut point.runs);
        runs.for_each(|run| run.invalid = Some("k6 dropped iterations".into()));
        let page = shown(&experiment);
        assert!(page.contains("answers (no valid figure) requests per second"));
        assert!(!page.contains("✓ held"));
        experiment.points.clear();
        shown(&experiment);
    }
}
