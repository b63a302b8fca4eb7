//! The formats of metrics, of which who asks is given the one that they prefer: Prometheus' protobuf, which alone
//! has room for native histograms; OpenMetrics; and the older text format, which is all that many tools read.

/// A format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format.
    Text,
    /// OpenMetrics' text.
    OpenMetrics,
    /// Messages `io.prometheus.client.MetricFamily`, each behind its length.
    Protobuf,
}

impl Format {
    /// Returns the one that the header `Accept` prefers; of equals that with more room.
    pub fn preferred(accept: &str) -> Self {
        let weight = |wanted: &str| {
            let quality = |range: &str| {
                let mut parts = range.split(';').map(str::trim);
                if !parts.next()?.eq_ignore_ascii_case(wanted) {
                    return None;
                }
                let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f64>().ok());
                Some(quality.unwrap_or(1.0))
            };
            accept.split(',').filter_map(quality).fold(0.0, f64::max)
        };
        // Protobuf is written in other ways, too.
        let delimited = if accept.contains("encoding=delimited") { 1.0 } else { 0.0 };
        let weights = [
            (weight("text/plain"), Self::Text),
            (weight("application/openmetrics-text"), Self::OpenMetrics),
            (weight("application/vnd.google.protobuf") * delimited, Self::Protobuf),
        ];
        let wanted = weights.into_iter().filter(|(weight, _)| *weight > 0.0);
        wanted.max_by(|(one, _), (other, _)| one.total_cmp(other)).map_or(Self::Text, |(_, format)| format)
    }

    /// Returns its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Format::{self, *};

    #[test]
    fn who_asks_is_given_what_is_preferred() {
        const PROTOBUF: &str =
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=";
        for (accept, preferred) in [
            ("", Text),
            ("*/*", Text),
            ("text/plain", Text),
            ("application/openmetrics-text", OpenMetrics),
            ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3", OpenMetrics),
            ("application/openmetrics-text;q=0.2, text/plain;q=0.5", Text),
            ("application/openmetrics-text;q=0", Text),
            ("application/openmetrics-text, text/plain", OpenMetrics),
            (&format!("{PROTOBUF}delimited;q=0.6,application/openmetrics-text;q=0.5"), Protobuf),
            (&format!("{PROTOBUF}text, text/plain;q=0.5"), Text),
        ] {
            assert_eq!(Format::preferred(accept), preferred, "{accept}");
        }
    }
}
