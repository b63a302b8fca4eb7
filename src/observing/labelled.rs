//! Metrics by labels whose values are known: each series is there from the start, and counting looks
//! nothing up in a map.

use std::cell::Cell;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::{Histogram, NativeHistogramConfig};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Counters by the values of one label.
#[derive(Clone, Debug)]
pub struct Labelled<const N: usize> {
    family: Family<Vec<(&'static str, &'static str)>, Counter>,
    counters: [(&'static str, Counter); N],
}

impl<const N: usize> Labelled<N> {
    pub(super) fn new(label: &'static str, values: [&'static str; N]) -> Self {
        let family = Family::<Vec<(&'static str, &'static str)>, Counter>::default();
        let counters = values.map(|value| (value, family.get_or_create(&vec![(label, value)]).clone()));
        Self { family, counters }
    }

    /// Counts one more of `value`, which is one of the declared ones.
    pub fn inc(&self, value: &str) {
        self.inc_by(value, 1);
    }

    /// Counts so many more of `value`, which is one of the declared ones.
    pub(super) fn inc_by(&self, value: &str, count: u64) {
        let counter = self.counters.iter().find(|(known, _)| *known == value);
        debug_assert!(counter.is_some(), "{value} is not declared");
        if let Some((_, counter)) = counter {
            counter.inc_by(count);
        }
    }

    /// Adds to every counter, in the declared order.
    pub(super) fn add(&self, counts: [u64; N]) {
        for ((_, counter), count) in self.counters.iter().zip(counts).filter(|(_, count)| *count > 0) {
            counter.inc_by(count);
        }
    }
}

impl<const N: usize> EncodeMetric for Labelled<N> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.family.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.family.metric_type()
    }
}

thread_local! {
    /// Whether this thread writes a format that has native histograms.
    static NATIVELY: Cell<bool> = const { Cell::new(false) };
}

/// Encodes metrics with their native histograms: only protobuf has room for them.
pub(super) fn natively<T>(encode: impl FnOnce() -> T) -> T {
    NATIVELY.set(true);
    let encoded = encode();
    NATIVELY.set(false);
    encoded
}

/// Makes a histogram with these bounds, and a native one beside, whose buckets grow by a tenth, unless it would have
/// too many.
pub(super) fn with_native(bounds: &[f64]) -> Histogram {
    let native = NativeHistogramConfig::default().max_buckets(NATIVE_BUCKETS);
    Histogram::new_classic_and_native(bounds.iter().copied(), native)
}

/// From a tenth of a millisecond to ten seconds there are 121.
const NATIVE_BUCKETS: usize = 160;

/// A series: as a histogram some of whose values name the trace that they are of, and as one that is native, which
/// cannot.
#[derive(Clone, Debug)]
pub(super) struct Series {
    traced: HistogramWithExemplars<[(&'static str, String); 1]>,
    native: Histogram,
}

impl TypedMetric for Series {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Series {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        if NATIVELY.get() { self.native.encode(encoder) } else { self.traced.encode(encoder) }
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// Histograms by labels, of which the known ones are found first.
#[derive(Clone, Debug)]
pub struct LabelledHistogram<L: Clone + Eq + Hash> {
    family: Family<L, Series, Make>,
    known: Arc<[(L, Series)]>,
}

/// Makes a series with these bounds.
#[derive(Clone, Debug)]
struct Make(&'static [f64]);

impl MetricConstructor<Series> for Make {
    fn new_metric(&self) -> Series {
        let traced = HistogramWithExemplars::new(self.0.iter().copied());
        Series { traced, native: with_native(self.0) }
    }
}

impl<L: Clone + Eq + Hash> LabelledHistogram<L> {
    pub(super) fn new(known: impl Iterator<Item = L>, bounds: &'static [f64]) -> Self {
        let family: Family<L, Series, Make> = Family::new_with_constructor(Make(bounds));
        let known = known.map(|labels| (labels.clone(), family.get_or_create(&labels).clone())).collect();
        Self { family, known }
    }

    /// Takes one more value into the series with these labels, which begins with it unless it is known.
    /// `trace_id` is the trace's that it is in, if a collector is sent that.
    pub(super) fn observe(&self, labels: &L, value: f64, trace_id: Option<String>) {
        let exemplar = trace_id.map(|id| [("trace_id", id)]);
        let observe = |series: &Series| {
            series.traced.observe(value, exemplar, None);
            series.native.observe(value);
        };
        match self.known.iter().find(|(known, _)| known == labels) {
            Some((_, series)) => observe(series),
            None => observe(&self.family.get_or_create(labels)),
        }
    }
}

impl<L> EncodeMetric for LabelledHistogram<L>
where
    L: Clone + Eq + Hash + EncodeLabelSet + Debug + Send + Sync + 'static,
{
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.family.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.family.metric_type()
    }
}
