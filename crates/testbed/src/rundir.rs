//! A directory for one run: sockets, logs, data, and the promise that it goes away.
//!
//! A directory that this process removes by itself stays behind when the process is killed, or
//! when it is held by a `static` (tests share a cluster that way). So each has a *janitor*: a
//! small shell that waits for the end of a pipe whose other end this process holds. However this
//! process ends, the kernel closes the pipe, and the janitor clears up what is still there once
//! nobody works in it any more.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

use crate::user::Account;

/// Where run directories are made unless `GUICHE_RUN_DIR` names another place. Not `/tmp`: that
/// is a tmpfs on many machines, and a database on it would have no fsync worth the name.
const BASE: &str = "/var/tmp";

/// The longest path of a run directory, in bytes: a socket's path below it has to fit into the
/// 107 that `sockaddr_un` has.
const MAX_PATH_BYTES: usize = 70;

/// `$1` is the directory. Lines on standard input: `keep`, or `cgroup PATH`.
const JANITOR: &str = r#"
dir=$1; keep=; cgroups=
while read -r verb path; do
    case $verb in keep) keep=1 ;; cgroup) cgroups="$cgroups $path" ;; esac
done
in_use() {
    for process in /proc/[0-9]*; do
        # One that stands still cannot end.
        case $(readlink "$process/cwd") in "$dir"/*) kill -CONT "${process#/proc/}"; return 0 ;; esac
    done
    return 1
}
tries=100
while [ -d "$dir" ] && in_use && [ $tries -gt 0 ]; do sleep 0.1; tries=$((tries - 1)); done
while read -r _ mounted _; do
    case $mounted in "$dir"/*) umount -l "$mounted" ;; esac
done </proc/self/mounts
[ -n "$keep" ] || rm -rf -- "$dir"
for path in $cgroups; do
    tries=50
    while [ -d "$path" ] && ! rmdir "$path" && [ $tries -gt 0 ]; do sleep 0.1; tries=$((tries - 1)); done
done
"#;

/// A directory that is removed when this value is dropped, or when this process has died.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    keep: bool,
    janitor: Mutex<Child>,
}

impl RunDir {
    /// Makes a fresh directory in the usual place.
    ///
    /// # Errors
    /// When it cannot be made there.
    pub fn create() -> Result<RunDir> {
        RunDir::at(&fresh_path())
    }

    /// Makes a directory at `path`, which must not exist yet.
    ///
    /// # Errors
    /// When it does, when it cannot be made, or when its path is too long for a socket below it.
    pub fn at(path: &Path) -> Result<RunDir> {
        let path =
            std::path::absolute(path).with_context(|| format!("no absolute path for {}", path.display()))?;
        let length = path.as_os_str().len();
        if length > MAX_PATH_BYTES {
            bail!(
                "{} is {length} bytes long; at most {MAX_PATH_BYTES} leave room for a socket's path",
                path.display()
            );
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        // What is there already, a link included, is refused.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        open_up(&path).with_context(|| format!("cannot open up {}", path.display()))?;
        let janitor = spawn_janitor(&path)?;
        Ok(RunDir { path, keep: false, janitor: Mutex::new(janitor) })
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps it: nothing in it is removed at the end.
    pub fn keep(&mut self) {
        self.keep = true;
        self.tell("keep");
    }

    /// Has the janitor remove this cgroup's directory too, should this process not get to it.
    pub fn adopt_cgroup(&self, directory: &Path) {
        self.tell(&format!("cgroup {}", directory.display()));
    }

    fn tell(&self, line: &str) {
        // Without a janitor there is still `Drop`.
        if let Ok(mut janitor) = self.janitor.lock()
            && let Some(pipe) = &mut janitor.stdin
        {
            let _ = writeln!(pipe, "{line}");
        }
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != ErrorKind::NotFound
        {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
        if let Ok(janitor) = self.janitor.get_mut() {
            // Closes the pipe first; the janitor finds nothing left to do.
            let _ = janitor.wait();
        }
    }
}

/// Lets pass through it who works in it and is not this user: where this is root, a group that PostgreSQL and NGINX's
/// worker are in. What is made in it belongs to that group too.
fn open_up(path: &Path) -> Result<()> {
    let account = Account::usual()?;
    if let Some(account) = &account {
        chown(path, None, Some(account.gid()))?;
    }
    // Whatever the umask is.
    let mode = if account.is_some() { 0o2710 } else { 0o700 };
    Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
}

/// Returns the path of a directory that does not exist yet, in the usual place.
pub fn fresh_path() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let base = std::env::var_os("GUICHE_RUN_DIR").map_or_else(|| PathBuf::from(BASE), PathBuf::from);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("guiche-{}-{number}", std::process::id()));
        if !path.exists() {
            return path;
        }
    }
}

fn spawn_janitor(path: &Path) -> Result<Child> {
    Command::new("sh")
        .args(["-c", JANITOR, "guiche-janitor"])
        .arg(path)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start sh")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_gone_when_dropped_and_stays_when_kept() {
        let dir = RunDir::create().expect("a run directory");
        let path = dir.path().to_owned();
        fs::write(path.join("file"), "x").expect("it is writable");
        drop(dir);
        assert!(!path.exists());

        let mut kept = RunDir::create().expect("a run directory");
        kept.keep();
        let path = kept.path().to_owned();
        drop(kept);
        assert!(path.exists());
        fs::remove_dir_all(path).expect("it is ours");
    }

    #[test]
    fn another_user_neither_looks_into_it_nor_takes_its_place() {
        let dir = RunDir::create().expect("a run directory");
        let mode = fs::metadata(dir.path()).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o067, 0, "{mode:o}: nobody lists or writes it, and others do not pass");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &link).expect("ours");
        let error = RunDir::at(&link).expect_err("a planted link");
        assert!(format!("{error:#}").contains("cannot make"), "{error:#}");
        assert!(!dir.path().join("elsewhere").exists(), "it is not followed");
    }

    #[test]
    fn the_janitor_clears_up_after_a_death() {
        let dir = RunDir::create().expect("a run directory");
        let path = dir.path().to_owned();
        // What the kernel does when a process dies: its pipes close, nothing else runs.
        let mut dir = std::mem::ManuallyDrop::new(dir);
        dir.janitor.get_mut().expect("not poisoned").wait().expect("the janitor ends");
        assert!(!path.exists());
    }
}
