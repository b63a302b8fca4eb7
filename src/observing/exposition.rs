//! The two formats of metrics: OpenMetrics for who asks for it, else the older text format, which is all
//! that many tools read.

/// The media type of OpenMetrics' text.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The media type of the text format.
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Says whether the header `Accept` prefers OpenMetrics to plain text.
pub fn prefers_open_metrics(accept: &str) -> bool {
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
    let open_metrics = weight("application/openmetrics-text");
    open_metrics > 0.0 && open_metrics >= weight("text/plain")
}

/// Rewrites OpenMetrics as the text format: there a counter is named as its samples are, an info is a
/// gauge, and units, exemplars and the end are not told.
pub fn to_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                _ => ("", kind),
            };
            if let Some((_, help)) = help.take() {
                text.push_str(&format!("# HELP {name}{suffix} {help}\n"));
            }
            text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            text.push_str(without_exemplar(line));
            text.push('\n');
        }
    }
    text
}

/// Cuts off what OpenMetrics says of one value behind a bucket's count.
fn without_exemplar(sample: &str) -> &str {
    match sample.rsplit_once(" # {") {
        // A label may hold anything.
        Some((count, _)) if count.ends_with(|last: char| last.is_ascii_digit()) => count,
        _ => sample,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_open_metrics_is_given_it() {
        for (accept, preferred) in [
            ("", false),
            ("*/*", false),
            ("text/plain", false),
            ("application/openmetrics-text", true),
            ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3", true),
            ("application/openmetrics-text;q=0.2, text/plain;q=0.5", false),
            ("application/openmetrics-text;q=0", false),
        ] {
            assert_eq!(prefers_open_metrics(accept), preferred, "{accept}");
        }
    }

    #[test]
    fn the_text_format_names_counters_as_their_samples() {
        let open_metrics = "# HELP a_seconds A.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
            a_seconds_total 1\n# HELP b B.\n# TYPE b info\nb_info{c=\"d # {\"} 1\n\
            e_bucket{le=\"+Inf\"} 1 # {trace_id=\"f\"} 0.5\n# EOF\n";
        let text = "# HELP a_seconds_total A.\n# TYPE a_seconds_total counter\na_seconds_total 1\n\
            # HELP b_info B.\n# TYPE b_info gauge\nb_info{c=\"d # {\"} 1\ne_bucket{le=\"+Inf\"} 1\n";
        assert_eq!(to_text(open_metrics), text);
    }
}
