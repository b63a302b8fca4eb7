//! A run while it lasts: what is shown meanwhile, and afterwards how it went second by second.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::plan::Operation;
use super::score::Tally;
use crate::k6::Sample;
use crate::latency::{Spent, histogram, quantile};
use crate::stalls::{self, Answer, SLOW_MS, Stalls, watch::Evidence};

/// The metric of the script that has one sample for each response.
const RESPONSE_TIME: &str = "response_time";

/// k6's own, with one sample for each request that it could not start in time.
const DROPPED: &str = "dropped_iterations";

/// A curve's points: the share of responses that took at most as long.
const PERCENTILES: [f64; 16] =
    [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99, 100.0];

/// What has been seen of a run so far.
#[derive(Debug)]
pub struct Live {
    tally: Tally,
    dropped: u64,
    /// Response times in µs, three significant digits, by operation.
    times: BTreeMap<Operation, Histogram<u64>>,
    all: Histogram<u64>,
    seconds: BTreeMap<u64, Bucket>,
    /// When the open load began.
    load_since: Option<u64>,
    /// Those that may be slow.
    slow: Vec<Answer>,
}

/// The responses of one second.
#[derive(Debug, Default)]
struct Bucket {
    times_ms: Vec<f64>,
    responses: BTreeMap<Operation, u64>,
    not_right: u64,
}

impl Default for Live {
    fn default() -> Self {
        Live {
            tally: Tally::default(),
            dropped: 0,
            times: BTreeMap::new(),
            all: histogram(),
            seconds: BTreeMap::new(),
            load_since: None,
            slow: Vec::new(),
        }
    }
}

impl Live {
    /// Takes a sample in; those of other metrics are passed over.
    pub fn add(&mut self, sample: &Sample<'_>) {
        match sample.metric {
            RESPONSE_TIME => {}
            DROPPED => return self.dropped += sample.value as u64,
            _ => return,
        }
        let Some(operation) = sample.tag("operation").and_then(|name| name.parse::<Operation>().ok()) else {
            return;
        };
        let verdict = sample.tag("verdict").unwrap_or_default();
        match verdict {
            "right" => self.tally.right += 1,
            "slow" => self.tally.slow += 1,
            "inconsistent" => self.tally.inconsistent += 1,
            _ => self.tally.wrong += 1,
        }
        let micros = (sample.value * 1_000.0) as u64;
        self.all.saturating_record(micros);
        self.times.entry(operation).or_insert_with(histogram).saturating_record(micros);

        if sample.value > SLOW_MS {
            let end_s = sample.unix_ms as f64 / 1e3;
            let spent = sample.tag("timing").and_then(Spent::parse);
            self.slow.push(Answer { start_s: end_s - sample.value / 1e3, end_s, spent });
        }

        let second = self.seconds.entry(sample.unix_second()).or_default();
        second.times_ms.push(sample.value);
        *second.responses.entry(operation).or_default() += 1;
        second.not_right += u64::from(verdict != "right");
        if operation != Operation::Validations && self.load_since.is_none() {
            self.load_since = Some(sample.unix_second());
        }
    }

    /// Returns the answers so far that may be slow.
    pub fn slow(&self) -> &[Answer] {
        &self.slow
    }

    /// Returns all responses so far, by verdict.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Returns how many requests k6 could not start in time.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns within how many milliseconds that share of the responses so far came, 0 to 1.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        milliseconds(self.all.value_at_quantile(share))
    }

    /// Returns the responses in the last whole second that is known.
    pub fn rate(&self) -> usize {
        self.seconds.values().rev().nth(1).map_or(0, |second| second.times_ms.len())
    }

    /// Returns whether the open load has begun.
    pub fn is_loaded(&self) -> bool {
        self.load_since.is_some()
    }

    /// Returns the run, second by second from its first response on.
    pub fn timeline(&self) -> Vec<Second> {
        let Some((&first, _)) = self.seconds.first_key_value() else { return Vec::new() };
        let entries = self.seconds.iter();
        entries.map(|(&unix_second, bucket)| bucket.summarize(unix_second - first)).collect()
    }

    /// Returns what slow answers waited for; seconds count as in [`Live::timeline`].
    pub fn stalls(&self, evidence: &Evidence) -> Stalls {
        let begin_s = self.seconds.first_key_value().map_or(0, |(second, _)| *second) as f64;
        stalls::find(&self.slow, self.quantile_ms(0.5), evidence, begin_s)
    }

    /// Returns how the response times of each operation are distributed.
    pub fn curves(&self) -> BTreeMap<Operation, Vec<Point>> {
        let curve = |times: &Histogram<u64>| {
            let points = PERCENTILES.into_iter();
            let resolved = points.filter(|percent| is_resolved(*percent, times.len()));
            resolved
                .map(|percent| Point { percent, ms: milliseconds(times.value_at_percentile(percent)) })
                .collect()
        };
        self.times.iter().map(|(operation, times)| (*operation, curve(times))).collect()
    }
}

