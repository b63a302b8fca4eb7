//! Makes PostgreSQL's fsync slower and its wall clock wrong on purpose, with the library of the package `preload`,
//! which is loaded before the C library's. It reads from files by how much, each time, so that changes while the
//! server runs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::programs::built;

/// The library of the package `preload`, as cargo names it.
pub const LIBRARY: &str = "libpreload.so";

/// The library, ready to be loaded by a server, and where the files are that it obeys.
#[derive(Clone, Debug)]
pub struct Preload(PathBuf);

impl Preload {
    /// Copies the library into `directory`, which the user that runs the server can reach.
    ///
    /// # Errors
    /// When the library is not built, or cannot be copied.
    pub fn new(directory: &Path) -> Result<Preload> {
        let (built, library) = (built(LIBRARY)?, directory.join(LIBRARY));
        fs::copy(&built, &library)
            .and_then(|_| fs::set_permissions(&library, Permissions::from_mode(0o755)))
            .with_context(|| format!("cannot copy {} to {}", built.display(), library.display()))?;
        Ok(Preload(directory.to_owned()))
    }

    /// Has every fsync and fdatasync from now on take so much longer.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn delay_fsync(&self, delay: Duration) -> Result<()> {
        write(&self.delay_file(), &delay.as_micros().to_string())
    }

    /// Sets the wall clock so many seconds forward, or back, from the machine's.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn shift_clock(&self, seconds: i64) -> Result<()> {
        write(&self.shift_file(), &format!("{seconds}000000"))
    }

    /// Returns the environment of a server that is to load it.
    pub fn env(&self) -> [(&'static str, String); 3] {
        let text = |path: PathBuf| path.display().to_string();
        [
            ("LD_PRELOAD", text(self.0.join(LIBRARY))),
            ("FSYNC_DELAY_FILE", text(self.delay_file())),
            ("CLOCK_SHIFT_FILE", text(self.shift_file())),
        ]
    }

    fn delay_file(&self) -> PathBuf {
        self.0.join("fsync-delay")
    }

    fn shift_file(&self) -> PathBuf {
        self.0.join("clock-shift")
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    // Under another name first: the library never reads half of it.
    let new = path.with_extension("new");
    fs::write(&new, text)
        .and_then(|()| fs::set_permissions(&new, Permissions::from_mode(0o644)))
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
