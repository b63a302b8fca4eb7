//! Which part of the traces is looked at.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::format::Line;

/// A moment as a user gives it: RFC 3339, or seconds since the traces' start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Moment {
    /// Microseconds since the epoch.
    At(u64),
    /// Microseconds since the start.
    After(u64),
}

impl std::str::FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds = text.strip_prefix('+').unwrap_or(text);
        let seconds = seconds.strip_suffix('s').unwrap_or(seconds);
        if let Ok(seconds) = seconds.parse::<f64>()
            && (0.0..1e12).contains(&seconds)
        {
            return Ok(Self::After((seconds * 1e6) as u64));
        }
        // As summaries and pages print it.
        let printed = text.strip_suffix(" UTC").map(|time| time.replacen(' ', "T", 1) + "Z");
        let time = OffsetDateTime::parse(printed.as_deref().unwrap_or(text), &Rfc3339).map_err(
            |_| "expected a time such as 2024-06-01T12:00:00.25Z, or seconds since the start such as 1.5",
        )?;
        u64::try_from(time.unix_timestamp_nanos() / 1_000).map(Self::At).map_err(|_| "it is before 1970")
    }
}

impl Moment {
    fn since(self, started: u64) -> u64 {
        match self {
            Self::At(micros) => micros,
            Self::After(micros) => started.saturating_add(micros),
        }
    }
}

/// One client, or all; a window of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selection {
    pub(super) client: Option<i32>,
    from: u64,
    to: u64,
}

impl Selection {
    pub(super) fn new(client: Option<i32>, from: Option<Moment>, to: Option<Moment>, started: u64) -> Self {
        let from = from.map_or(0, |moment| moment.since(started));
        let to = to.map_or(u64::MAX, |moment| moment.since(started));
        Self { client, from, to }
    }

    /// Returns whether a line is of the client, and began within the window. What tells of the trace
    /// itself always is.
    pub(super) fn takes(&self, line: &Line<'_>) -> bool {
        let (at, client) = match line {
            Line::Request(request) => (request.at, self.client.is_none_or(|id| request.client == Some(id))),
            Line::Call(call) => (call.at, self.client.is_none() || call.runs(self.client).next().is_some()),
            Line::Actor(change) => (change.at, self.client.is_none_or(|id| change.client == id)),
            Line::Trace(_) | Line::Dropped(_) | Line::End(_) => return true,
        };
        client && (self.from..self.to).contains(&at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_seconds() {
        assert_eq!("1.5".parse(), Ok(Moment::After(1_500_000)));
        assert_eq!("+2s".parse(), Ok(Moment::After(2_000_000)));
        assert_eq!("1970-01-01T00:00:01.000002Z".parse(), Ok(Moment::At(1_000_002)));
        assert_eq!("1970-01-01 00:00:01.000002 UTC".parse(), Ok(Moment::At(1_000_002)), "as it is printed");
        for text in ["", "yesterday", "-1", "NaN", "1e300", "12:00"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
