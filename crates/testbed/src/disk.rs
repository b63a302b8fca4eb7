//! What a directory is stored on, how long that takes to make a write durable, and how to bring it to rest.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use procfs::process::{MountInfo, MountInfos, Process};

/// Writes timed by [`Disk::of`]: the median is steady by then, and a slow disk takes half a second.
const SAMPLES: usize = 51;

/// One page of the write-ahead log, in bytes.
const PAGE_BYTES: usize = 8192;

/// The device behind a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The file system's type, such as `ext4`.
    pub file_system: String,
    /// What is mounted, such as `/dev/vda`.
    pub source: String,
    /// Whether the kernel says that it turns; `None` where it does not say.
    pub rotational: Option<bool>,
    /// The median time from a write of one page to the return of `fdatasync`.
    pub fsync: Duration,
}

impl Disk {
    /// Looks up the device of `directory`, which must be writable, and measures it.
    ///
    /// # Errors
    /// When the directory cannot be written, or the kernel's table of mounts not be read.
    pub fn of(directory: &Path) -> Result<Disk> {
        let path =
            fs::canonicalize(directory).with_context(|| format!("cannot read {}", directory.display()))?;
        let mounts = Process::myself().and_then(|process| process.mountinfo());
        let mounts = mounts.context("cannot read /proc/self/mountinfo")?;
        let (file_system, source) =
            find_mount(mounts, &path).unwrap_or_else(|| ("unknown".into(), "unknown".into()));
        let (rotational, fsync) = (rotational(&source), measure(directory)?);
        Ok(Disk { file_system, source, rotational, fsync })
    }

    /// Returns whether its files live in memory, where an fsync is free and a durable database is a lie.
    pub fn is_memory(&self) -> bool {
        ["tmpfs", "ramfs"].contains(&self.file_system.as_str())
    }
}

/// Has everything written out that the file system of `directory` still holds in memory. The kernel
/// does so by itself, but half a minute later, when what is measured would wait for it: a new cluster's
/// files alone make every commit wait for 50 to 90 ms.
///
/// # Errors
/// When the directory cannot be opened, or a write fails.
pub async fn settle(directory: &Path) -> Result<()> {
    let directory = directory.to_owned();
    let write_out = move || {
        let opened =
            File::open(&directory).with_context(|| format!("cannot open {}", directory.display()))?;
        nix::unistd::syncfs(opened)
            .with_context(|| format!("cannot write out the file system of {}", directory.display()))
    };
    tokio::task::spawn_blocking(write_out).await.context("writing out a file system died")?
}

impl std::fmt::Display for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.rotational {
            _ if self.is_memory() => ", in memory: NOT a disk, fsync costs nothing here",
            Some(true) => ", rotational",
            Some(false) => ", not rotational",
            None => "",
        };
        write!(
            f,
            "{} on {}{kind}; fsync {} µs (median)",
            self.file_system,
            self.source,
            self.fsync.as_micros()
        )
    }
}

/// Finds the type and source of the mount that `path` (absolute, without links) is below. The longest wins, the
/// later one of two that are equal.
fn find_mount(MountInfos(mounts): MountInfos, path: &Path) -> Option<(String, String)> {
    // The kernel writes a space as \040, which the library leaves so.
    let point = |mount: &MountInfo| mount.mount_point.to_string_lossy().replace("\\040", " ");
    let above = mounts.into_iter().filter(|mount| path.starts_with(point(mount)));
    let mount = above.max_by_key(|mount| point(mount).len())?;
    Some((mount.fs_type, mount.mount_source.unwrap_or_default()))
}

/// Returns what the kernel says about the block device `source`; a partition asks its whole disk.
fn rotational(source: &str) -> Option<bool> {
    let device = fs::metadata(source).ok()?.rdev();
    let block = format!("/sys/dev/block/{}:{}", nix::sys::stat::major(device), nix::sys::stat::minor(device));
    ["queue/rotational", "../queue/rotational"]
        .iter()
        .find_map(|file| fs::read_to_string(format!("{block}/{file}")).ok())
        .map(|text| text.trim() == "1")
}

/// Returns the median time of a page's write and `fdatasync` to a preallocated file, as the log does it.
fn measure(directory: &Path) -> Result<Duration> {
    let path = directory.join(format!(".fsync-{}", std::process::id()));
    let times = File::create_new(&path).and_then(|file| time_writes(&file));
    let _ = fs::remove_file(&path);
    let mut times = times.with_context(|| format!("cannot measure fsync in {}", directory.display()))?;
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

fn time_writes(file: &File) -> std::io::Result<Vec<Duration>> {
    let mut page = [0_u8; PAGE_BYTES];
    for index in 0..SAMPLES {
        file.write_all_at(&page, (index * PAGE_BYTES) as u64)?;
    }
    file.sync_all()?;
    page.fill(1);
    (0..SAMPLES)
        .map(|index| {
            let start = Instant::now();
            file.write_all_at(&page, (index * PAGE_BYTES) as u64)?;
            file.sync_data()?;
            Ok(start.elapsed())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use procfs::FromBufRead;

    use super::*;

    const TABLE: &str = "\
22 27 0:20 / /proc rw,relatime shared:12 - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
31 27 0:27 / /tmp rw,nosuid,nodev - tmpfs tmpfs rw,size=1024k
40 27 0:35 /@home /home/a\\040b rw,relatime shared:20 master:1 - btrfs /dev/nvme0n1p2 rw,space_cache=v2
";

    #[test]
    fn the_longest_mount_point_wins() {
        let table = |text: &str| MountInfos::from_buf_read(text.as_bytes()).expect("a table");
        let found = |path| find_mount(table(TABLE), Path::new(path));
        assert_eq!(found("/var/tmp/x"), Some(("ext4".into(), "/dev/vda".into())));
        assert_eq!(found("/tmp/x"), Some(("tmpfs".into(), "tmpfs".into())));
        assert_eq!(found("/tmpfiles"), Some(("ext4".into(), "/dev/vda".into())));
        assert_eq!(found("/home/a b/x"), Some(("btrfs".into(), "/dev/nvme0n1p2".into())));
        assert_eq!(find_mount(table(""), Path::new("/")), None);
    }

    #[test]
    fn memory_is_called_by_its_name() {
        let disk = Disk {
            file_system: "tmpfs".into(),
            source: "tmpfs".into(),
            rotational: None,
            fsync: Duration::from_micros(3),
        };
        assert!(disk.to_string().contains("NOT a disk"), "{disk}");
    }

    #[test]
    fn this_machine_has_a_disk() {
        let dir = crate::rundir::RunDir::create().expect("a run directory");
        let disk = Disk::of(dir.path()).expect("it can be measured");
        assert!(disk.fsync > Duration::ZERO, "{disk}");
    }
}
