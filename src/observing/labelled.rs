//! Metrics by labels whose values are known: each series is there from the start, and counting looks
//! nothing up in a map.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::{Family, MetricConstructor};

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

/// A histogram some of whose values name the trace that they are of.
type Histogram = HistogramWithExemplars<[(&'static str, String); 1]>;

/// Histograms by labels, of which the known ones are found first.
#[derive(Clone, Debug)]
pub struct LabelledHistogram<L: Clone + Eq + Hash> {
    family: Family<L, Histogram, Make>,
    known: Arc<[(L, Histogram)]>,
}

/// Makes a series with these bounds.
#[derive(Clone, Debug)]
struct Make(&'static [f64]);

impl MetricConstructor<Histogram> for Make {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

impl<L: Clone + Eq + Hash> LabelledHistogram<L> {
    pub(super) fn new(known: impl Iterator<Item = L>, bounds: &'static [f64]) -> Self {
        let family: Family<L, Histogram, Make> = Family::new_with_constructor(Make(bounds));
        let known = known.map(|labels| (labels.clone(), family.get_or_create(&labels).clone())).collect();
        Self { family, known }
    }

    /// Takes one more value into the series with these labels, which begins with it unless it is known.
    /// `trace_id` is the trace's that it is in, if a collector is sent that.
    pub(super) fn observe(&self, labels: &L, value: f64, trace_id: Option<String>) {
        let exemplar = trace_id.map(|id| [("trace_id", id)]);
        match self.known.iter().find(|(known, _)| known == labels) {
            Some((_, histogram)) => histogram.observe(value, exemplar, None),
            None => self.family.get_or_create(labels).observe(value, exemplar, None),
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
