//! An experiment on paper: a page, the same as Markdown with pictures, and the raw data.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::markdown::PICTURES;
use super::result::ExperimentResult;
use super::{charts, data, index, markdown, page, words};

/// The file that everything else can be written from again.
pub const RESULTS: &str = "results.json";

/// The page's file.
pub const PAGE: &str = "report.html";

/// Which pages of experiments to write again.
#[derive(Clone, Debug, clap::Args)]
pub struct ReportArgs {
    /// Directories of reports, each with a results.json
    #[arg(required = true, value_name = "DIR")]
    pub directories: Vec<PathBuf>,

    /// Write the small report that can be checked in, to DIR/NAME, in addition
    #[arg(long, value_name = "DIR")]
    pub sample: Option<PathBuf>,
}

/// Writes everything into `directory`, which is made if it is missing: `report.html`, `report.md`
/// with two pictures, `points.csv`, `samples.csv`, `results.json`. Returns the page's path.
///
/// # Errors
/// When they cannot be drawn or written.
pub fn write(result: &ExperimentResult, directory: &Path) -> Result<PathBuf> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let json = serde_json::to_string(result).context("cannot express the results as JSON")?;
    save(&directory.join(RESULTS), &format!("{json}\n"))?;
    save(&directory.join("points.csv"), &data::points(result))?;
    save(&directory.join("samples.csv"), &data::samples(result))?;
    write_markdown(result, directory, &words::NOTES)?;
    let path = directory.join(PAGE);
    save(&path, &page::of(result)?.into_string())?;
    Ok(path)
}

/// Writes the small report that can be checked in: only `report.md` and its two pictures. Returns
/// the path of the former.
///
/// # Errors
/// When they cannot be drawn or written.
pub fn write_sample(result: &ExperimentResult, directory: &Path) -> Result<PathBuf> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    write_markdown(result, directory, words::notes_without_files())
}

/// Reads what [`write()`] left in `directory`.
///
/// # Errors
/// When there is nothing, or nothing of an experiment.
pub fn read(directory: &Path) -> Result<ExperimentResult> {
    let path = directory.join(RESULTS);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not of an experiment", path.display()))
}

/// Writes the pages of all directories again, and the indices beside them.
///
/// # Errors
/// When one cannot be read or written.
pub fn rewrite(args: &ReportArgs) -> Result<()> {
    let mut parents = BTreeSet::new();
    for directory in &args.directories {
        let result = read(directory)?;
        println!("{}", write(&result, directory)?.display());
        if let Some(sample) = &args.sample {
            println!("{}", write_sample(&result, &sample.join(&result.name))?.display());
        }
        let directory =
            directory.canonicalize().with_context(|| format!("where is {}", directory.display()))?;
        parents.extend(directory.parent().map(Path::to_owned));
    }
    for parent in &parents {
        println!("{}", index::write(parent)?.display());
    }
    Ok(())
}

fn write_markdown(result: &ExperimentResult, directory: &Path, notes: &[&str]) -> Result<PathBuf> {
    for (name, chart) in PICTURES.into_iter().zip([charts::throughput(result), charts::waits(result)]) {
        save(&directory.join(name), &chart.to_file()?)?;
    }
    let path = directory.join("report.md");
    save(&path, &markdown::of(result, notes))?;
    Ok(path)
}

fn save(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::fixture::{Scratch, experiment};
    use crate::experiment::table;

    #[test]
    fn everything_is_written_and_read_back() {
        let scratch = Scratch::new("report");
        let directory = scratch.path().join("hot");
        let page = write(&experiment(), &directory).expect("a report");
        assert_eq!(page, directory.join("report.html"));
        for name in ["results.json", "points.csv", "samples.csv", "report.md", "throughput.svg", "waits.svg"]
        {
            assert!(directory.join(name).metadata().expect(name).len() > 100, "{name}");
        }
        let again = read(&directory).expect("the results");
        assert_eq!(data::samples(&again), data::samples(&experiment()));
        assert_eq!(table::rows(&again), table::rows(&experiment()));
    }

    #[test]
    fn a_sample_is_small_and_refers_to_nothing_else() {
        let scratch = Scratch::new("sample");
        let text = write_sample(&experiment(), scratch.path()).expect("a sample");
        let files: Vec<_> =
            fs::read_dir(scratch.path()).expect("the directory").map(|one| one.expect("a file")).collect();
        let bytes: u64 = files.iter().map(|file| file.metadata().expect("a size").len()).sum();
        assert_eq!(files.len(), 3);
        assert!(bytes < 60_000, "{bytes} bytes");
        let text = fs::read_to_string(text).expect("the text");
        assert!(!text.contains(".csv") && !text.contains(".json") && !text.contains(".html"), "{text}");
    }

    #[test]
    fn pages_are_written_again_from_the_results() {
        let scratch = Scratch::new("rewrite");
        let directory = scratch.path().join("hot");
        let page = write(&experiment(), &directory).expect("a report");
        let before = fs::read_to_string(&page).expect("the page");
        fs::remove_file(&page).expect("the page can be removed");
        let samples = scratch.path().join("samples");
        rewrite(&ReportArgs { directories: vec![directory.clone()], sample: Some(samples.clone()) })
            .expect("again");
        assert_eq!(fs::read_to_string(&page).expect("the page"), before);
        assert!(samples.join("hot/report.md").exists() && scratch.path().join("experiments.html").exists());
        let nothing = ReportArgs { directories: vec![scratch.path().to_owned()], sample: None };
        assert!(format!("{:#}", rewrite(&nothing).expect_err("no results")).contains("results.json"));
    }
}
