//! How long an instance stood still because its slice of CPU time was used up, by its cgroup's account.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The account is read no more often, in microseconds.
const APART: u64 = 1_000;

/// Times at which it stood still that are remembered.
const REMEMBERED: usize = 256;

/// The account of the process's own cgroup.
pub(super) struct Slices {
    account: File,
    seen: Mutex<Seen>,
}

/// What was seen so far. Microseconds; moments since the epoch.
#[derive(Default)]
struct Seen {
    at: u64,
    still: u64,
    stood: VecDeque<Stood>,
}

/// It stood still for so long, at some time between two readings.
struct Stood {
    from: u64,
    to: u64,
    micros: u64,
}

impl Slices {
    /// Opens the account, where there is a quota of CPU.
    pub(super) fn open(now: u64) -> Option<Self> {
        let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let opened = accounts(&cgroups).into_iter().filter_map(|path| File::open(path).ok());
        opened.filter_map(|account| Self::of(account, now)).next()
    }

    fn of(account: File, now: u64) -> Option<Self> {
        let seen = Seen { at: now, still: still(&account)?, stood: VecDeque::new() };
        Some(Self { account, seen: Mutex::new(seen) })
    }

    /// Returns for how long it stood still between two moments, of which the second is now: at most so long, as the
    /// account does not say when.
    pub(super) fn between(&self, from: u64, now: u64) -> u64 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(seen.at) >= APART
            && let Some(still) = still(&self.account)
        {
            let stood = Stood { from: seen.at, to: now, micros: still.saturating_sub(seen.still) };
            (seen.at, seen.still) = (now, still);
            if stood.micros > 0 {
                seen.stood.push_back(stood);
            }
            if seen.stood.len() > REMEMBERED {
                seen.stood.pop_front();
            }
        }
        let stood = seen.stood.iter().rev().take_while(|stood| stood.to > from);
        stood.map(|stood| stood.micros.min(stood.to - stood.from.max(from))).sum()
    }
}

/// Returns where the account may be, by the kernel's list of the cgroups that a process is in: in the older hierarchies, in
/// the newer one, or at the top, which is what a container sees of its own.
fn accounts(cgroups: &str) -> Vec<PathBuf> {
    let places = cgroups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let is_wanted =
            controllers.is_empty() || controllers.split(',').any(|controller| controller == "cpu");
        is_wanted.then(|| format!("/sys/fs/cgroup/{controllers}{path}/cpu.stat"))
    });
    let tops = ["cpu/", "cpu,cpuacct/", ""].map(|top| format!("/sys/fs/cgroup/{top}cpu.stat"));
    places.chain(tops).map(PathBuf::from).collect()
}

/// Reads for how long it stood still in all, in microseconds.
fn still(account: &File) -> Option<u64> {
    let mut bytes = [0; 1_024];
    let length = account.read_at(&mut bytes, 0).ok()?;
    let text = std::str::from_utf8(&bytes[..length]).ok()?;
    let number =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    number("throttled_usec ").or_else(|| Some(number("throttled_time ")? / 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_stood_still_is_shared_out_to_whom_it_met() {
        let path = std::env::temp_dir().join(format!("guiche-cpu-stat-{}", std::process::id()));
        let write = |text: &str| fs::write(&path, text).expect("writable");
        write("nr_throttled 1\nthrottled_time 5000000\n");
        let slices = Slices::of(File::open(&path).expect("it is there"), 10_000).expect("an account");
        assert_eq!(slices.between(10_000, 12_000), 0);
        write("nr_throttled 2\nthrottled_time 35000000\n");
        assert_eq!(slices.between(11_000, 12_500), 0, "it is not read so soon");
        assert_eq!(slices.between(11_000, 52_000), 30_000);
        assert_eq!(slices.between(40_000, 52_400), 12_000, "no more than its own time");
        assert_eq!(slices.between(52_000, 54_000), 0, "it is over");
        write("nr_throttled 2\nthrottled_usec 36000\n");
        assert_eq!(slices.between(53_000, 56_000), 1_000);
        fs::remove_file(&path).expect("it is ours");
    }

    #[test]
    fn the_account_is_looked_for_where_it_may_be() {
        let found = |cgroups: &str| accounts(cgroups)[0].display().to_string();
        assert_eq!(found("4:memory:/m\n1:cpu:/run/api1\n0::/\n"), "/sys/fs/cgroup/cpu/run/api1/cpu.stat");
        assert_eq!(found("0::/run/api1\n"), "/sys/fs/cgroup//run/api1/cpu.stat");
    }
}