/// One second of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Seconds since the first response.
    pub second: u64,
    /// How many responses of each kind came.
    pub responses: BTreeMap<Operation, u64>,
    /// How many of them were slow, wrong or inconsistent.
    pub not_right: u64,
    /// Their median time.
    pub p50_ms: f64,
    /// 99 percent of them took at most as long.
    pub p99_ms: f64,
    /// The slowest of them.
    pub max_ms: f64,
}

/// A point of a distribution: `percent` of the responses took at most `ms`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The share.
    pub percent: f64,
    /// The time.
    pub ms: f64,
}

impl Bucket {
    fn summarize(&self, second: u64) -> Second {
        let mut times = self.times_ms.clone();
        times.sort_by(f64::total_cmp);
        Second {
            second,
            responses: self.responses.clone(),
            not_right: self.not_right,
            p50_ms: quantile(&times, 0.5),
            p99_ms: quantile(&times, 0.99),
            max_ms: quantile(&times, 1.0),
        }
    }
}

/// Returns whether so many values tell that percentile from the largest one.
fn is_resolved(percent: f64, values: u64) -> bool {
    percent >= 100.0 || (100.0 - percent) / 100.0 * values as f64 >= 1.0
}

fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(live: &mut Live, second: u64, ms: f64, operation: &str, verdict: &str) {
        let row = format!("response_time,{second}000,{ms},,,operation={operation}&verdict={verdict},");
        live.add(&Sample::parse(&row).expect("a sample"));
    }

    #[test]
    fn it_counts_by_verdict_and_second() {
        let mut live = Live::default();
        live.add(&Sample::parse("http_reqs,100000,1.0,,,operation=debits,").expect("a sample"));
        feed(&mut live, 100, 4.0, "validations", "right");
        assert!(!live.is_loaded());
        for ms in 1..=100 {
            feed(&mut live, 101, f64::from(ms), "debits", "right");
        }
        feed(&mut live, 102, 300.0, "credits", "slow");
        feed(&mut live, 102, 2.0, "statements", "inconsistent");

        assert!(live.is_loaded());
        assert_eq!(live.tally(), Tally { right: 101, slow: 1, wrong: 0, inconsistent: 1 });
        assert_eq!(live.rate(), 100);
        let timeline = live.timeline();
        assert_eq!(timeline.iter().map(|second| second.second).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!((timeline[1].p50_ms, timeline[1].p99_ms, timeline[1].max_ms), (50.0, 99.0, 100.0));
        assert_eq!((timeline[1].not_right, timeline[2].not_right), (0, 2));
    }

    #[test]
    fn a_curve_ends_where_its_values_do() {
        let mut live = Live::default();
        for ms in 1..=100 {
            feed(&mut live, 101, f64::from(ms), "debits", "right");
        }
        let curve = &live.curves()[&Operation::Debits];
        let percents: Vec<f64> = curve.iter().map(|point| point.percent).collect();
        assert_eq!(percents, [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 100.0]);
        assert!((curve[8].ms - 99.0).abs() < 0.1 && (curve[9].ms - 100.0).abs() < 0.1, "{curve:?}");
    }

    #[test]
    fn an_empty_run_has_no_timeline() {
        let live = Live::default();
        assert!(live.timeline().is_empty() && live.curves().is_empty());
        assert_eq!((live.rate(), live.quantile_ms(0.99)), (0, 0.0));
    }
}
