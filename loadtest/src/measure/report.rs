//! A measurement on paper: the report, and the raw data.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use minijinja::context;

use super::result::{Measurement, RESULTS};
use super::{charts, index, slow, table, traced, words};
use crate::files::{read_json, save};
use crate::report::document;
use crate::report::text::markdown_table;

/// The report's words.
const TEMPLATE: &str = include_str!("../../templates/measurement.md");

/// Which reports to write again.
#[derive(Clone, Debug, clap::Args)]
pub struct ReportArgs {
    /// Directories of reports, each with a results.json, or such files
    #[arg(required = true, value_name = "DIR|FILE")]
    pub directories: Vec<PathBuf>,

    /// Write the small report that can be checked in, to DIR/NAME, in addition
    #[arg(long, value_name = "DIR")]
    pub sample: Option<PathBuf>,
}

/// Writes everything into `directory`, which is made if it is missing: `report.html`, `report.md`
/// with its pictures, `points.csv`, `samples.csv`, `results.json`. Returns the page's path.
///
/// # Errors
/// When they cannot be drawn or written.
pub fn write(result: &Measurement, directory: &Path) -> Result<PathBuf> {
    let json = serde_json::to_string(result).context("cannot express the results as JSON")?;
    save(&directory.join(RESULTS), &format!("{json}\n"))?;
    save(&directory.join("points.csv"), &table::csv_of_runs(result))?;
    save(&directory.join("samples.csv"), &table::csv_of_samples(result))?;
    document::write(directory, &markdown(result, true)?, &charts::pictures(result))
}

/// Writes the small report that can be checked in: only `report.md` and its pictures. Returns the
/// path of the former.
///
/// # Errors
/// When they cannot be drawn or written.
pub fn write_sample(result: &Measurement, directory: &Path) -> Result<PathBuf> {
    document::write_markdown(directory, &markdown(result, false)?, &charts::pictures(result))
}

/// Returns the whole report as Markdown; `with_files` says whether the raw data lies beside it.
///
/// # Errors
/// When the template does not fit, which a test rules out.
pub fn markdown(result: &Measurement, with_files: bool) -> Result<String> {
    let verdicts: Vec<_> = words::verdicts(result)
        .iter()
        .map(|one| {
            let (says, measured, goal) = (&one.says, &one.measured, &one.goal);
            context! { says, measured, goal, outcome => words::outcome(one) }
        })
        .collect();
    let comparisons: Vec<_> =
        result.comparisons.iter().map(|comparison| tables(comparison, result)).collect();
    let context = context! {
        title => result.title,
        question => result.question,
        unfinished => result.unfinished,
        answer => words::answer(result).unwrap_or_else(|reason| reason),
        verdicts,
        problems => words::problems(result),
        charts => document::described(&charts::pictures(result)),
        comparisons,
        slow => slow::lines(result),
        traced => if with_files { traced::lines(result) } else { Vec::new() },
        invalid => words::invalid(result),
        conditions => words::conditions(result),
        notes => words::notes(result),
        with_files,
    };
    document::render(TEMPLATE, context)
}

fn tables(comparison: &super::result::Comparison, result: &Measurement) -> minijinja::Value {
    let names = comparison.axes.as_ref().map_or(1, |axes| axes.len());
    let figures = table::rows(comparison, result.conditions.rounds);
    context! {
        title => comparison.title,
        figures => markdown_table(&figures, names),
        spent => markdown_table(&table::spent(comparison), names),
    }
}

/// Reads a result: the file itself, or the one that [`write()`] left in a directory.
///
/// # Errors
/// When there is nothing, or nothing of a measurement.
pub fn read(path: &Path) -> Result<Measurement> {
    let path = if path.is_dir() { path.join(RESULTS) } else { path.to_owned() };
    read_json(&path, "a measurement’s results")
}

/// Writes all reports again, and the indices beside those of experiments.
///
/// # Errors
/// When one cannot be read or written.
pub fn rewrite(args: &ReportArgs) -> Result<()> {
    let mut parents = BTreeSet::new();
    for path in &args.directories {
        let result = read(path)?;
        let path = path.canonicalize().with_context(|| format!("where is {}", path.display()))?;
        let directory =
            if path.is_dir() { path } else { path.parent().map(Path::to_owned).unwrap_or_default() };
        out!("{}", write(&result, &directory)?.display());
        if let Some(sample) = &args.sample {
            out!("{}", write_sample(&result, &sample.join(&result.name))?.display());
        }
        if !result.question.is_empty() {
            parents.extend(directory.parent().map(Path::to_owned));
        }
    }
    for parent in &parents {
        out!("{}", index::write(parent)?.display());
    }
    Ok(())
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
