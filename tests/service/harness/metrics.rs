//! What an instance counts, as `/metrics` shows it.

/// One look at all metrics.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(String);

impl Metrics {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// A metric's value, the sum over its labels. One that is not there is a mistake in the test.
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> u64 {
        self.with(name, "")
    }

    /// The sum of those series that carry `label`, written as in `bound="client_queue"`.
    #[track_caller]
    pub(crate) fn with(&self, name: &str, label: &str) -> u64 {
        let mut values = self.series().filter_map(|series| {
            let (key, value) = series.rsplit_once(' ')?;
            let (found, labels) = key.split_once('{').unwrap_or((key, ""));
            (found == name && labels.contains(label)).then(|| value.parse::<f64>().ok()).flatten()
        });
        let first = values.next().unwrap_or_else(|| panic!("there is no {name} {label} in {}", self.0));
        (first + values.sum::<f64>()) as u64
    }

    /// Every series, without its value.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.series().filter_map(|series| Some(series.rsplit_once(' ')?.0)).collect()
    }

    fn series(&self) -> impl Iterator<Item = &str> {
        self.0.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
    }
}
