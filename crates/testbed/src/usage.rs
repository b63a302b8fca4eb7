//! What a service used, in the kernel's own accounting.

use std::collections::HashMap;
use std::time::Duration;

use procfs::process::{Process, Stat, all_processes};

use crate::split::{Service, Share};

/// CPU since the start, memory now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all its processes, the ended ones included.
    pub cpu: Duration,
    /// How long it had to wait because its quota was used up, summed over CPUs; zero without one.
    pub throttled: Duration,
    /// Anonymous memory: what it has for itself and cannot be dropped.
    pub anonymous_bytes: u64,
    /// Shared memory, such as PostgreSQL's buffers.
    pub shared_bytes: u64,
    /// Page cache charged to it, which the kernel drops when asked; unknown (0) without a cgroup.
    pub cache_bytes: u64,
    /// The most that was ever charged to it, page cache and the kernel's part included; unknown (0) without a
    /// cgroup.
    pub peak_bytes: u64,
    /// Processes that the kernel killed at the memory limit.
    pub oom_kills: u64,
}

impl Usage {
    /// Returns what a process and all its descendants use, from `/proc`: near enough where there is
    /// no cgroup. A process that ends meanwhile is left out.
    pub fn of_tree(root: u32) -> Usage {
        let root = root.cast_signed();
        // Only one is open at a time, however many there are.
        let processes = all_processes().into_iter().flatten().flatten();
        let stats: HashMap<i32, Stat> =
            processes.filter_map(|process| Some((process.pid, process.stat().ok()?))).collect();
        let belongs = |stat: &Stat| {
            std::iter::successors(Some(stat), |stat| stats.get(&stat.ppid)).any(|stat| stat.pid == root)
        };
        let mut usage = Usage::default();
        stats.values().filter(|stat| belongs(stat)).for_each(|stat| usage.add(stat));
        usage
    }

    /// Adds a process, and the CPU time of the children it has waited for.
    fn add(&mut self, stat: &Stat) {
        let children = u64::try_from(stat.cutime + stat.cstime).unwrap_or_default();
        let ticks = u32::try_from(stat.utime + stat.stime + children).unwrap_or(u32::MAX);
        let per_second = u32::try_from(procfs::ticks_per_second()).unwrap_or(100);
        self.cpu += Duration::from_secs(1) / per_second * ticks;
        if let Ok(status) = Process::new(stat.pid).and_then(|process| process.status()) {
            // The file's unit is 1024 bytes.
            self.anonymous_bytes += status.rssanon.unwrap_or(0) * 1024;
            // The same segment appears in each process that has touched it.
            self.shared_bytes = self.shared_bytes.max(status.rssshmem.unwrap_or(0) * 1024);
        }
    }
}

/// One service's [`Usage`] beside its limits.
#[derive(Clone, Copy, Debug)]
pub struct ServiceUsage {
    /// The service.
    pub service: Service,
    /// What it has used since its start.
    pub used: Usage,
    /// The enforced CPU limit, in cores.
    pub cpu_limit: Option<f64>,
    /// The enforced memory limit.
    pub memory_limit_bytes: Option<u64>,
}

impl ServiceUsage {
    /// Puts what `service` used beside its limits; `None` where nothing enforces them.
    pub fn new(service: Service, used: Usage, limits: Option<Share>) -> ServiceUsage {
        let (cpu_limit, memory_limit_bytes) =
            (limits.map(|share| share.cpus), limits.map(|share| share.memory_bytes));
        ServiceUsage { service, used, cpu_limit, memory_limit_bytes }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_name_with_parentheses_misleads_nobody() {
        let dir = crate::rundir::RunDir::create().expect("a run directory");
        let program = dir.path().join("a) b (c");
        std::fs::copy("/bin/cat", &program).expect("cat is copied");
        let mut child = Command::new(&program).stdin(Stdio::piped()).spawn().expect("it starts");
        let stat = Process::new(child.id().cast_signed()).and_then(|process| process.stat());
        drop(child.stdin.take());
        child.wait().expect("it ends with its input");
        let stat = stat.expect("it was running");
        assert_eq!((&*stat.comm, stat.ppid), ("a) b (c", std::process::id().cast_signed()));
    }

    #[test]
    fn sizes_are_in_bytes() {
        const SIZE: u64 = 32 << 20;
        let before = Usage::of_tree(std::process::id()).anonymous_bytes;
        let memory = vec![1_u8; usize::try_from(SIZE).expect("it fits")];
        let after = Usage::of_tree(std::process::id()).anonymous_bytes;
        drop(std::hint::black_box(memory));
        assert!(
            before > 0 && (SIZE / 2..SIZE * 64).contains(&after.saturating_sub(before)),
            "{before} {after}"
        );
    }
}
