//! What a service used, in the kernel's own accounting.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::procfs;
use crate::split::{Service, Split};

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
    /// Processes that the kernel killed at the memory limit.
    pub oom_kills: u64,
}

impl Usage {
    /// Of a process and all its descendants, from `/proc`: near enough where there is no cgroup.
    pub fn of_tree(pid: u32) -> Usage {
        let mut usage = Usage::default();
        for process in procfs::tree(pid) {
            usage.cpu += process.cpu;
            usage.anonymous_bytes += process.anonymous_bytes;
            // The same segment appears in each process that has touched it.
            usage.shared_bytes = usage.shared_bytes.max(process.shared_bytes);
        }
        usage
    }
}

/// One service's [`Usage`] beside its limits.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceUsage {
    /// The service's name, as the Compose file has it.
    pub service: &'static str,
    /// CPU time since its start.
    #[serde(rename = "cpu_seconds", serialize_with = "seconds")]
    pub cpu: Duration,
    /// How long its quota held it up.
    #[serde(rename = "throttled_seconds", serialize_with = "seconds")]
    pub throttled: Duration,
    /// See [`Usage::anonymous_bytes`].
    pub anonymous_bytes: u64,
    /// See [`Usage::shared_bytes`].
    pub shared_bytes: u64,
    /// See [`Usage::cache_bytes`].
    pub cache_bytes: u64,
    /// See [`Usage::oom_kills`].
    pub oom_kills: u64,
    /// The enforced CPU limit, in cores.
    pub cpu_limit: Option<f64>,
    /// The enforced memory limit.
    pub memory_limit_bytes: Option<u64>,
}

impl ServiceUsage {
    /// What `service` used, beside the limits that the split gives it; `None` where nothing
    /// enforces them.
    pub fn new(service: Service, usage: Usage, split: Option<&Split>) -> ServiceUsage {
        ServiceUsage {
            service: service.name(),
            cpu: usage.cpu,
            throttled: usage.throttled,
            anonymous_bytes: usage.anonymous_bytes,
            shared_bytes: usage.shared_bytes,
            cache_bytes: usage.cache_bytes,
            oom_kills: usage.oom_kills,
            cpu_limit: split.map(|split| split.cpus(service)),
            memory_limit_bytes: split.map(|_| service.memory_bytes()),
        }
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
