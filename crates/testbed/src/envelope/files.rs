//! What the kernel's files of a cgroup say, in both versions: `rss` (v1) and `anon` (v2) are its anonymous memory,
//! shared memory and page cache apart.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::usage::Usage;

/// The files of one cgroup, which version 1 has in several directories.
pub(super) struct Files(pub(super) Vec<PathBuf>);

impl Files {
    pub(super) fn read(&self, name: &str) -> Result<String> {
        let path = self.0.iter().map(|directory| directory.join(name)).find(|path| path.exists());
        let path = path.with_context(|| format!("no file {name} in {:?}", self.0))?;
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Makes sure that the kernel has taken that quota.
    pub(super) fn check_quota(&self, quota: i64) -> Result<()> {
        let set = self.read("cpu.cfs_quota_us").or_else(|_| self.read("cpu.max"))?;
        ensure!(first_number(&set) == Some(quota), "the CPU quota is {:?} instead of {quota}", set.trim());
        Ok(())
    }
}

/// Reads `cpu.stat` of both versions.
pub(super) fn throttled(cpu: &str) -> Result<Duration> {
    let nanos = number(cpu, "throttled_time").map(Duration::from_nanos);
    nanos.or_else(|_| number(cpu, "throttled_usec").map(Duration::from_micros))
}

pub(super) fn first_number(text: &str) -> Option<i64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Returns the number on the line of `name`.
pub(super) fn number(text: &str, name: &str) -> Result<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let value = lines.find_map(|(line, value)| (line == name).then_some(value));
    let value = value.with_context(|| format!("no {name} in the kernel's accounting"))?;
    value.trim().parse().with_context(|| format!("{name} is {value:?} in the kernel's accounting"))
}

/// Reads both versions: `cpu` is `cpu.stat`; `accounted` is `cpuacct.usage` (nanoseconds), which only version 1
/// has; `memory` is `memory.stat`. Sizes are in bytes in both, and file pages include shared memory.
pub(super) fn decode(cpu: &str, accounted: Option<&str>, memory: &str) -> Result<Usage> {
    let shared_bytes = number(memory, "shmem")?;
    let (cpu, throttled, anonymous, file) = match accounted {
        Some(nanos) => (
            Duration::from_nanos(nanos.trim().parse().context("cpuacct.usage is no number")?),
            throttled(cpu)?,
            "rss",
            "cache",
        ),
        None => (Duration::from_micros(number(cpu, "usage_usec")?), throttled(cpu)?, "anon", "file"),
    };
    let anonymous_bytes = number(memory, anonymous)?;
    let cache_bytes = number(memory, file)?.saturating_sub(shared_bytes);
    Ok(Usage { cpu, throttled, anonymous_bytes, shared_bytes, cache_bytes, ..Usage::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_is_read_in_its_units() {
        let cpu = "nr_periods 10\nnr_throttled 2\nthrottled_time 3000000\n";
        let memory = "cache 5000\nrss 7000\nshmem 1000\ntotal_rss 7000\n";
        let usage = decode(cpu, Some("1500000000\n"), memory).expect("it is complete");
        assert_eq!(usage.cpu, Duration::from_millis(1500));
        assert_eq!(usage.throttled, Duration::from_millis(3));
        assert_eq!((usage.anonymous_bytes, usage.shared_bytes, usage.cache_bytes), (7000, 1000, 4000));
    }

    #[test]
    fn version_2_is_read_in_its_units() {
        let cpu = "usage_usec 1500000\nuser_usec 1000000\nnr_throttled 2\nthrottled_usec 3000\n";
        let memory = "anon 7000\nfile 5000\nkernel 300\nshmem 1000\n";
        let usage = decode(cpu, None, memory).expect("it is complete");
        assert_eq!(usage.cpu, Duration::from_millis(1500));
        assert_eq!(usage.throttled, Duration::from_millis(3));
        assert_eq!((usage.anonymous_bytes, usage.shared_bytes, usage.cache_bytes), (7000, 1000, 4000));
    }

    #[test]
    fn a_limit_is_the_first_number() {
        assert_eq!(first_number("40000 100000\n"), Some(40_000));
        assert_eq!(first_number("-1\n"), Some(-1));
        assert_eq!(first_number("max 100000\n"), None);
    }

    #[test]
    fn a_file_that_lacks_a_line_is_an_error() {
        let error = decode("", None, "anon 1\nfile 1\nshmem 0\n").expect_err("no usage_usec");
        assert!(error.to_string().contains("usage_usec"), "{error}");
    }
}
