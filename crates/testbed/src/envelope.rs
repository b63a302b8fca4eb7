//! The contest's limits, enforced by the kernel: one cgroup per service.
//!
//! The library knows where the hierarchies are mounted and how both versions write a limit. What
//! a service used is read from the cgroup's own files (`files`), which count every process that ever was in it.

mod files;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cgroups_rs::fs::cgroup_builder::CgroupBuilder;
use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::{Cgroup, hierarchies};

use self::files::{Files, decode, first_number, number, throttled};
use crate::split::{Service, Share, Split};
use crate::usage::Usage;

/// The slice of time in which a quota is given out: what Docker uses.
const PERIOD: Duration = Duration::from_millis(100);

/// A cgroup for each service with its limits set. [`Envelope::remove`] them when the services have ended.
#[derive(Debug)]
pub struct Envelope {
    boxes: Vec<(Service, Cgroup)>,
}

impl Envelope {
    /// Makes the cgroups `NAME-SERVICE` of a stack of so many instances and sets the limits.
    ///
    /// # Errors
    /// When this is not permitted here, or limits are not taken; nothing is left behind then.
    pub fn create(name: &str, split: &Split, instances: usize) -> Result<Envelope> {
        let of_service = |service: Service| {
            (service, format!("{name}-{}", service.name()), split.share(service, instances))
        };
        Envelope::of(Service::of(instances).into_iter().map(of_service))
    }

    /// Makes the cgroup `path` of one more database server and sets its limits.
    ///
    /// # Errors
    /// As for [`Envelope::create`].
    pub fn of_server(path: String, share: Share) -> Result<Envelope> {
        Envelope::of(std::iter::once((Service::Database, path, share)))
    }

    fn of(mut shares: impl Iterator<Item = (Service, String, Share)>) -> Result<Envelope> {
        let mut envelope = Envelope { boxes: Vec::new() };
        let result = shares.try_for_each(|(service, path, share)| {
            let made = create(&path, share);
            envelope.boxes.push((service, load(&path)));
            made.with_context(|| format!("the cgroup {path}"))
        });
        match result {
            Ok(()) => Ok(envelope),
            Err(error) => {
                let _ = envelope.remove();
                Err(error)
            }
        }
    }

    /// Sets other limits of CPU, given out in slices of `period`, of which the kernel takes no
    /// quota below 1 ms.
    ///
    /// # Errors
    /// When one is not taken.
    pub fn limit_cpu(&self, split: &Split, period: Duration) -> Result<()> {
        for (service, cgroup) in &self.boxes {
            let (quota, period) = quota(split.share(*service, self.instances()).cpus, period);
            let name = service.name();
            let cpu: &CpuController = cgroup.controller_of().with_context(|| format!("no CPU of {name}"))?;
            cpu.set_cfs_quota_and_period(Some(quota), Some(period))
                .with_context(|| format!("the CPU quota of {name}"))?;
            Files(directories(cgroup)).check_quota(quota).with_context(|| name)?;
        }
        Ok(())
    }

    /// Returns the files that a process of `service` writes its pid to before it starts.
    pub fn procs(&self, service: Service) -> Vec<PathBuf> {
        self.directories_of(service).into_iter().map(|directory| directory.join("cgroup.procs")).collect()
    }

    /// Returns the directories of all the cgroups.
    pub fn directories(&self) -> Vec<PathBuf> {
        self.boxes.iter().flat_map(|(service, _)| self.directories_of(*service)).collect()
    }

    fn instances(&self) -> usize {
        self.boxes.iter().filter(|(service, _)| matches!(service, Service::Api(_))).count()
    }

    /// Returns what `service` has used since its start.
    ///
    /// # Errors
    /// When the kernel's files are not as they should be.
    pub fn usage(&self, service: Service) -> Result<Usage> {
        let files = Files(self.directories_of(service));
        let (cpu, memory) = (files.read("cpu.stat")?, files.read("memory.stat")?);
        let mut usage = decode(&cpu, files.read("cpuacct.usage").ok().as_deref(), &memory)?;
        // Each version has these in files of its own, and old kernels have none.
        let events = files.read("memory.events").or_else(|_| files.read("memory.oom_control"));
        let peak = files.read("memory.peak").or_else(|_| files.read("memory.max_usage_in_bytes"));
        usage.peak_bytes = peak.ok().and_then(|peak| peak.trim().parse().ok()).unwrap_or(0);
        usage.oom_kills = number(&events.unwrap_or_default(), "oom_kill").unwrap_or(0);
        Ok(usage)
    }

    /// Returns how often `service` has used up its quota so far.
    ///
    /// # Errors
    /// When the kernel's files are not as they should be.
    pub fn throttling(&self, service: Service) -> Result<Throttling> {
        let cpu = Files(self.directories_of(service)).read("cpu.stat")?;
        Ok(Throttling { periods: number(&cpu, "nr_periods")?, throttled: number(&cpu, "nr_throttled")? })
    }

    /// Returns what reads over and over again how long each service had to wait for its quota.
    pub fn throttle_meter(&self) -> ThrottleMeter {
        let file = |service| {
            let mut files =
                self.directories_of(service).into_iter().map(|directory| directory.join("cpu.stat"));
            files.find(|path| path.exists())
        };
        ThrottleMeter(Service::ALL.map(file))
    }

