//! OpenMetrics' text, read back.

/// A metric with its series.
pub(super) struct Family<'a> {
    /// Its name; that of a counter has no `_total`.
    pub(super) name: &'a str,
    pub(super) help: &'a str,
    pub(super) kind: &'a str,
    /// `seconds`, `bytes` or nothing.
    pub(super) unit: &'a str,
    pub(super) samples: Vec<Sample<'a>>,
}

/// One number of a series.
pub(super) struct Sample<'a> {
    /// What stands behind the metric's name.
    pub(super) suffix: &'a str,
    pub(super) labels: Vec<(&'a str, String)>,
    pub(super) value: &'a str,
}

impl Sample<'_> {
    /// Returns the bound of a bucket.
    pub(super) fn bound(&self) -> Option<f64> {
        let (_, bound) = self.labels.iter().find(|(name, _)| *name == "le")?;
        bound.parse().ok()
    }
}

/// Reads what the encoder wrote; a line that it would not write is left out.
pub(super) fn families(text: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (Some(what), Some(name), Some(rest)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            if families.last().is_none_or(|family| family.name != name) {
                families.push(Family { name, help: "", kind: "", unit: "", samples: Vec::new() });
            }
            let Some(family) = families.last_mut() else { continue };
            match what {
                "HELP" => family.help = rest.trim_end_matches('.'),
                "TYPE" => family.kind = rest,
                _ => family.unit = rest,
            }
        } else if let Some(family) = families.last_mut() {
            family.samples.extend(sample(line, family.name));
        }
    }
    families
}

fn sample<'a>(line: &'a str, family: &str) -> Option<Sample<'a>> {
    let (suffix, mut rest) =
        line.strip_prefix(family)?.split_at(line.strip_prefix(family)?.find(['{', ' '])?);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (name, value) = rest.split_once("=\"")?;
            let (value, behind) = quoted(value)?;
            labels.push((name, value));
            rest = behind.strip_prefix(',').unwrap_or(behind);
        }
        rest = &rest[1..];
    }
    Some(Sample { suffix, labels, value: rest.trim_start().split(' ').next()? })
}

/// Reads up to the closing quote, and returns what stands behind it too.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[position + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let text = "# HELP a_seconds A, and B.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n\
            a_seconds_sum{i=\"x\\\"}, y=\\\\\\n\"} 0.5\n\
            a_seconds_bucket{le=\"+Inf\",i=\"x\"} 2 # {trace_id=\"f\"} 0.5\n\
            # HELP b B.\n# TYPE b gauge\nb 7\n# EOF\n";
        let families = families(text);
        let told: Vec<_> = families.iter().map(|it| (it.name, it.help, it.kind, it.unit)).collect();
        assert_eq!(told, [("a_seconds", "A, and B", "histogram", "seconds"), ("b", "B", "gauge", "")]);
        let [sum, bucket] = &families[0].samples[..] else { panic!("it has two samples") };
        assert_eq!((sum.suffix, sum.value), ("_sum", "0.5"));
        assert_eq!(sum.labels, [("i", "x\"}, y=\\\n".to_owned())]);
        assert_eq!((bucket.suffix, bucket.value, bucket.bound()), ("_bucket", "2", Some(f64::INFINITY)));
        assert_eq!(families[1].samples[0].value, "7");
    }
}
