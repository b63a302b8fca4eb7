//! Where calls are in the trace-event format: slices of one thread must not overlap.

use std::collections::{HashMap, VecDeque};

use super::format::CallRecord;
use super::holders::Key;

/// Calls that flows may lead to; as many as holders are looked for among.
const REMEMBERED: usize = 65_536;

/// Threads of one client and instance; what overlaps with more is put over the last.
const ROWS_MAX: usize = 1_000;

/// Where a call is, in one client's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) pid: usize,
    pub(super) tid: i64,
    pub(super) from: u64,
    pub(super) to: u64,
    /// When it began to wait for its rows.
    pub(super) waits: u64,
    client: i32,
}

/// Calls that were placed, by run and number; the newest ones.
#[derive(Default)]
pub(super) struct Rows {
    placed: HashMap<Key, Vec<Placed>>,
    order: VecDeque<Key>,
    /// For each instance and client its threads: their numbers, and when the last call of each ended.
    threads: HashMap<(usize, i32), Vec<(i64, u64)>>,
    further: i64,
}

impl Rows {
    /// Finds a thread for a client's part of a call: `own`, or a further one while others are in that; returns its number,
    /// and whether it is a new one that wants a name. Calls come in the order of their ends.
    pub(super) fn place(&mut self, pid: usize, own: i64, client: i32, call: &CallRecord<'_>) -> (i64, bool) {
        let (from, to) = (call.at, call.at.saturating_add(call.total));
        let threads = self.threads.entry((pid, client)).or_insert_with(|| vec![(own, 0)]);
        let free = threads.iter().position(|(_, ended)| *ended <= from);
        let is_new = free.is_none() && threads.len() < ROWS_MAX;
        if is_new {
            // Numbers are of 32 bits, and clients' begin at the other end.
            self.further += 1;
            threads.push((i64::from(u32::MAX) - self.further, 0));
        }
        let row = free.unwrap_or(threads.len() - 1);
        threads[row].1 = to;
        let (tid, waits) = (threads[row].0, from.saturating_add(call.connection));
        let key = (pid - 1, call.id);
        let parts = self.placed.entry(key).or_insert_with(|| {
            self.order.push_back(key);
            Vec::new()
        });
        parts.push(Placed { pid, tid, from, to, waits, client });
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.placed.remove(&oldest);
        }
        (tid, is_new)
    }

    /// Returns where two calls are in the threads of a client that both carried.
    pub(super) fn both(&self, one: Key, other: Key) -> Option<(Placed, Placed)> {
        let others = self.placed.get(&other)?;
        self.placed.get(&one)?.iter().find_map(|one| {
            let other = others.iter().find(|other| other.client == one.client)?;
            Some((*one, *other))
        })
    }
}
