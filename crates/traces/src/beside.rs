//! What a page shows: one trace, or two over one another, each in time since its own beginning.

use std::collections::HashMap;

use super::clocks::Skew;
use super::collect::{At, Collected, PageCall, PageChange, PageRequest, Words};
use super::holders::{Hold, Holder, Key};
use super::page_columns::holds_of;
use super::reader::{Damage, Run, names};
use super::summary::Summary;

/// A trace of a page.
pub(super) struct Side<'a> {
    pub(super) collected: Collected,
    pub(super) runs: &'a [Run],
    pub(super) skews: &'a [Skew],
    pub(super) summary: &'a Summary,
    pub(super) damage: &'a Damage,
}

/// All traces of a page. Times are microseconds since the beginning of each, and everything is in their order.
pub(super) struct Joined {
    pub(super) words: Words,
    pub(super) requests: Vec<At<PageRequest>>,
    pub(super) calls: Vec<At<PageCall>>,
    pub(super) changes: Vec<At<PageChange>>,
    /// Lines that are missing: of which run, since when, until when, how many, why.
    pub(super) gaps: Vec<(usize, f64, f64, u64, &'static str)>,
    /// What is known of calls' waits.
    pub(super) waits: HashMap<Key, u8>,
    /// Who held what they waited for, call by call.
    pub(super) holds: Vec<(Key, Hold)>,
    /// Each run's name, and of which trace it is.
    pub(super) runs: Vec<(String, usize)>,
    /// Each trace's name, where there are two, and when it began, since the epoch.
    pub(super) sides: Vec<(String, u64)>,
}

impl Side<'_> {
    /// Returns what it is called where there are two.
    pub(super) fn name(&self) -> &str {
        self.runs.first().map_or("", |run| &run.side)
    }
}

impl Joined {
    pub(super) fn of(sides: Vec<Side<'_>>) -> Self {
        let (words, runs, waits, holds) = (Words::new(), Vec::new(), HashMap::new(), Vec::new());
        let (requests, calls, changes) = (Vec::new(), Vec::new(), Vec::new());
        let (gaps, starts) = (Vec::new(), Vec::new());
        let mut joined = Self { words, requests, calls, changes, gaps, waits, holds, runs, sides: starts };
        sides.into_iter().for_each(|side| joined.add(side));
        joined.requests.sort_by_key(|one| one.at);
        joined.calls.sort_by_key(|one| one.at);
        joined.changes.sort_by_key(|one| one.at);
        joined
    }

    fn add(&mut self, side: Side<'_>) {
        let (first, number, name) = (self.runs.len(), self.sides.len(), side.name().to_owned());
        let (until, skews) = (side.collected.complete_until(), side.skews);
        let Collected { requests, calls, changes, words, gaps, begins_late, .. } = side.collected;
        let requests = requests.into_sorted(until, skews, |one| one.run);
        let calls = calls.into_sorted(until, skews, |one| one.run);
        let changes = changes.into_sorted(until, skews, |one| one.run);
        // Ids of database transactions are each database's own.
        let (waits, holds) = holds_of(&calls, begins_late);
        let begun =
            [requests.first().map(at), calls.first().map(at), changes.first().map(at)].into_iter().flatten();
        let start = begun.min().unwrap_or(0);

        let moment =
            |run: usize, at: u64| at.saturating_add_signed(-skews[run].micros()).saturating_sub(start) as f64;
        let gaps = gaps.iter().filter(|(_, gap)| gap.since > 0 && gap.since < until);
        self.gaps.extend(gaps.map(|(run, gap)| {
            (first + run, moment(*run, gap.since), moment(*run, gap.at), gap.count, gap.why.words())
        }));
        let own: Vec<u8> = words.list().iter().map(|word| self.words.position(word)).collect();
        let word = |position: u8| own.get(usize::from(position)).copied().unwrap_or(u8::MAX);
        self.requests.extend(requests.into_iter().map(|At { at, what }| {
            let (kind, outcome) = (word(what.kind), word(what.outcome));
            At { at: at - start, what: PageRequest { run: first + what.run, kind, outcome, ..what } }
        }));
        self.calls.extend(calls.into_iter().map(|At { at, what }| {
            let (cut, failure) = (word(what.cut), word(what.failure));
            At { at: at - start, what: PageCall { run: first + what.run, cut, failure, ..what } }
        }));
        self.changes.extend(changes.into_iter().map(|At { at, what }| {
            let state = word(what.state);
            At { at: at - start, what: PageChange { run: first + what.run, state, ..what } }
        }));
        let key = |(run, id): Key| (first + run, id);
        self.waits.extend(waits.into_iter().map(|(call, known)| (key(call), known)));
        self.holds.extend(holds.into_iter().map(|(call, hold)| {
            let holder = match hold.holder {
                Holder::Call(holder) => Holder::Call(key(holder)),
                other => other,
            };
            (key(call), Hold { holder, ..hold })
        }));
        self.runs.extend(names(side.runs).into_iter().map(|name| (name, number)));
        self.sides.push((name, start));
    }
}

fn at<T>(one: &At<T>) -> u64 {
    one.at
}
