//! Where programs are found.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// Debian keeps servers where only root's `PATH` looks.
const SBIN: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Returns a program of that name in `PATH`, or where servers are kept.
pub fn find(name: &str) -> Option<PathBuf> {
    directories().into_iter().map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// Returns the directories of `PATH`, then those of servers.
pub fn directories() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(SBIN.map(PathBuf::from)).collect()
}

/// Returns what cargo has built of this workspace under that name: beside this program, one
/// directory above it (where a test's own program is in `deps`), else in the release build.
///
/// # Errors
/// When there is none; says how to build it.
pub fn built(file: &str) -> Result<PathBuf> {
    let program = std::env::current_exe().context("this program has no path")?;
    let beside = program.ancestors().skip(1).take(2).map(|directory| directory.join(file));
    let released = crate::repository_root().join("target/release").join(file);
    let found = beside.chain([released]).find(|path| path.is_file());
    found.with_context(|| {
        format!("{file} is not built: cargo build --workspace (with --release, unless for tests)")
    })
}
