//! What is done to a server on purpose: a slow or a full disk, a wrong clock, all its processes standing
//! still.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

use super::{Cluster, StopMode, working_in};
use crate::files::files_in;
use crate::preload::Preload;

/// The size of a segment of the write-ahead log, in bytes.
const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// A small disk in memory. Dropped, it is gone with what is on it.
#[derive(Debug)]
pub struct SmallDisk {
    point: PathBuf,
}

/// All processes of a server, standing still. Dropped, they go on.
#[derive(Debug)]
pub struct StandingStill(PathBuf);

impl Cluster {
    /// Has every fsync and fdatasync of the server take `delay` longer from here on; the first time the server is
    /// started again for it. What making a database costs is thus not delayed: it syncs hundreds of files.
    ///
    /// # Errors
    /// When the library that does it is missing, or as for [`Cluster::start_again`].
    pub async fn delay_fsync(&mut self, delay: Duration) -> Result<()> {
        self.preload(|preload| preload.delay_fsync(delay)).await
    }

    /// Sets the server's wall clock so many seconds forward, or back, from the machine's; the first time the
    /// server is started again for it.
    ///
    /// # Errors
    /// As for [`Cluster::delay_fsync`].
    pub async fn shift_clock(&mut self, seconds: i64) -> Result<()> {
        self.preload(|preload| preload.shift_clock(seconds)).await
    }

    /// Does something with the library, and sees to it that the server has loaded it.
    async fn preload(&mut self, act: impl FnOnce(&Preload) -> Result<()>) -> Result<()> {
        if let Some(preload) = &self.preload {
            return act(preload);
        }
        let preload = Preload::new(&self.directory)?;
        act(&preload)?;
        self.preload = Some(preload);
        self.stop(StopMode::Fast).await?;
        self.start_again().await
    }

    /// Has all its processes stand still.
    pub fn stand_still(&self) -> StandingStill {
        signal_all(&self.data, Signal::SIGSTOP);
        StandingStill(self.data.clone())
    }

    /// Mounts a disk in memory of so many bytes on a directory of that name beside the data, for the server.
    ///
    /// # Errors
    /// When this is not root, or the kernel does not permit it.
    pub fn small_disk(&self, name: &str, bytes: u64) -> Result<SmallDisk> {
        ensure!(Uid::effective().is_root(), "only root can mount a disk");
        SmallDisk::mount(self, &self.directory.join(name), bytes)
    }

    /// Stops the server, puts its write-ahead log on a disk of three segments, and starts it again.
    ///
    /// # Errors
    /// As for [`Cluster::small_disk`] and [`Cluster::start_again`].
    pub async fn shrink_log(&mut self) -> Result<SmallDisk> {
        self.stop(StopMode::Fast).await?;
        let (log, large) = (self.data.join("pg_wal"), self.directory.join("pg_wal"));
        fs::rename(&log, &large).context("cannot put the write-ahead log aside")?;
        let disk = SmallDisk::mount(self, &log, 3 * SEGMENT_BYTES)?;
        fs::create_dir(log.join("archive_status")).context("cannot make a directory for the log")?;
        self.hand_over(&log.join("archive_status"))?;
        // After a shutdown in order, the segment with the last checkpoint is all that is needed.
        self.copy(&large.join(self.redo_segment()?), &log)?;
        self.start_again().await?;
        Ok(disk)
    }

    /// Undoes [`Cluster::shrink_log`], whether the server still runs or not.
    ///
    /// # Errors
    /// When the files cannot be moved, or as for [`Cluster::start_again`].
    pub async fn widen_log(&mut self, disk: SmallDisk) -> Result<()> {
        // Not in order: told so during recovery, PostgreSQL 15 does not end.
        self.stop(StopMode::Immediate).await?;
        let (log, large) = (self.data.join("pg_wal"), self.directory.join("pg_wal"));
        for segment in files_in(&large, None)?.into_iter().filter(|file| is_segment(file)) {
            fs::remove_file(&segment).context("cannot remove an old segment")?;
        }
        for segment in files_in(&log, None)?.into_iter().filter(|file| is_segment(file)) {
            self.copy(&segment, &large)?;
        }
        drop(disk);
        fs::remove_dir(&log).and_then(|()| fs::rename(&large, &log)).context("cannot move the log back")?;
        self.start_again().await
    }

    fn redo_segment(&self) -> Result<String> {
        let output = std::process::Command::new(self.bin.join("pg_controldata")).arg(&self.data).output();
        let said = output.context("cannot run pg_controldata")?.stdout;
        let said = String::from_utf8_lossy(&said);
        let line = said.lines().find_map(|line| line.strip_prefix("Latest checkpoint's REDO WAL file:"));
        Ok(line.context("pg_controldata names no segment")?.trim().to_owned())
    }

    fn copy(&self, file: &Path, directory: &Path) -> Result<()> {
        let copy = directory.join(file.file_name().unwrap_or_default());
        fs::copy(file, &copy).with_context(|| format!("cannot copy {}", file.display()))?;
        self.hand_over(&copy)
    }
}

impl SmallDisk {
    fn mount(cluster: &Cluster, point: &Path, bytes: u64) -> Result<SmallDisk> {
        fs::create_dir_all(point).with_context(|| format!("cannot make {}", point.display()))?;
        let options = format!("size={bytes},mode=0700");
        mount(Some("small"), point, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))
            .with_context(|| format!("cannot mount a disk on {}", point.display()))?;
        let disk = SmallDisk { point: point.to_owned() };
        cluster.hand_over(point)?;
        Ok(disk)
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.point
    }

    /// Fills it to the last byte.
    ///
    /// # Errors
    /// When its ballast cannot be written, for another reason than want of space.
    pub fn fill(&self) -> Result<()> {
        let mut ballast = File::create(self.ballast()).context("cannot make a ballast")?;
        for chunk in [vec![0; 1 << 20], vec![0; 1 << 10]] {
            while match ballast.write(&chunk) {
                Ok(written) => written > 0,
                Err(error) if error.kind() == io::ErrorKind::StorageFull => false,
                Err(error) => return Err(error).context("cannot write the ballast"),
            } {}
        }
        Ok(())
    }

    /// Makes room again.
    ///
    /// # Errors
    /// When the ballast cannot be removed.
    pub fn make_room(&self) -> Result<()> {
        fs::remove_file(self.ballast()).context("cannot remove the ballast")
    }

    fn ballast(&self) -> PathBuf {
        self.point.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still has a file open on it keeps it until then.
        if let Err(error) = umount2(&self.point, MntFlags::MNT_DETACH) {
            eprintln!("cannot unmount {}: {error}", self.point.display());
        }
    }
}

impl Drop for StandingStill {
    fn drop(&mut self) {
        signal_all(&self.0, Signal::SIGCONT);
    }
}

fn signal_all(directory: &Path, signal: Signal) {
    for process in working_in(directory) {
        // One that has just ended needs no signal.
        let _ = kill(Pid::from_raw(process.pid), signal);
    }
}

/// Returns whether it is a segment of the write-ahead log by its name: 24 digits.
fn is_segment(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.len() == 24 && name.bytes().all(|letter| letter.is_ascii_hexdigit())
}
