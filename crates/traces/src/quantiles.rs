//! Distributions of durations in constant memory.

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest duration that is told apart: an hour, in microseconds. Longer ones count as that.
const LONGEST_MICROS: u64 = 3_600_000_000;

/// Durations in microseconds, kept to two digits; at most about 15 kB.
#[derive(Clone, Debug)]
pub(super) struct Quantiles {
    histogram: Histogram<u32>,
    max: u64,
}

/// What is said of a distribution, in microseconds; quantiles to within 1%.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Durations {
    /// How many.
    pub count: u64,
    /// The median.
    pub p50: u64,
    /// 99 of 100 are at most this.
    pub p99: u64,
    /// The longest, exactly.
    pub max: u64,
}

impl Default for Quantiles {
    fn default() -> Self {
        let mut histogram = Histogram::new(2).expect("two digits are within the crate's bounds");
        histogram.auto(true);
        Self { histogram, max: 0 }
    }
}

impl Quantiles {
    pub(super) fn add(&mut self, micros: u64) {
        // Fails only beyond a range that resizes itself.
        let _ = self.histogram.record(micros.min(LONGEST_MICROS));
        self.max = self.max.max(micros);
    }

    pub(super) fn durations(&self) -> Durations {
        let at = |quantile| self.histogram.value_at_quantile(quantile).min(self.max);
        Durations { count: self.histogram.len(), p50: at(0.5), p99: at(0.99), max: self.max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near_and_the_maximum_is_exact() {
        let mut quantiles = Quantiles::default();
        (1..=1_000).for_each(|millis| quantiles.add(millis * 1_000));
        let durations = quantiles.durations();
        assert_eq!((durations.count, durations.max), (1_000, 1_000_000));
        assert!(durations.p50.abs_diff(500_000) <= 5_000, "{durations:?}");
        assert!(durations.p99.abs_diff(990_000) <= 10_000, "{durations:?}");
    }

    #[test]
    fn any_number_is_taken() {
        let mut quantiles = Quantiles::default();
        [0, 1, u64::MAX].into_iter().for_each(|micros| quantiles.add(micros));
        assert_eq!((quantiles.durations().count, quantiles.durations().max), (3, u64::MAX));
        assert_eq!(Quantiles::default().durations(), Durations::default());
    }
}
