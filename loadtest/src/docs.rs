//! `loadtest docs`: the figures in the documents, from the results that the repository keeps.
//!
//! `docs/results/` has a measurement's `results.json` under any name, and a contest's `result.json` as
//! `contest-….json`. From these come `docs/measurements/NAME/` (a report each), `docs/measurements.md`
//! (what they say, and what was tried by hand, see its template) and README's figures.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use minijinja::context;

use crate::contest::result::ContestResult;
use crate::files::{read_json, save};
use crate::measure::result::Measurement;
use crate::measure::{report, words};
use crate::report::document;
use crate::report::text::{grouped, markdown_table};
use testbed::files::files_in;

const TEMPLATE: &str = include_str!("../templates/measurements.md");

/// What README's figures stand between.
const MARKS: [&str; 2] = ["<!-- figures: `make docs` -->\n", "<!-- end of figures -->\n"];

/// What to do about the documents.
#[derive(Clone, Debug, clap::Args)]
pub struct DocsArgs {
    /// Only say whether they are what the results say
    #[arg(long)]
    pub check: bool,
}

/// Writes the documents, or checks them.
///
/// # Errors
/// When a result cannot be read, a document not be written, or one is not what the results say.
pub fn run(args: &DocsArgs) -> Result<()> {
    let documents = Documents::make(&testbed::repository_root())?;
    if args.check {
        return documents.check();
    }
    documents.write()
}

/// The documents as the results say them.
struct Documents {
    root: PathBuf,
    measurements: Vec<Measurement>,
    /// Each with its text.
    texts: Vec<(PathBuf, String)>,
}

impl Documents {
    fn make(root: &Path) -> Result<Documents> {
        let (mut measurements, mut contests) = (Vec::new(), Vec::new());
        for path in files_in(&root.join("docs/results"), Some("json"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("contest-") {
                contests.push(read_json::<ContestResult>(&path, "a contest’s result")?);
            } else {
                measurements.push(report::read(&path)?);
            }
        }
        ensure!(!measurements.is_empty() && !contests.is_empty(), "docs/results has not what documents need");
        let summary = summary(&measurements, &contests)?;
        let readme = fs::read_to_string(root.join("README.md")).context("cannot read README.md")?;
        let readme = with_figures(&readme, &figures(&measurements, &contests)?)?;
        let texts = vec![(root.join("docs/measurements.md"), summary), (root.join("README.md"), readme)];
        Ok(Documents { root: root.to_owned(), measurements, texts })
    }

    fn write(&self) -> Result<()> {
        for result in &self.measurements {
            let path = report::write_sample(result, &self.root.join("docs/measurements").join(&result.name))?;
            out!("{}", path.display());
        }
        for (path, text) in &self.texts {
            save(path, text)?;
            out!("{}", path.display());
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let reports = self.measurements.iter().map(|result| {
            let path = self.root.join("docs/measurements").join(&result.name).join("report.md");
            Ok((path, report::markdown(result, false)?))
        });
        let reports: Vec<(PathBuf, String)> = reports.collect::<Result<_>>()?;
        for (path, text) in self.texts.iter().chain(&reports) {
            let found = fs::read_to_string(path).unwrap_or_default();
            ensure!(found == *text, "{} is not what docs/results says: run `make docs`", path.display());
        }
        Ok(())
    }
}

fn summary(measurements: &[Measurement], contests: &[ContestResult]) -> Result<String> {
    let measured: Vec<_> = measurements
        .iter()
        .map(|result| {
            let (name, title, question) = (&result.name, &result.title, &result.question);
            let date = day(&result.conditions.started_at);
            let verdicts: Vec<String> = words::verdicts(result)
                .iter()
                .map(|one| format!("{}: {}: {}", words::outcome(one), one.says, one.measured))
                .collect();
            context! {
                name, title, question, date, verdicts,
                answer => words::answer(result).unwrap_or_default(),
            }
        })
        .collect();
    let contests = markdown_table(&contest_rows(contests), 2);
    document::render(TEMPLATE, context! { contests, measured })
}

fn contest_rows(contests: &[ContestResult]) -> Vec<Vec<String>> {
    let heading =
        ["date", "mode, profile", "requests", "right within 250 ms", "inconsistent", "p50", "p99", "max"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(contests.iter().map(|contest| {
        let times = &contest.summary.response_time_ms;
        let stack = contest.conditions.stack.as_ref();
        let millis = |millis: f64| format!("{millis:.1} ms");
        vec![
            day(&contest.conditions.started_at),
            stack.map_or_else(String::new, |stack| format!("{}, {}", stack.mode, stack.profile)),
            grouped(contest.summary.tally().total()),
            format!("{:.2} %", contest.score.right_and_fast_percent),
            contest.summary.tally().inconsistent.to_string(),
            millis(times.p50),
            millis(times.p99),
            millis(times.max),
        ]
    }));
    rows
}

/// Returns README's figures: the contest, what the benchmark gives as shipped and at its best, and what a hot
/// client shows.
fn figures(measurements: &[Measurement], contests: &[ContestResult]) -> Result<String> {
    let mut lines = Vec::new();
    let contest = contests.first().context("there is no contest")?;
    let row = &contest_rows(std::slice::from_ref(contest))[1];
    lines.push(format!(
        "The contest ({}, {}): {} of {} requests right within 250 ms, {} inconsistent, p99 {}, slowest {}.",
        row[1], row[0], row[3], row[2], row[4], row[6], row[7]
    ));
    for result in measurements {
        let date = day(&result.conditions.started_at);
        if result.question.is_empty() {
            let best = words::verdicts(result);
            let said = best
                .iter()
                .filter(|one| one.says.starts_with("best, durable") || one.says.starts_with("as shipped"));
            lines.extend(said.map(|one| {
                format!("Requests/s within the envelope ({date}), {}: {}.", one.says, one.measured)
            }));
        } else if result.name == "hot" {
            lines.push(format!("{} ({date}): {}", result.title, words::answer(result).unwrap_or_default()));
        }
    }
    Ok(lines.iter().map(|line| format!("- {line}\n")).collect())
}

fn with_figures(readme: &str, figures: &str) -> Result<String> {
    let (before, rest) = readme.split_once(MARKS[0]).context("README.md has no place for its figures")?;
    let (_, after) = rest.split_once(MARKS[1]).context("README.md's figures have no end")?;
    Ok(format!("{before}{}{figures}{}{after}", MARKS[0], MARKS[1]))
}

/// Returns the day of a moment in RFC 3339.
fn day(moment: &str) -> String {
    moment.chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_are_what_the_results_say() {
        let documents = Documents::make(&testbed::repository_root()).expect("the results can be read");
        documents.check().expect("nothing was typed, nothing is stale");
    }

    #[test]
    fn figures_stand_between_their_marks() {
        let readme = format!("a\n{}old\n{}b\n", MARKS[0], MARKS[1]);
        let new = with_figures(&readme, "- new\n").expect("it has a place");
        assert_eq!(new, format!("a\n{}- new\n{}b\n", MARKS[0], MARKS[1]));
        assert!(with_figures("no marks", "").is_err());
    }
}
