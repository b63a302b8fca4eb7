//! Makes PostgreSQL's fsync slower on purpose, with the library of the package `slow-fsync`, which is loaded
//! before the C library's. It reads from a file by how much, each time, so that changes while the server runs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::programs::built;

/// The library of the package `slow-fsync`, as cargo names it.
pub const SLOW_FSYNC: &str = "libslow_fsync.so";

/// A library, ready to be loaded by a server, and the file that it obeys.
#[derive(Clone, Debug)]
pub struct Preload {
    library: PathBuf,
    file: PathBuf,
}

impl Preload {
    /// Makes `fsync` and `fdatasync` slower, see [`Preload::delay`]. A copy of the library goes into `directory`,
    /// which the user that runs the server can reach.
    ///
    /// # Errors
    /// When the library is not built, or cannot be copied.
    pub fn slow_fsync(directory: &Path) -> Result<Preload> {
        let (built, library) = (built(SLOW_FSYNC)?, directory.join(SLOW_FSYNC));
        fs::copy(&built, &library)
            .and_then(|_| fs::set_permissions(&library, Permissions::from_mode(0o755)))
            .with_context(|| format!("cannot copy {} to {}", built.display(), library.display()))?;
        let file = directory.join("fsync-delay");
        let preload = Preload { library, file };
        preload.delay(Duration::ZERO)?;
        Ok(preload)
    }

    /// Has every fsync from now on take so much longer.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn delay(&self, delay: Duration) -> Result<()> {
        self.write(&delay.as_micros().to_string())
    }

    /// Returns the environment of a server that is to load it.
    pub fn env(&self) -> [(&'static str, String); 2] {
        let text = |path: &Path| path.display().to_string();
        [("LD_PRELOAD", text(&self.library)), ("SLOW_FSYNC_FILE", text(&self.file))]
    }

    fn write(&self, text: &str) -> Result<()> {
        // Under another name first: the library never reads half of it.
        let (path, new) = (&self.file, self.file.with_extension("new"));
        fs::write(&new, text)
            .and_then(|()| fs::set_permissions(&new, Permissions::from_mode(0o644)))
            .and_then(|()| fs::rename(&new, path))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}
