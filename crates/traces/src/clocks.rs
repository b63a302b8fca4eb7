//! How far each instance's clock is ahead of the database's, which all of them share: of each call both have said when
//! it was there.

use std::collections::BTreeMap;

use serde::Serialize;

use super::format::CallRecord;

/// A clock is looked at anew each so many microseconds: it may drift, or be set.
const WINDOW: u64 = 10_000_000;

/// Windows of one run.
const WINDOWS_MAX: usize = 1_000;

/// Calls that a window has, where any has so many.
const CALLS_MIN: u64 = 50;

/// A difference between two clocks: it lies between these, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Between {
    pub(super) least: i64,
    pub(super) most: i64,
}

/// What is known of one run's clock.
#[derive(Debug, Default)]
struct Clock {
    /// For each, the call that came back soonest, and how many there were.
    windows: BTreeMap<u64, (Between, u64)>,
}

/// The clocks of all runs.
#[derive(Debug, Default)]
pub(super) struct Clocks(Vec<Clock>);

/// How a run's clock goes beside that of the first run that the database knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "is", content = "micros", rename_all = "snake_case")]
pub(super) enum Skew {
    /// Nothing is known, or they agree as far as can be told.
    None,
    /// It is ahead by so much, or behind where this is negative.
    Ahead(i64),
    /// It was set while it was traced, or drifts: it cannot be compared.
    Unsteady,
}

impl Clocks {
    /// Adds a call of the run.
    pub(super) fn add(&mut self, run: usize, call: &CallRecord<'_>) {
        let Some(locks) = &call.locks else { return };
        let figures =
            [call.at, call.connection, call.database, locks.at, call.report.row_wait, call.report.work];
        let Ok(figures) = figures
            .map(|figure| i64::try_from(figure).map(|figure| figure.min(i64::MAX >> 4)))
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
        else {
            return;
        };
        let [at, connection, database, began, row_wait, work] = figures[..] else { return };
        // It was sent before the database began, and was back after the database had done its work.
        let sent = at + connection;
        let between = Between { least: sent - began, most: sent + database - (began + row_wait + work) };
        if self.0.len() <= run {
            self.0.resize_with(run + 1, Clock::default);
        }
        let windows = &mut self.0[run].windows;
        let window = call.at / WINDOW;
        if windows.len() < WINDOWS_MAX || windows.contains_key(&window) {
            // A record's own time may be late, and a commit may take long: either makes this larger.
            let (best, calls) = windows.entry(window).or_insert((between, 0));
            *calls += 1;
            if between.most < best.most {
                *best = between;
            }
        }
    }

    /// Returns how each of `runs` goes beside the first of them.
    pub(super) fn skews(&self, runs: usize) -> Vec<Skew> {
        let known: Vec<_> = (0..runs).map(|run| self.0.get(run).and_then(Clock::offset)).collect();
        let reference = known.iter().flatten().find_map(|offset| offset.as_ref().ok());
        let skew = |offset: &Option<Result<Between, ()>>| match (offset, reference) {
            (Some(Err(())), _) => Skew::Unsteady,
            (Some(Ok(own)), Some(reference)) if own.least > reference.most || own.most < reference.least => {
                Skew::Ahead(own.middle() - reference.middle())
            }
            _ => Skew::None,
        };
        known.iter().map(skew).collect()
    }
}

impl Clock {
    /// Returns how far it is ahead of the database's; an error where that changes by more than a millisecond.
    fn offset(&self) -> Option<Result<Between, ()>> {
        // Of few calls the best may be bad.
        let most_calls = self.windows.values().map(|(_, calls)| *calls).max()?;
        let sound = || {
            self.windows
                .values()
                .filter(|(_, calls)| *calls >= most_calls.min(CALLS_MIN))
                .map(|(best, _)| best)
        };
        let least = sound().map(|between| between.least).max()?;
        let most = sound().map(|between| between.most).min()?;
        if least <= most {
            return Some(Ok(Between { least, most }));
        }
        let middle = i64::midpoint(least, most);
        Some(if least - most > 1_000 { Err(()) } else { Ok(Between { least: middle, most: middle }) })
    }
}

impl Between {
    fn middle(self) -> i64 {
        i64::midpoint(self.least, self.most)
    }
}

impl Skew {
    /// Returns what to take from the run's times, in microseconds.
    pub(super) fn micros(self) -> i64 {
        match self {
            Self::Ahead(micros) => micros,
            Self::None | Self::Unsteady => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::{CallReport, Locks};
    use super::*;

    /// A call that is sent when the database's clock says `at`, on an instance whose clock is so far ahead.
    fn call(at: u64, ahead: i64, late: u64) -> CallRecord<'static> {
        let locks = Locks { at: at + 40, ..Locks::default() };
        CallRecord {
            at: at.saturating_add_signed(ahead) + late,
            database: 340,
            report: CallReport { row_wait: 100, work: 100 },
            locks: Some(Box::new(locks)),
            ..CallRecord::default()
        }
    }

    fn skews(all: impl IntoIterator<Item = (usize, u64, i64, u64)>) -> Vec<Skew> {
        let mut clocks = Clocks::default();
        all.into_iter().for_each(|(run, at, ahead, late)| clocks.add(run, &call(at, ahead, late)));
        clocks.skews(3)
    }

    #[test]
    fn clocks_that_differ_are_told_and_others_are_left_alone() {
        let second = |number: u64| 1_700_000_000_000_000 + number * 1_000_000;
        let calls = |run, ahead| (0..60).map(move |number| (run, second(number), ahead, number % 7 * 900));
        assert_eq!(skews(calls(0, 0).chain(calls(1, 90))), [Skew::None; 3], "less than can be told");
        assert_eq!(skews(calls(0, 50).chain(calls(2, 3_050)))[2], Skew::Ahead(3_000));
        assert_eq!(skews(calls(0, 0).chain(calls(1, -5_000_000)))[1], Skew::Ahead(-5_000_000));
        let set = calls(1, 0).chain((60..120).map(|number| (1, second(number), 40_000, 0)));
        assert_eq!(skews(calls(0, 0).chain(set))[1], Skew::Unsteady);
        assert_eq!(skews([]), [Skew::None; 3]);
    }
}
