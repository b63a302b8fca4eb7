//! The machine as a whole: how busy it was, and what it is.

use std::fs;

use anyhow::{Context, Result};

/// CPU time of the whole machine since its start, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    idle: u64,
    all: u64,
}

impl Busy {
    /// As of now.
    ///
    /// # Errors
    /// When `/proc/stat` cannot be read.
    pub fn now() -> Result<Busy> {
        let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
        Busy::parse(&text).context("/proc/stat is not as proc(5) says")
    }

    /// The share of the machine's CPU time since `earlier` that nobody wanted, 0 to 1.
    pub fn idle_share_since(&self, earlier: &Busy) -> f64 {
        let all = self.all.saturating_sub(earlier.all).max(1);
        self.idle.saturating_sub(earlier.idle) as f64 / all as f64
    }

    /// The first line has user, nice, system, idle, iowait, irq, softirq, steal; guests are in user.
    fn parse(text: &str) -> Option<Busy> {
        let line = text.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> =
            line.split_whitespace().take(8).map(|tick| tick.parse().ok()).collect::<Option<_>>()?;
        Some(Busy { idle: ticks.get(3)? + ticks.get(4)?, all: ticks.iter().sum() })
    }
}

/// The processor's name and the number of CPUs, and the kernel.
pub fn describe() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let name = name.map_or("an unknown processor", |(_, name)| name.trim());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cpus} CPUs ({name}), Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_is_a_share_of_all_time() {
        let before = Busy::parse("cpu  100 0 50 800 10 0 0 40 5 0\ncpu0 1").expect("it is complete");
        assert_eq!(before, Busy { idle: 810, all: 1_000 });
        let after = Busy { idle: 860, all: 1_200 };
        assert_eq!(after.idle_share_since(&before), 0.25);
        assert_eq!(Busy::parse("cpu  1 2"), None);
    }
}
