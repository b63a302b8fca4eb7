//! Makes PostgreSQL's fsync slower on purpose, with the library of the package `slow-fsync`, which
//! is loaded before the C library's.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::programs::built;

/// The library's file, as cargo names it.
pub const LIBRARY: &str = "libslow_fsync.so";

/// The library, ready to be loaded by a server.
#[derive(Clone, Debug)]
pub struct Preload {
    library: PathBuf,
    delay: Duration,
}

impl Preload {
    /// Puts a copy into `directory`, which the user that runs the server can reach.
    ///
    /// # Errors
    /// When the library is not built, or cannot be copied.
    pub fn new(directory: &Path, delay: Duration) -> Result<Preload> {
        let (built, library) = (built(LIBRARY)?, directory.join(LIBRARY));
        fs::copy(&built, &library)
            .and_then(|_| fs::set_permissions(&library, Permissions::from_mode(0o755)))
            .with_context(|| format!("cannot copy {} to {}", built.display(), library.display()))?;
        Ok(Preload { library, delay })
    }

    /// Returns the environment of a server that is to load it.
    pub fn env(&self) -> [(&'static str, String); 2] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("SLOW_FSYNC_US", self.delay.as_micros().to_string()),
        ]
    }
}
