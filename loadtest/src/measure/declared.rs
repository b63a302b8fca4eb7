//! Reads declared measurements, and checks all that can be known before anything is run: the fields, the
//! cases that are made of them, and the formulas over these.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::declaration::Declaration;
use super::formula;
use super::plan::{Choice, Plan};
use testbed::files::files_in;

impl Declaration {
    /// Reads a file and checks everything that can be known before it is run.
    ///
    /// # Errors
    /// The first mistake, with the file's name and the field.
    pub fn read(path: &Path) -> Result<Declaration> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Declaration::parse(&name, &text).with_context(|| path.display().to_string())
    }

    /// Does the same with a file's text.
    ///
    /// # Errors
    /// The first mistake, with the field.
    pub fn parse(name: &str, text: &str) -> Result<Declaration> {
        let mut declaration: Declaration = toml::from_str(text)?;
        declaration.name = name.to_owned();
        declaration.check_fields()?;
        declaration.check_formulas()?;
        Ok(declaration)
    }

    /// Reads what `make bench` compares.
    ///
    /// # Errors
    /// As for [`Declaration::read`].
    pub fn bench() -> Result<Declaration> {
        Declaration::read(&testbed::repository_root().join("loadtest/bench.toml"))
    }

    fn check_formulas(&self) -> Result<()> {
        let every = Choice {
            only: self.comparison.iter().map(|one| one.name.clone()).collect(),
            ..Choice::default()
        };
        let Plan { result, .. } = Plan::new(self, &every)?;
        formula::check_answer(&self.answer, &result).context("answer")?;
        for (index, expectation) in self.expect.iter().enumerate() {
            let field = || format!("expect number {}", index + 1);
            formula::check_expectation(expectation, &result).with_context(field)?;
        }
        Ok(())
    }
}

/// Returns the directory of the experiments that are shipped.
pub fn directory() -> PathBuf {
    testbed::repository_root().join("loadtest/experiments")
}

/// Returns the names of those that are shipped, sorted.
///
/// # Errors
/// When their directory cannot be read.
pub fn shipped() -> Result<Vec<String>> {
    let files = files_in(&directory(), Some("toml"))?;
    Ok(files.iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect())
}

#[cfg(test)]
#[path = "declared_tests.rs"]
mod tests;