    /// Takes a process out of its cgroups: what it does from now on is not the service's. For a
    /// session of the database that only watches.
    ///
    /// # Errors
    /// When the kernel refuses, as it does where the cgroups above take no processes.
    pub fn release(&self, pid: u32) -> Result<()> {
        for procs in self.outside() {
            fs::write(&procs, pid.to_string())
                .with_context(|| format!("cannot move process {pid} to {}", procs.display()))?;
        }
        Ok(())
    }

    /// Returns the files that take a process of the database out of its cgroups when its pid is written to them.
    pub fn outside(&self) -> Vec<PathBuf> {
        let parent = |directory: PathBuf| directory.parent().unwrap_or(&directory).join("cgroup.procs");
        self.directories_of(Service::Database).into_iter().map(parent).collect()
    }

    /// Removes the cgroups.
    ///
    /// # Errors
    /// When one still has processes.
    pub fn remove(&self) -> Result<()> {
        let results: Vec<_> = self.boxes.iter().map(|(_, cgroup)| cgroup.delete()).collect();
        results.into_iter().collect::<Result<(), _>>().context("a cgroup cannot be removed")?;
        let left: Vec<_> = self.directories().into_iter().filter(|directory| directory.exists()).collect();
        ensure!(left.is_empty(), "cgroups are left behind: {left:?}");
        Ok(())
    }

    fn directories_of(&self, service: Service) -> Vec<PathBuf> {
        let of_service = self.boxes.iter().filter(|(owner, _)| *owner == service);
        let mut directories: Vec<PathBuf> = of_service.flat_map(|(_, cgroup)| directories(cgroup)).collect();
        directories.sort();
        directories.dedup();
        directories
    }
}

/// Reads cheaply how long each of the contest's four services had to wait for its quota; without limits nobody has
/// to. Of further instances it knows nothing.
#[derive(Clone, Debug, Default)]
pub struct ThrottleMeter([Option<PathBuf>; 4]);

impl ThrottleMeter {
    /// Returns how long since the start, summed over CPUs, in the order of [`Service::ALL`]. The kernel adds a
    /// wait when it is over. Zero where that cannot be read.
    pub fn now(&self) -> [Duration; 4] {
        self.0.each_ref().map(|path| {
            let text = path.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
            throttled(&text).unwrap_or_default()
        })
    }
}

/// Slices of time in which a service wanted to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// All of them.
    pub periods: u64,
    /// Those in which its quota was used up, and it had to wait for the next.
    pub throttled: u64,
}

impl Throttling {
    /// Returns the share of slices since `earlier` in which the quota was used up, 0 to 1.
    pub fn share_since(&self, earlier: &Throttling) -> f64 {
        let periods = self.periods.saturating_sub(earlier.periods);
        let throttled = self.throttled.saturating_sub(earlier.throttled);
        if periods == 0 { 0.0 } else { throttled as f64 / periods as f64 }
    }
}

/// Makes one cgroup. The limits are read back: a hierarchy without the controllers (a container's,
/// say) takes writes that change nothing, or has no files to write to.
fn create(path: &str, Share { cpus, memory_bytes }: Share) -> Result<()> {
    let (quota, period) = quota(cpus, PERIOD);
    let limit = i64::try_from(memory_bytes).context("a limit beyond 63 bits")?;
    let cgroup = CgroupBuilder::new(path)
        .set_specified_controllers(controllers())
        .cpu()
        .period(period)
        .quota(quota)
        .done()
        .memory()
        .memory_hard_limit(limit)
        .done()
        .build(hierarchies::auto())?;
    let files = Files(directories(&cgroup));
    files.check_quota(quota)?;
    let set_limit = files.read("memory.limit_in_bytes").or_else(|_| files.read("memory.max"))?;
    ensure!(
        first_number(&set_limit) == Some(limit),
        "the memory limit is {:?} instead of {limit}",
        set_limit.trim()
    );
    Ok(())
}

/// Returns the quota of a slice and the slice itself, both in microseconds.
fn quota(cpus: f64, period: Duration) -> (i64, u64) {
    let micros = period.as_secs_f64() * 1e6;
    ((cpus * micros).round() as i64, micros.round() as u64)
}

fn load(path: &str) -> Cgroup {
    Cgroup::load_with_specified_controllers(hierarchies::auto(), path, controllers())
}

/// Returns the controllers: in version 1, `cpuacct` counts what `cpu` limits; version 2 has it in `cpu`.
fn controllers() -> Vec<String> {
    let names: &[&str] =
        if hierarchies::auto().v2() { &["cpu", "memory"] } else { &["cpu", "cpuacct", "memory"] };
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn directories(cgroup: &Cgroup) -> Vec<PathBuf> {
    cgroup.subsystems().iter().map(|subsystem| subsystem.to_controller().path().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_is_a_share_of_the_slices() {
        let before = Throttling { periods: 100, throttled: 10 };
        assert_eq!(Throttling { periods: 180, throttled: 50 }.share_since(&before), 0.5);
        assert_eq!(before.share_since(&before), 0.0);
    }
}
