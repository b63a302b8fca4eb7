//! One measurement at a time: two on one machine would spoil each other's figures.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::libc::O_NOFOLLOW;

use testbed::rundir;

/// Its name, beside the run directories.
const NAME: &str = "guiche-measuring";

/// What is read of whoever has it, in bytes.
const WHO_BYTES: u64 = 200;

/// The machine, for as long as this lives: however this process ends, the lock is gone with it.
#[derive(Debug)]
pub struct Machine(#[expect(dead_code, reason = "it is held")] Flock<File>);

impl Machine {
    /// Takes it for `what`, and says so to those who come meanwhile.
    ///
    /// # Errors
    /// When somebody else has it: who.
    pub fn take(what: &str) -> Result<Machine> {
        let directory = rundir::fresh_path();
        let directory = directory.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        Machine::take_in(directory, what)
    }

    fn take_in(directory: &Path, what: &str) -> Result<Machine> {
        let path = directory.join(NAME);
        let open = |write: bool| {
            let mut options = OpenOptions::new();
            // What somebody has put there is not followed.
            options
                .read(true)
                .write(write)
                .create(write)
                .truncate(false)
                .mode(0o644)
                .custom_flags(O_NOFOLLOW);
            options.open(&path)
        };
        // Of another user it can be read alone.
        let file = open(true).or_else(|error| match error.kind() {
            ErrorKind::PermissionDenied => open(false),
            _ => Err(error),
        });
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                // Who cannot say so holds it all the same.
                let _ = lock.set_len(0).and_then(|()| write!(lock, "{what}, pid {}", std::process::id()));
                Ok(Machine(lock))
            }
            Err((file, _)) => {
                let mut who = String::new();
                let _ = file.take(WHO_BYTES).read_to_string(&mut who);
                let who = if who.is_empty() { "another user's" } else { &who };
                bail!(
                    "another measurement runs on this machine ({who}), and two would spoil each other; wait for its end \
                     (with GUICHE_RUN_DIR elsewhere both run, and measure each other)"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::Scratch;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let scratch = Scratch::new("lock");
        let first = Machine::take_in(scratch.path(), "experiment hot").expect("nobody has it");
        let error = Machine::take_in(scratch.path(), "contest").expect_err("it is taken").to_string();
        assert!(error.contains(&format!("(experiment hot, pid {})", std::process::id())), "{error}");
        drop(first);
        Machine::take_in(scratch.path(), "contest").expect("it is free again");
    }
}
