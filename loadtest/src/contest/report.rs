//! A run's outcome on paper: a table for the terminal, a page for the browser, JSON for programs.

mod page;
pub mod text;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::result::ContestResult;

/// Writes `result.json` and `report.html` into `directory`, which is made if it is missing, and
/// returns the path of the page.
///
/// # Errors
/// When they cannot be written.
pub fn write(result: &ContestResult, directory: &Path) -> Result<PathBuf> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let mut json = serde_json::to_string_pretty(result).context("cannot express the result as JSON")?;
    json.push('\n');
    save(&directory.join("result.json"), &json)?;
    let path = directory.join("report.html");
    save(&path, &page::of(result)?.into_string())?;
    Ok(path)
}

fn save(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
