//! Waits for rows in figures: how many there were, how many have a holder, and for whom others waited most.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::format::{CallRecord, Xid};
use super::holders::{HeldUp, Hold, Holder, Holders, WAIT_MIN, Wait, Waited};

/// Calls among which holders are looked for; some 20 MB at most.
const CALLS_REMEMBERED: usize = 65_536;

/// Holders that are listed.
const WORST: usize = 5;

/// Database transactions of others that are told apart.
const OTHERS_MAX: usize = 1_024;

/// Waits of 100 µs and more, by what is known of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Waits {
    /// All of them.
    pub count: u64,
    /// A call of these traces held the row.
    pub for_calls: u64,
    /// Somebody else did.
    pub for_others: u64,
    /// Nobody did: reaching the row took so long.
    pub for_nobody: u64,
    /// All of them together, in microseconds.
    pub micros: u64,
}

/// Somebody for whom others waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worst {
    pub(super) micros: u64,
    pub(super) waits: u64,
    pub(super) holder: Holder,
}

/// Waits in the making.
pub(super) struct Waiting {
    holders: Holders,
    waits: Waits,
    worst: BTreeSet<Worst>,
    others: BTreeMap<Xid, (u64, u64)>,
}

impl Waits {
    /// Returns those of which nothing is known.
    pub(super) fn unknown(&self) -> u64 {
        self.count - self.for_calls - self.for_others - self.for_nobody
    }
}

impl Waiting {
    /// `begins_late` says that earlier calls are missing.
    pub(super) fn new(begins_late: bool) -> Self {
        let (waits, worst, others) = Default::default();
        Self { holders: Holders::new(CALLS_REMEMBERED, begins_late), waits, worst, others }
    }

    /// Adds a call; `each` is told of waits that are looked into now, of this call or of earlier ones.
    ///
    /// # Errors
    /// When `each` fails.
    pub(super) fn add<E>(
        &mut self,
        run: usize,
        call: &CallRecord<'_>,
        each: &mut impl FnMut(&Waited) -> Result<(), E>,
    ) -> Result<(), E> {
        if call.report.row_wait >= WAIT_MIN {
            self.waits.count += 1;
            self.waits.micros = self.waits.micros.saturating_add(call.report.row_wait);
        }
        self.holders.add(run, call);
        self.look(false, each)?;
        while let Some(held_up) = self.holders.forget(false) {
            self.rank(held_up);
        }
        Ok(())
    }

    /// Returns the figures, and the worst holders first; `each` is told of the waits that are left.
    ///
    /// # Errors
    /// When `each` fails.
    pub(super) fn finish<E>(
        mut self,
        each: &mut impl FnMut(&Waited) -> Result<(), E>,
    ) -> Result<(Waits, Vec<Worst>), E> {
        self.look(true, each)?;
        while let Some(held_up) = self.holders.forget(true) {
            self.rank(held_up);
        }
        let others = std::mem::take(&mut self.others);
        for (id, (micros, waits)) in others {
            self.insert(Worst { micros, waits, holder: Holder::Other(id) });
        }
        Ok((self.waits, self.worst.into_iter().rev().collect()))
    }

    fn look<E>(&mut self, at_end: bool, each: &mut impl FnMut(&Waited) -> Result<(), E>) -> Result<(), E> {
        while let Some(waited) = self.holders.next_wait(at_end) {
            match &waited.wait {
                Wait::Held(holds) => {
                    let last = holds.last().map(|hold| hold.holder);
                    *match last {
                        Some(Holder::Other(_)) => &mut self.waits.for_others,
                        _ => &mut self.waits.for_calls,
                    } += 1;
                    holds.iter().for_each(|hold| self.count_other(hold));
                }
                Wait::Free => self.waits.for_nobody += 1,
                Wait::Unknown => {}
            }
            each(&waited)?;
        }
        Ok(())
    }

    fn count_other(&mut self, hold: &Hold) {
        let Holder::Other(id) = hold.holder else { return };
        if self.others.len() < OTHERS_MAX || self.others.contains_key(&id) {
            let (micros, waits) = self.others.entry(id).or_default();
            (*micros, *waits) = (micros.saturating_add(hold.to - hold.from), *waits + 1);
        }
    }

    fn rank(&mut self, HeldUp { micros, waits, call }: HeldUp) {
        if waits > 0 {
            self.insert(Worst { micros, waits, holder: Holder::Call(call) });
        }
    }

    fn insert(&mut self, one: Worst) {
        self.worst.insert(one);
        if self.worst.len() > WORST {
            self.worst.pop_first();
        }
    }
}
