//! What is written and read again, and when and where.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// Returns where a report goes: where that is `asked` for, else `reports/KIND-TIME` of the repository.
pub(crate) fn report_directory(asked: Option<&Path>, kind: &str) -> PathBuf {
    let usual = || testbed::repository_root().join(format!("reports/{kind}-{}", timestamp()));
    asked.map_or_else(usual, Path::to_owned)
}

/// Returns the time, in UTC, as a part of a file's name.
pub(crate) fn timestamp() -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    OffsetDateTime::now_utc().format(&format).unwrap_or_else(|_| "undated".to_owned())
}

/// Returns the time: RFC 3339, UTC, to the second.
///
/// # Errors
/// When the clock shows no year of our era.
pub(crate) fn now() -> Result<String> {
    let now = OffsetDateTime::now_utc().truncate_to_second();
    now.format(&Rfc3339).context("the clock shows no year of our era")
}

/// Writes a file; its directory is made if it is missing.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn save(path: &Path, text: &str) -> Result<()> {
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, text))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Reads what is written as JSON; `what` names it in an error.
///
/// # Errors
/// When there is no such file, or it is another's.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}, {what}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not {what}", path.display()))
}
