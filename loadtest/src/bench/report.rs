//! The benchmark's outcome on paper: JSON for programs, a table as Markdown, a picture, a page.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use maud::{Markup, PreEscaped, html};
use serde::Serialize;

use super::case::Case;
use super::goals::{self, Goal};
use super::picture;
use super::result::ComparisonResult;
use super::table;
use crate::report::page;
use crate::report::text::markdown_table;

/// How the figures are to be read.
const NOTES: [&str; 6] = [
    "Figures are medians over the rounds; ±% is half the way from the least to the most, as a share of the \
     median. A star marks cases in which the load generator, or a machine with nothing left to give, may have \
     set the pace.",
    "Accepted and refused are transactions as the instances count them. Errors are answers other than 2xx and \
     422, and connections that failed.",
    "CPU is the cgroups’ accounting of the measured interval, per request of the load: two instances, NGINX, \
     PostgreSQL. Throttled is the share of slices of 100 ms in which a service had used up its quota and had \
     to wait for the next: a request that falls into such a wait takes up to 100 ms less the quota longer, \
     which is what p98 and p99 of a saturated service show.",
    "MB is the largest anonymous memory. Batch is transactions in one call; lock and work are what the stored \
     function reports for a call: waiting for its row locks, and working with them.",
    "Row lock and WAL are PostgreSQL sessions that wait for one, sampled five times a second. Load is the CPU \
     of the load generator, as a share of one core, outside the limits.",
    "Instructions are what callgrind counts of an instance’s own for a transaction that is alone, on a connection \
     of its own, without limits; they tell what is too little for time to tell. A program in untraced is the same \
     with everything of tracing compiled out.",
];

/// Everything; `results.json` is this.
#[derive(Clone, Debug, Serialize)]
pub struct BenchResult {
    /// Under which conditions it was measured.
    pub conditions: Conditions,
    /// What the project wants to reach, beside what was reached.
    pub goals: Vec<Goal>,
    /// The comparisons, each run in turn.
    pub comparisons: Vec<ComparisonResult>,
}

/// Under which conditions it was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Conditions {
    /// When it began: RFC 3339, UTC.
    pub started_at: String,
    /// How long it took, in seconds.
    pub took_s: f64,
    /// The machine, which the load generator shares.
    pub machine: String,
    /// PostgreSQL, NGINX, wrk, k6.
    pub versions: Vec<String>,
    /// What the data is on, and how long an fsync takes there.
    pub disk: String,
    /// What all cases have in common unless they say otherwise.
    pub base: Case,
    /// Rounds.
    pub rounds: u32,
    /// Seconds of load before the measured interval.
    pub warm_up_s: u64,
    /// Seconds of the measured interval.
    pub measured_s: u64,
}

/// Writes `results.json`, `table.md`, `bench.svg` where there is something to draw, and
/// `report.html` into `directory`, which is made if it is missing. Returns the page's path.
///
/// # Errors
/// When they cannot be written.
pub fn write(result: &BenchResult, directory: &Path) -> Result<PathBuf> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let json = serde_json::to_string_pretty(result).context("cannot express the results as JSON")?;
    save(&directory.join("results.json"), &format!("{json}\n"))?;
    save(&directory.join("table.md"), &markdown(result))?;
    let picture = picture::of(&result.comparisons, &result.conditions.base)?;
    if let Some(svg) = &picture {
        save(&directory.join("bench.svg"), svg)?;
    }
    let path = directory.join("report.html");
    save(&path, &html_page(result, picture.as_deref()).into_string())?;
    Ok(path)
}

fn save(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The conditions as a paragraph.
fn conditions(result: &BenchResult) -> String {
    let c = &result.conditions;
    let base: Vec<String> = c.base.settings().iter().map(|(key, value)| format!("{key} {value}")).collect();
    format!(
        "{}, {:.0} minutes. {}. {}. The data is on {}. Each run has a stack of its own within the contest’s limits \
         (1.5 CPU and 550 MB in four services), {} s of warm-up and {} s that are measured; cases of one table were \
         run in turn, {} {}. Where a case does not say otherwise: {}.",
        c.started_at,
        c.took_s / 60.0,
        c.machine,
        c.versions.join(", "),
        c.disk,
        c.warm_up_s,
        c.measured_s,
        c.rounds,
        if c.rounds == 1 { "round" } else { "rounds" },
        base.join(", ")
    )
}

/// The goals as rows of text, the header first.
pub fn goal_rows(goals: &[Goal]) -> Vec<Vec<String>> {
    let header = goals::HEADER.map(str::to_owned).to_vec();
    std::iter::once(header).chain(goals.iter().map(goals::row)).collect()
}

fn markdown(result: &BenchResult) -> String {
    let mut text = format!("# Benchmark\n\n{}\n", conditions(result));
    if !result.goals.is_empty() {
        text += &format!("\n## Goals\n\n{}", markdown_table(&goal_rows(&result.goals), 1));
    }
    for comparison in &result.comparisons {
        text += &format!("\n## {}\n\n{}", comparison.title, markdown_table(&table::rows(comparison), 1));
    }
    text += "\n## Notes\n\n";
    NOTES.iter().for_each(|note| text += &format!("- {note}\n"));
    text
}

fn html_page(result: &BenchResult, picture: Option<&str>) -> Markup {
    let body = html! {
        p.faint { (conditions(result)) }
        @if let Some(svg) = picture { (PreEscaped(svg)) }
        @if !result.goals.is_empty() {
            h2 { "Goals" }
            (page::table(&goal_rows(&result.goals)))
        }
        @for comparison in &result.comparisons {
            h2 { (comparison.title) }
            div.dense { (page::table(&table::rows(comparison))) }
        }
        h2 { "Notes" }
        ul { @for note in NOTES { li { (note) } } }
    };
    page::page("guiche: the benchmark", body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::result::tests::case;

    fn result() -> BenchResult {
        let cases = ["mode=direct", "mode=batched", "mode=batched,connections=1"];
        let cases = cases.map(|settings| case(settings, 1_000)).into();
        BenchResult {
            conditions: Conditions {
                started_at: "2026-01-02T03:04:05Z".into(),
                took_s: 90.0,
                machine: "2 CPUs".into(),
                versions: vec!["PostgreSQL 15".into(), "wrk 4".into()],
                disk: "a disk".into(),
                base: Case::default(),
                rounds: 1,
                warm_up_s: 2,
                measured_s: 8,
            },
            goals: vec![Goal { what: "a < b".into(), measured: "1".into(), goal: "2", met: true }],
            comparisons: vec![ComparisonResult { title: "Mode".into(), cases }],
        }
    }

    #[test]
    fn the_page_stands_by_itself() {
        let result = result();
        let picture = picture::of(&result.comparisons, &Case::default()).expect("it can be drawn");
        let page = html_page(&result, picture.as_deref()).into_string();
        for part in ["<svg", "a &lt; b", "mode=direct", "1 round.", "PostgreSQL 15, wrk 4"] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
        let outside = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains("http://") && !outside.contains("https://") && !page.contains("<script"));
    }

    #[test]
    fn every_row_of_markdown_has_its_cells() {
        let text = markdown(&result());
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| mode")).collect();
        assert_eq!(rows.len(), 3);
        let columns = |line: &str| line.matches('|').count();
        let header = text.lines().find(|line| line.starts_with("| case")).expect("a header");
        assert!(rows.iter().all(|row| columns(row) == columns(header)), "{text}");
    }
}
