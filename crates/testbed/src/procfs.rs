//! What `/proc` tells about running processes, see proc(5).

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

/// What one process used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessUsage {
    /// Its CPU time and that of the children it has waited for.
    pub cpu: Duration,
    /// Its anonymous memory.
    pub anonymous_bytes: u64,
    /// The shared memory it has touched.
    pub shared_bytes: u64,
}

/// The processes whose working directory is `directory` or below it. PostgreSQL's all work in
/// their data directory, which is how the children of a killed postmaster are found.
pub fn working_in(directory: &Path) -> Vec<u32> {
    pids()
        .filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(directory)))
        .collect()
}

/// What a process and all its descendants use. One that ends meanwhile is left out.
pub fn tree(root: u32) -> Vec<ProcessUsage> {
    let stats: HashMap<u32, Stat> = pids().filter_map(|pid| Some((pid, Stat::read(pid)?))).collect();
    let tick = tick();
    let belongs = |mut pid: u32| {
        while pid != root {
            match stats.get(&pid) {
                Some(stat) if stat.parent != 0 => pid = stat.parent,
                _ => return false,
            }
        }
        true
    };
    stats.iter().filter(|(pid, _)| belongs(**pid)).map(|(pid, stat)| stat.usage(*pid, tick)).collect()
}

/// What is needed of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Stat> {
        Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name in parentheses may hold anything, so fields are counted from its end: the state is
    /// the third field, the parent the fourth, the four times the fourteenth to seventeenth.
    fn parse(text: &str) -> Option<Stat> {
        let (_, after_name) = text.rsplit_once(')')?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let parent = fields.get(1)?.parse().ok()?;
        let times = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok());
        Some(Stat { parent, ticks: times.sum::<Option<u64>>()? })
    }

    fn usage(&self, pid: u32, tick: Duration) -> ProcessUsage {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        ProcessUsage {
            cpu: tick * u32::try_from(self.ticks).unwrap_or(u32::MAX),
            anonymous_bytes: status_bytes(&status, "RssAnon:"),
            shared_bytes: status_bytes(&status, "RssShmem:"),
        }
    }
}

/// A size of `/proc/PID/status`, where it is given in units of 1024 bytes.
fn status_bytes(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

fn tick() -> Duration {
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u32::try_from(ticks).ok());
    Duration::from_secs(1) / per_second.unwrap_or(100)
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_misleads_nobody() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 5 6 7";
        assert_eq!(Stat::parse(text), Some(Stat { parent: 7, ticks: 110 }));
        assert_eq!(Stat::parse("42 (x) S 7"), None);
    }

    #[test]
    fn sizes_are_in_bytes() {
        let status = "Name:\tx\nRssAnon:\t     12 kB\nRssShmem:\t       3 kB\n";
        assert_eq!((status_bytes(status, "RssAnon:"), status_bytes(status, "RssShmem:")), (12_288, 3_072));
        assert_eq!(status_bytes(status, "RssFile:"), 0);
    }

    #[test]
    fn this_process_is_a_tree() {
        let tree = tree(std::process::id());
        assert!(tree.iter().any(|process| process.anonymous_bytes > 0), "{tree:?}");
    }
}
