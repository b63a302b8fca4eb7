//! The machine as a whole: how busy it was, what its processes had to wait for, and what it is.

use std::time::Duration;

use anyhow::{Context, Result};
use procfs::{CpuInfo, CpuPressure, CpuTime, Current, CurrentSI, IoPressure, KernelStats, MemoryPressure};

/// CPU time of the whole machine since its start, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    idle: u64,
    all: u64,
}

impl Busy {
    /// Returns that of now.
    ///
    /// # Errors
    /// When `/proc/stat` cannot be read.
    pub fn now() -> Result<Busy> {
        Ok(Busy::of(&KernelStats::current().context("cannot read /proc/stat")?.total))
    }

    /// Returns the share of the machine's CPU time since `earlier` that nobody wanted, 0 to 1.
    pub fn idle_share_since(&self, earlier: &Busy) -> f64 {
        let all = self.all.saturating_sub(earlier.all).max(1);
        self.idle.saturating_sub(earlier.idle) as f64 / all as f64
    }

    /// Adds up the ticks; guests are in user.
    fn of(time: &CpuTime) -> Busy {
        let idle = time.idle + time.iowait.unwrap_or(0);
        let late = [time.irq, time.softirq, time.steal].map(Option::unwrap_or_default);
        Busy { idle, all: idle + time.user + time.nice + time.system + late.iter().sum::<u64>() }
    }
}

/// How long since the start some process of the machine had to wait, and what for; zero where the kernel does
/// not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// For a CPU.
    pub cpu: Duration,
    /// For a disk.
    pub io: Duration,
    /// For memory.
    pub memory: Duration,
    /// For a CPU that the hypervisor gave to others, summed over CPUs.
    pub steal: Duration,
}

impl Pressure {
    /// Returns that of now.
    pub fn now() -> Pressure {
        let steal = KernelStats::current().ok().and_then(|stats| stats.total.steal_duration());
        Pressure {
            cpu: Duration::from_micros(CpuPressure::current().map_or(0, |cpu| cpu.some.total)),
            io: Duration::from_micros(IoPressure::current().map_or(0, |io| io.some.total)),
            memory: Duration::from_micros(MemoryPressure::current().map_or(0, |memory| memory.some.total)),
            steal: steal.unwrap_or_default(),
        }
    }
}

/// Returns the processor's name and the number of CPUs, and the kernel.
pub fn describe() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let name = CpuInfo::current().ok().and_then(|info| Some(info.model_name(0)?.to_owned()));
    let name = name.unwrap_or_else(|| "an unknown processor".to_owned());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cpus} CPUs ({name}), Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use procfs::FromBufReadSI;

    use super::*;

    #[test]
    fn idle_is_a_share_of_all_time() {
        let read = |text: &str| KernelStats::from_buf_read(text.as_bytes(), procfs::current_system_info());
        let text =
            "cpu  100 0 50 800 10 0 0 40 5 0\ncpu0 1 0 0 0 0 0 0 0 0 0\nctxt 1\nbtime 1\nprocesses 1\n";
        let before = Busy::of(&read(text).expect("it is complete").total);
        assert_eq!(before, Busy { idle: 810, all: 1_000 });
        let after = Busy { idle: 860, all: 1_200 };
        assert_eq!(after.idle_share_since(&before), 0.25);
        assert!(read("cpu  1 2").is_err());
    }
}
