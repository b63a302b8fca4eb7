//! What is in a directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Returns the paths in a directory, sorted: all of them, or those with this ending (no dot).
///
/// # Errors
/// When it cannot be read.
pub fn files_in(directory: &Path, ending: Option<&str>) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.with_context(|| format!("cannot read {}", directory.display()))?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| ending.is_none_or(|ending| path.extension().is_some_and(|end| end == ending)));
    paths.sort();
    Ok(paths)
}
