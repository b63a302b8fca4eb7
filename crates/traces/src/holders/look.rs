//! Looks into a wait: goes back from call to call until one had the row already when it began.

use super::super::format::Xid;
use super::{CHAIN_MAX, Hold, Holder, Holders, Id, Locking, MATES_MAX, Wait};

impl Holders {
    /// Returns who held the rows that a call waited for.
    pub(super) fn look_into(&self, number: u64) -> Wait {
        let Some(waiter) = self.get(number) else { return Wait::Unknown };
        let (mut holds, mut known) = (Vec::new(), true);
        for row in &waiter.locks.rows {
            match self.chain(number, waiter, *row) {
                Some(chain) => holds.extend(chain),
                None => known = false,
            }
        }
        if !holds.is_empty() {
            return Wait::Held(one_behind_the_other(holds, waiter.took));
        }
        if known && !waiter.locks.rows.is_empty() { Wait::Free } else { Wait::Unknown }
    }

    /// Returns who held the row while `waiter` waited, the last first; `None` where it is not known.
    fn chain(&self, number: u64, waiter: &Locking, row: (i32, Xid, Xid)) -> Option<Vec<Hold>> {
        let client = row.0;
        let began = waiter.locks.at;
        let since = |moment: u64| moment.saturating_sub(began).min(waiter.took);
        let over = |id: Xid| id.is_before(waiter.locks.oldest);
        let here = |id: Xid| (waiter.locks.server, id);
        let mut holds: Vec<Hold> = Vec::new();
        // Whoever has the row after the holder that is looked for: it has found `changer`, and locked at `until`.
        let (mut after, mut changer, mut until) = (number, row.1, waiter.locked);
        let (mut first, mut locker) = (waiter, row.2);
        let (mut to, mut known) = (None, true);
        let failed = self.failed.may_have_held(client, began, waiter.locked);
        for _ in 0..CHAIN_MAX {
            let Some(before) = self.before(client, after, here(changer), until) else {
                let other = !over(changer) && changer.is_some() && !waiter.locks.ids.contains(&changer);
                if other && !failed && !self.is_missing(here(changer)) {
                    let end = to.unwrap_or(waiter.took);
                    holds.push(Hold { holder: Holder::Other(changer), from: 0, to: end });
                    return Some(holds);
                }
                known = over(changer);
                break;
            };
            let holder = self.get(before)?;
            if holder.freed <= began || holder.locks.ids.iter().all(|id| over(*id)) {
                break;
            }
            if holder.locked < waiter.locked {
                let end = to.unwrap_or_else(|| since(holder.freed));
                let from = since(holder.locked);
                holds.push(Hold { holder: Holder::Call(holder.key), from, to: end });
                to = Some(from);
            }
            if holder.locked <= began {
                return Some(holds);
            }
            let Some((_, earlier, found)) = holder.locks.rows.iter().find(|(of, ..)| *of == client) else {
                known = false;
                break;
            };
            (after, changer, until) = (before, *earlier, holder.locked);
            (first, locker) = (holder, *found);
        }
        // Who had it locked when the first of them looked for it, where that one has changed nothing.
        let ids = &first.locks.ids;
        if !ids.is_empty() && locker.is_some() && !over(locker) && !ids.contains(&locker) {
            let holder = self.by_id.get(&here(locker)).and_then(|call| self.get(*call));
            if holder.is_none() && (failed || self.is_missing(here(locker))) {
                return (!holds.is_empty()).then_some(holds);
            }
            let holder = holder.map_or(Holder::Other(locker), |call| Holder::Call(call.key));
            if holds.iter().all(|hold| hold.holder != holder) {
                holds.push(Hold { holder, from: 0, to: to.unwrap_or(waiter.took) });
            }
            return Some(holds);
        }
        (known || !holds.is_empty()).then_some(holds)
    }

    /// Returns the call that had the client's row before `after`, which has found that `changer` changed it last and
    /// locked it at `until`.
    fn before(&self, client: i32, after: u64, changer: Id, until: u64) -> Option<u64> {
        let mates = self.by_row.get(&(client, changer)).into_iter().flat_map(|mates| mates.iter().rev());
        let locked = |number: &u64| self.get(*number).map(|call| call.locked);
        let mates = mates.take(MATES_MAX).filter(|mate| **mate != after && locked(mate) < Some(until));
        let last = mates.copied().max_by_key(|mate| locked(mate));
        last.or_else(|| self.by_id.get(&changer).copied().filter(|call| *call != after))
    }
}

/// Puts holds of several rows into one sequence: rows are locked one after the other, and whoever is named for several
/// held them together. The last holds until the wait is over.
fn one_behind_the_other(mut holds: Vec<Hold>, took: u64) -> Vec<Hold> {
    holds.sort_by_key(|hold| (hold.from, hold.to));
    let mut sequence: Vec<Hold> = Vec::new();
    for hold in holds {
        match sequence.iter_mut().find(|known| known.holder == hold.holder) {
            Some(known) => known.to = known.to.max(hold.to),
            None => sequence.push(hold),
        }
    }
    let mut from = 0;
    for hold in &mut sequence {
        hold.from = hold.from.max(from);
        hold.to = hold.to.max(hold.from);
        from = hold.to;
    }
    if let Some(last) = sequence.last_mut() {
        last.to = took;
    }
    sequence
}
