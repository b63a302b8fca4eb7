//! What each service used while it was played against.

use serde::{Deserialize, Serialize};

use testbed::usage::ServiceUsage;

/// What one service used during a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceCost {
    /// The service's name.
    pub service: String,
    /// CPU time, in seconds.
    pub cpu_s: f64,
    /// How long its CPU quota held it up, in seconds.
    pub throttled_s: f64,
    /// The most anonymous memory it had, of samples taken once a second.
    pub anonymous_peak_bytes: u64,
    /// The most shared memory (PostgreSQL's buffers).
    pub shared_peak_bytes: u64,
    /// The most page cache that was charged to it.
    pub cache_peak_bytes: u64,
    /// Processes that were killed at the memory limit.
    pub oom_kills: u64,
    /// Its enforced CPU limit, in cores.
    pub cpu_limit: Option<f64>,
    /// Its enforced memory limit.
    pub memory_limit_bytes: Option<u64>,
}

/// Returns whose processes were killed at their memory limit, a sentence for each service.
pub fn killed(costs: &[ServiceCost]) -> impl Iterator<Item = String> {
    let some = costs.iter().filter(|cost| cost.oom_kills > 0);
    some.map(|cost| {
        format!("{} of {}'s processes were killed at its memory limit", cost.oom_kills, cost.service)
    })
}

/// Adds up samples of [`ServiceUsage`], the first of which is the beginning.
#[derive(Debug, Default)]
pub struct Meter {
    first: Vec<ServiceUsage>,
    costs: Vec<ServiceCost>,
}

impl Meter {
    /// Takes the next sample: the same services, in the same order, as in the first.
    pub fn sample(&mut self, usage: Vec<ServiceUsage>) {
        if self.first.is_empty() {
            self.first.clone_from(&usage);
            self.costs.resize_with(usage.len(), ServiceCost::default);
        }
        for ((cost, first), now) in self.costs.iter_mut().zip(&self.first).zip(usage) {
            let (first, used) = (&first.used, &now.used);
            *cost = ServiceCost {
                service: now.service.name().to_owned(),
                cpu_s: used.cpu.saturating_sub(first.cpu).as_secs_f64(),
                throttled_s: used.throttled.saturating_sub(first.throttled).as_secs_f64(),
                anonymous_peak_bytes: cost.anonymous_peak_bytes.max(used.anonymous_bytes),
                shared_peak_bytes: cost.shared_peak_bytes.max(used.shared_bytes),
                cache_peak_bytes: cost.cache_peak_bytes.max(used.cache_bytes),
                oom_kills: used.oom_kills.saturating_sub(first.oom_kills),
                cpu_limit: now.cpu_limit,
                memory_limit_bytes: now.memory_limit_bytes,
            };
        }
    }

    /// Returns what was used between the first sample and the last.
    pub fn into_costs(self) -> Vec<ServiceCost> {
        self.costs
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use testbed::{Service, Usage};

    use super::*;

    fn usage(cpu_ms: u64, anonymous_bytes: u64) -> ServiceUsage {
        let cpu = Duration::from_millis(cpu_ms);
        let used = Usage { cpu, anonymous_bytes, cache_bytes: 7, oom_kills: 1, ..Usage::default() };
        ServiceUsage::new(Service::Database, used, None)
    }

    #[test]
    fn time_is_the_difference_and_memory_the_peak() {
        let mut meter = Meter::default();
        for sample in [usage(500, 10), usage(900, 30), usage(1_500, 20)] {
            meter.sample(vec![sample]);
        }
        let [cost] = &meter.into_costs()[..] else { panic!("one service") };
        assert_eq!((cost.cpu_s, cost.anonymous_peak_bytes, cost.cache_peak_bytes), (1.0, 30, 7));
        assert_eq!(killed(std::slice::from_ref(cost)).next(), None, "it was before");
    }
}
