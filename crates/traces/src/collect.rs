//! Collects what the page shows: the earliest requests, calls and changes, up to a bound.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::clocks::Skew;
use super::format::{CallReport, Dropped, Line, Locks};

/// Gaps that the page draws.
const GAPS_MAX: usize = 10_000;

/// A request of the page. Texts that repeat are positions in [`Words`].
#[derive(Debug)]
pub(super) struct PageRequest {
    pub(super) run: usize,
    pub(super) client: Option<i32>,
    pub(super) id: String,
    pub(super) kind: u8,
    pub(super) outcome: u8,
    pub(super) status: u16,
    pub(super) queued: Option<u64>,
    pub(super) took: Option<u64>,
    pub(super) call: Option<u64>,
}

/// A call of the page.
#[derive(Debug)]
pub(super) struct PageCall {
    pub(super) run: usize,
    pub(super) id: u64,
    pub(super) cut: u8,
    pub(super) failure: u8,
    pub(super) connection: u64,
    pub(super) report: CallReport,
    pub(super) locks: Option<Box<Locks>>,
    pub(super) database: u64,
    pub(super) total: u64,
    pub(super) throttled: u64,
    pub(super) size: u64,
    pub(super) clients: usize,
    pub(super) carries: Vec<(i32, u32, u32)>,
}

/// A change of an actor.
#[derive(Debug)]
pub(super) struct PageChange {
    pub(super) run: usize,
    pub(super) client: i32,
    pub(super) state: u8,
}

/// Words that repeat, by their position; position 0 is no word, the last one every other word.
pub(super) struct Words(Vec<String>);

/// Something that began at a moment.
#[derive(Debug)]
pub(super) struct At<T> {
    pub(super) at: u64,
    pub(super) what: T,
}

/// Keeps what began first.
pub(super) struct Earliest<T> {
    heap: BinaryHeap<At<T>>,
    most: usize,
    /// The beginning of the first one that was left out.
    pub(super) left_out_from: u64,
    /// How many were left out.
    pub(super) left_out: u64,
}

/// What the page shows.
pub(super) struct Collected {
    pub(super) requests: Earliest<PageRequest>,
    pub(super) calls: Earliest<PageCall>,
    pub(super) changes: Earliest<PageChange>,
    pub(super) words: Words,
    /// What was before is missing.
    pub(super) begins_late: bool,
    /// Lines that are missing, by run.
    pub(super) gaps: Vec<(usize, Dropped)>,
    /// Lanes' shares of calls: what the calls' memory grows with.
    bars: usize,
    bars_most: usize,
}

impl Collected {
    /// Bounds every list by `most`.
    pub(super) fn new(most: usize, begins_late: bool) -> Self {
        Self {
            begins_late,
            requests: Earliest::new(most),
            calls: Earliest::new(most),
            changes: Earliest::new(most),
            words: Words::new(),
            gaps: Vec::new(),
            bars: 0,
            bars_most: most.saturating_mul(4),
        }
    }

    /// Adds a line of the run at `run`; of calls only the share of `client`, if one is given.
    pub(super) fn add(&mut self, run: usize, line: &Line<'_>, client: Option<i32>) {
        match line {
            Line::Request(request) => {
                if !self.requests.wants(request.at) {
                    return;
                }
                let what = PageRequest {
                    run,
                    client: request.client,
                    id: request.id.to_string(),
                    kind: self.words.position(&request.kind),
                    outcome: self.words.position(&request.outcome),
                    status: request.status.unwrap_or(0),
                    queued: request.queued,
                    took: request.took,
                    call: request.call,
                };
                self.requests.add(request.at, what);
            }
            Line::Call(call) => {
                if !self.calls.wants(call.at) {
                    return;
                }
                let carries: Vec<_> = call.runs(client).collect();
                self.bars += carries.len();
                let what = PageCall {
                    run,
                    id: call.id,
                    cut: self.words.position(&call.cut),
                    failure: self.words.position(call.failure.as_deref().unwrap_or("")),
                    connection: call.connection,
                    report: call.report,
                    locks: call.locks.clone(),
                    database: call.database,
                    total: call.total,
                    throttled: call.throttled,
                    size: call.size(),
                    clients: call.carries.len(),
                    carries,
                };
                let dropped = self.calls.add(call.at, what);
                self.bars -= dropped.map_or(0, |call| call.carries.len());
                while self.bars > self.bars_most {
                    self.bars -= self.calls.drop_latest().map_or(self.bars, |call| call.carries.len());
                }
            }
            Line::Actor(change) => {
                let state = self.words.position(&change.state);
                self.changes.add(change.at, PageChange { run, client: change.client, state });
            }
            Line::Dropped(gap) if self.gaps.len() < GAPS_MAX => self.gaps.push((run, *gap)),
            Line::Trace(_) | Line::Dropped(_) | Line::End(_) => {}
        }
    }

    /// Returns from when on something is left out; `u64::MAX` where nothing is.
    pub(super) fn complete_until(&self) -> u64 {
        self.requests.left_out_from.min(self.calls.left_out_from).min(self.changes.left_out_from)
    }
}

impl Words {
    pub(super) fn new() -> Self {
        Self(vec![String::new()])
    }

    /// Returns the word's position.
    pub(super) fn position(&mut self, word: &str) -> u8 {
        const LAST: usize = u8::MAX as usize;
        let known = self.0.iter().position(|known| known == word);
        let position = known.unwrap_or_else(|| {
            if self.0.len() < LAST {
                self.0.push(word.to_owned());
            } else if self.0.len() == LAST {
                self.0.push("(other)".to_owned());
            }
            self.0.len() - 1
        });
        u8::try_from(position).unwrap_or(u8::MAX)
    }

    /// Returns all of them.
    pub(super) fn list(&self) -> &[String] {
        &self.0
    }
}

impl<T> Earliest<T> {
    fn new(most: usize) -> Self {
        Self { heap: BinaryHeap::new(), most, left_out_from: u64::MAX, left_out: 0 }
    }

    /// Returns whether something that began then would be kept. If not, it counts as left out.
    fn wants(&mut self, at: u64) -> bool {
        let full = self.heap.len() >= self.most;
        let wanted = !full || self.heap.peek().is_some_and(|latest| at < latest.at);
        if !wanted {
            self.leave_out(at);
        }
        wanted
    }

    /// Keeps `what` if it is among the first; returns what had to go for it.
    fn add(&mut self, at: u64, what: T) -> Option<T> {
        self.heap.push(At { at, what });
        if self.heap.len() > self.most { self.drop_latest() } else { None }
    }

    fn drop_latest(&mut self) -> Option<T> {
        let latest = self.heap.pop()?;
        self.leave_out(latest.at);
        Some(latest.what)
    }

    fn leave_out(&mut self, at: u64) {
        self.left_out += 1;
        self.left_out_from = self.left_out_from.min(at);
    }

    /// Returns everything before `until`, the earliest first, with each run's clock put right.
    pub(super) fn into_sorted(self, until: u64, skews: &[Skew], run: impl Fn(&T) -> usize) -> Vec<At<T>> {
        let mut all = self.heap.into_sorted_vec();
        all.truncate(all.partition_point(|one| one.at < until));
        for one in &mut all {
            one.at = one.at.saturating_add_signed(-skews[run(&one.what)].micros());
        }
        all.sort_by_key(|one| one.at);
        all
    }
}

impl<T> Ord for At<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}

impl<T> PartialOrd for At<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Eq for At<T> {}

impl<T> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}
