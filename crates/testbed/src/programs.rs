//! Where programs are found.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};

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

/// Asks a program for its version: the first word with a digit after its own name, as in `k6 v1.1.0` or
/// `nginx version: nginx/1.22.1`. Returns that and how the program ended.
///
/// # Errors
/// When it cannot be run.
pub fn version(program: &Path, option: &str) -> Result<(String, ExitStatus)> {
    let output = Command::new(program).arg(option).output();
    let Output { status, stdout, stderr } =
        output.with_context(|| format!("cannot run {}", program.display()))?;
    let said = [stdout, stderr].concat();
    Ok((version_in(&String::from_utf8_lossy(&said)).to_owned(), status))
}

/// Returns the version in what a program says of itself, see [`version`].
pub(crate) fn version_in(said: &str) -> &str {
    let mut words = said.split_whitespace().skip(1);
    let version = words.find(|word| word.contains(|letter: char| letter.is_ascii_digit()));
    version.map_or("of unknown version", |word| word.trim_start_matches("nginx/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_a_digit() {
        let dir = crate::rundir::RunDir::create().expect("a run directory");
        let program = dir.path().join("program");
        for (says, version_is) in [
            ("echo 'wrk debian/4.1.0-3 [epoll] Copyright'; exit 1", "debian/4.1.0-3"),
            ("echo 'k6 v1.1.0 (go1.24)'", "v1.1.0"),
            ("echo 'nginx version: nginx/1.22.1' >&2", "1.22.1"),
            ("true", "of unknown version"),
        ] {
            std::fs::write(&program, format!("#!/bin/sh\n{says}\n")).expect("it is writable");
            let said = version(Path::new("/bin/sh"), program.to_str().expect("it is UTF-8"));
            assert_eq!(said.expect("sh runs").0, version_is);
        }
    }
}
