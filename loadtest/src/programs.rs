//! Where programs are found.

use std::path::PathBuf;

/// Debian keeps servers where only root's `PATH` looks.
const SBIN: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// A program of that name in `PATH`, or where servers are kept.
pub fn find(name: &str) -> Option<PathBuf> {
    directories().into_iter().map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// The directories of `PATH`, then those of servers.
pub fn directories() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(SBIN.map(PathBuf::from)).collect()
}
