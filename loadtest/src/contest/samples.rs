//! Reading k6's samples as they come.
//!
//! k6 is asked for its CSV output (`-o csv=…`), which has a row for every sample of every metric:
//! about sixteen per request, 5,000 a second at the contest's peak, for a few percent of k6's own
//! CPU. Its REST interface would be cheaper still, but answers no p99 and nothing over time. The
//! CSV goes through a named pipe, so that nothing is written to the disk whose fsync is measured.

use std::str;

/// One sample of one metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'a> {
    /// The metric's name.
    pub metric: &'a str,
    /// When, in seconds since 1970.
    pub unix_second: u64,
    /// Its value; of time in milliseconds.
    pub value: f64,
    /// All columns after the value.
    tags: &'a str,
}

impl<'a> Sample<'a> {
    /// Reads a row; `None` for the header and for what is no row.
    pub fn parse(row: &'a str) -> Option<Sample<'a>> {
        let (metric, rest) = row.split_once(',')?;
        let (unix_second, rest) = rest.split_once(',')?;
        let (value, tags) = rest.split_once(',')?;
        Some(Sample { metric, unix_second: unix_second.parse().ok()?, value: value.parse().ok()?, tags })
    }

    /// The value of a tag that the script gave: k6 writes those as `a=1&b=2` in one column.
    pub fn tag(&self, name: &str) -> Option<&'a str> {
        let pairs = self.tags.split([',', '&']).filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// Puts lines together from pieces of any size.
#[derive(Debug, Default)]
pub struct Lines {
    /// The beginning of a line whose end has not come yet.
    rest: Vec<u8>,
}

impl Lines {
    /// Takes the next piece, and hands every line that it completes to `line`. A line that is
    /// not UTF-8 is left out.
    pub fn feed(&mut self, piece: &[u8], mut line: impl FnMut(&str)) {
        let mut piece = piece;
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(&piece[..end]);
            if let Ok(text) = str::from_utf8(&self.rest) {
                line(text);
            }
            self.rest.clear();
            piece = &piece[end + 1..];
        }
        self.rest.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_sample() {
        let row = "response_time,1795367119,0.730193,,,operation=debits&verdict=right,";
        let sample = Sample::parse(row).expect("a sample");
        assert_eq!((sample.metric, sample.unix_second), ("response_time", 1_795_367_119));
        assert!((sample.value - 0.730193).abs() < f64::EPSILON);
        assert_eq!(sample.tag("operation"), Some("debits"));
        assert_eq!(sample.tag("verdict"), Some("right"));
        assert_eq!(sample.tag("scenario"), None);
    }

    #[test]
    fn a_header_or_a_fragment_is_none() {
        for row in
            ["metric_name,timestamp,metric_value,check,group,extra_tags,metadata", "", "vus,1", "a,b,c,d"]
        {
            assert_eq!(Sample::parse(row), None, "{row}");
        }
    }

    #[test]
    fn lines_are_put_together_whatever_the_pieces() {
        let text = b"one\ntwo\n\nthree\nunfinished";
        for size in 1..text.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for piece in text.chunks(size) {
                lines.feed(piece, |line| seen.push(line.to_owned()));
            }
            assert_eq!(seen, ["one", "two", "", "three"], "in pieces of {size}");
        }
    }
}
