//! Who held the rows that calls waited for, by what the database said of the rows ([`Locks`]).
//!
//! A row's holders are a sequence. Of each call that has locked it is known who changed it last before, so the call
//! before it in that sequence is the last of those who found the same (they have locked it, and changed nothing), or
//! else that one. So it goes back, from call to call, until one that had the row already when the wait began: all in
//! between have held it meanwhile. An id that is no call's is somebody else's.

mod look;

use std::collections::{HashMap, VecDeque};

use super::failed::Failed;
use super::format::{CallRecord, Locks, Xid};

/// Waits that are looked into, in microseconds: reaching a free row takes less.
pub(super) const WAIT_MIN: u64 = 100;

/// Calls of a row with the same last changer that are looked through for the one that was before: more than are ever
/// out at once.
const MATES_MAX: usize = 1_024;

/// Holders of one row in one wait: more than there may be sessions.
const CHAIN_MAX: usize = 1_000;

/// A call, by its run and number.
pub(super) type Key = (usize, u64);

/// A database transaction: its server and its id there.
type Id = (u64, Xid);

/// Who held a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder {
    /// A call that is in the traces.
    Call(Key),
    /// A database transaction that is no call of theirs.
    Other(Xid),
}

/// A part of a wait, and who held the row meanwhile. Microseconds since the wait began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) holder: Holder,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// What is known of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Who held the rows, one behind the other.
    Held(Vec<Hold>),
    /// Nobody: its rows were free, and it took so long to reach them.
    Free,
    /// It is not known.
    Unknown,
}

/// A wait of a call.
#[derive(Clone, Debug)]
pub(super) struct Waited {
    pub(super) call: Key,
    pub(super) wait: Wait,
}

/// How long others waited for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HeldUp {
    /// Microseconds, of all of them together.
    pub(super) micros: u64,
    /// How many waits.
    pub(super) waits: u64,
    pub(super) call: Key,
}

/// A call that has locked rows, or has waited for some; times by the database's clock.
struct Locking {
    key: Key,
    locks: Locks,
    took: u64,
    /// When it had them.
    locked: u64,
    /// When they were free again, at the latest.
    freed: u64,
    held_up: (u64, u64),
}

/// Calls that have gone by, at most so many, and who of them held which row.
pub(super) struct Holders {
    capacity: usize,
    calls: VecDeque<Locking>,
    /// The number of the first of them among all.
    first: u64,
    /// The first whose wait was not looked into.
    next: u64,
    by_id: HashMap<Id, u64>,
    by_key: HashMap<Key, u64>,
    /// Calls that locked a client's row, by who had changed it last.
    by_row: HashMap<(i32, Id), VecDeque<u64>>,
    pub(super) failed: Failed,
    /// Calls before the first one are missing: of what is older than that it is not known whose it is.
    begins_late: bool,
    /// Of each server.
    earliest: HashMap<u64, Xid>,
}

impl Holders {
    /// Remembers `capacity` calls. Half of them are read after a wait before it is looked into: holders are told of
    /// when they are over, as waits are.
    pub(super) fn new(capacity: usize, begins_late: bool) -> Self {
        let (calls, by_id, by_key, by_row, failed, earliest) = Default::default();
        let (first, next) = (0, 0);
        Self { capacity, calls, first, next, by_id, by_key, by_row, failed, begins_late, earliest }
    }

    /// Adds a call.
    pub(super) fn add(&mut self, run: usize, call: &CallRecord<'_>) {
        if call.failure.is_some() {
            let clients = call.carries.iter().filter(|run| run.1 > 0).map(|run| run.0).collect();
            self.failed.add(call.at, call.at.saturating_add(call.total), clients);
        }
        let Some(locks) = &call.locks else { return };
        self.push((run, call.id), Locks::clone(locks), [call.report.row_wait, call.database]);
    }

    /// Adds a call whose wait and whole time in the database are given.
    pub(super) fn push(&mut self, key: Key, locks: Locks, [took, database]: [u64; 2]) {
        let number = self.first + self.calls.len() as u64;
        let server = locks.server;
        for id in &locks.ids {
            self.by_id.insert((server, *id), number);
            let earliest = self.earliest.entry(server).or_insert(*id);
            if id.is_before(*earliest) {
                *earliest = *id;
            }
        }
        self.by_key.insert(key, number);
        if !locks.ids.is_empty() {
            for (client, changer, _) in &locks.rows {
                self.by_row.entry((*client, (server, *changer))).or_default().push_back(number);
            }
        }
        let (locked, freed) = (locks.at.saturating_add(took), locks.at.saturating_add(database));
        self.calls.push_back(Locking { key, locks, took, locked, freed, held_up: (0, 0) });
    }

    /// Returns the next wait that can be looked into; `at_end` when nothing more comes.
    pub(super) fn next_wait(&mut self, at_end: bool) -> Option<Waited> {
        let ready = if at_end { 0 } else { self.capacity / 2 } as u64;
        while self.next + ready < self.first + self.calls.len() as u64 {
            let number = self.next;
            self.next += 1;
            let waiter = self.get(number)?;
            if waiter.took < WAIT_MIN {
                continue;
            }
            let (call, wait) = (waiter.key, self.look_into(number));
            self.count(&wait);
            return Some(Waited { call, wait });
        }
        None
    }

    /// Forgets the oldest call where there are more than may be, or `all` go; returns how long others waited for it.
    pub(super) fn forget(&mut self, all: bool) -> Option<HeldUp> {
        if !all && self.calls.len() <= self.capacity {
            return None;
        }
        let call = self.calls.pop_front()?;
        let number = self.first;
        self.first += 1;
        if self.by_key.get(&call.key) == Some(&number) {
            self.by_key.remove(&call.key);
        }
        let server = call.locks.server;
        for id in &call.locks.ids {
            if self.by_id.get(&(server, *id)) == Some(&number) {
                self.by_id.remove(&(server, *id));
            }
        }
        let listed = if call.locks.ids.is_empty() { &[] } else { call.locks.rows.as_slice() };
        for (client, changer, _) in listed {
            let row = (*client, (server, *changer));
            if let Some(mates) = self.by_row.get_mut(&row) {
                mates.pop_front();
                if mates.is_empty() {
                    self.by_row.remove(&row);
                }
            }
        }
        Some(HeldUp { micros: call.held_up.0, waits: call.held_up.1, call: call.key })
    }

    /// Returns whether a call that is not here may have had the id.
    fn is_missing(&self, (server, id): Id) -> bool {
        self.begins_late && self.earliest.get(&server).is_none_or(|earliest| id.is_before(*earliest))
    }

    fn get(&self, number: u64) -> Option<&Locking> {
        self.calls.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn count(&mut self, wait: &Wait) {
        let Wait::Held(holds) = wait else { return };
        for Hold { holder, from, to } in holds {
            let Holder::Call(key) = holder else { continue };
            let place = self.by_key.get(key).and_then(|number| usize::try_from(number - self.first).ok());
            if let Some(call) = place.and_then(|place| self.calls.get_mut(place)) {
                call.held_up.0 = call.held_up.0.saturating_add(to - from);
                call.held_up.1 += 1;
            }
        }
    }
}

#[cfg(test)]
#[path = "holders_tests.rs"]
mod tests;
