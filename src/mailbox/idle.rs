//! Who is idle, on whichever thread.
//!
//! A mailbox is entered when it becomes idle, and taken off only when somebody looks: a busy client
//! costs the list nothing but a mark each time that it idles again. Looking at it then tells
//! whether it has worked since, so the list is nearly in the order in which they became idle.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::queue::Load;
use crate::domain::ClientId;

/// How many looks in a row must find a mailbox idle before the sweep forgets it.
pub(super) const LOOKS: u8 = 5;

/// What a mailbox shares with the registry, on whichever threads.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) load: Load,
    mark: AtomicU8,
}

/// It is not in the list.
const ABSENT: u8 = 0;
/// It is in the list.
const LISTED: u8 = 1;
/// It is in the list, or on its way there, and has worked since somebody looked.
const WORKED: u8 = 2;

/// What a look at a mailbox finds.
enum Look {
    /// It holds something. It is off the list, and enters it again when that is done.
    Busy,
    /// It is idle, and has worked since the last look.
    Worked,
    /// It is idle.
    Idle,
}

impl Slot {
    /// Takes it off the list, and tells how it is.
    ///
    /// Either this sees what the mailbox holds to be done, or the mailbox sees that it is off the
    /// list, and enters it: both change the mark, this one before it looks at the load, and
    /// [`IdleList::enter`] after it has left the load.
    fn look(&self) -> Look {
        let worked = self.mark.swap(ABSENT, Ordering::AcqRel) == WORKED;
        match (self.load.is_empty(), worked) {
            (false, _) => Look::Busy,
            (true, true) => Look::Worked,
            (true, false) => Look::Idle,
        }
    }

    /// Whether it may go back to the list: not if it is being entered anew.
    fn put_back(&self) -> bool {
        self.mark.compare_exchange(ABSENT, LISTED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// A mailbox in the list.
pub(super) struct Idle {
    pub(super) client: ClientId,
    pub(super) slot: Arc<Slot>,
    /// Looks in a row that found it idle.
    looks: u8,
}

/// The idle mailboxes of all threads, the longest idle first.
#[derive(Default)]
pub(super) struct IdleList(Mutex<VecDeque<Idle>>);

impl IdleList {
    /// Enters a mailbox that has just become idle. Only its own thread may call this.
    pub(super) fn enter(&self, client: ClientId, slot: &Arc<Slot>) {
        // What it holds meanwhile brings it back here.
        if slot.load.is_empty() && slot.mark.swap(WORKED, Ordering::AcqRel) == ABSENT {
            let mut list = self.lock();
            slot.mark.store(LISTED, Ordering::Release);
            list.push_back(Idle { client, slot: Arc::clone(slot), looks: 0 });
        }
    }

    /// Takes the longest idle mailbox off; `None` when none is idle.
    pub(super) fn take_longest(&self) -> Option<Idle> {
        let mut list = self.lock();
        // Those that have worked meanwhile go behind the others, and are met again there.
        for _ in 0..2 * list.len() {
            let mut idle = list.pop_front()?;
            match idle.slot.look() {
                Look::Busy => {}
                Look::Idle => return Some(idle),
                Look::Worked => {
                    idle.looks = 0;
                    put_back(&mut list, idle);
                }
            }
        }
        None
    }

    /// Looks at each once, and hands those to `forget` that were idle at [`LOOKS`] looks in a row.
    pub(super) fn sweep(&self, mut forget: impl FnMut(Idle)) {
        let listed = self.lock().len();
        for _ in 0..listed {
            if let Some(idle) = self.look_at_front() {
                forget(idle);
            }
        }
    }

    /// Moves the front to the end, unless it is busy, or has been idle for long: then it is
    /// returned. The lock is held for one at a time, so that nobody waits for a whole sweep.
    fn look_at_front(&self) -> Option<Idle> {
        let mut list = self.lock();
        let mut idle = list.pop_front()?;
        idle.looks = match idle.slot.look() {
            Look::Busy => return None,
            Look::Worked => 1,
            Look::Idle => idle.looks + 1,
        };
        if idle.looks >= LOOKS {
            return Some(idle);
        }
        put_back(&mut list, idle);
        None
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put_back(list: &mut VecDeque<Idle>, idle: Idle) {
    if idle.slot.put_back() {
        list.push_back(idle);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::{Duration, Instant};

    use super::*;

    fn client(id: i32) -> ClientId {
        id.to_string().parse().expect("digits")
    }

    fn entered(list: &IdleList, ids: std::ops::RangeInclusive<i32>) -> Vec<Arc<Slot>> {
        let slots: Vec<Arc<Slot>> = ids.clone().map(|_| Arc::default()).collect();
        ids.zip(&slots).for_each(|(id, slot)| list.enter(client(id), slot));
        slots
    }

    fn taken(list: &IdleList) -> Option<i32> {
        list.take_longest().map(|idle| idle.client.get())
    }

    fn swept(list: &IdleList) -> Vec<i32> {
        let mut forgotten = Vec::new();
        list.sweep(|idle| forgotten.push(idle.client.get()));
        forgotten
    }

    #[test]
    fn the_longest_idle_goes_first_and_who_worked_again_goes_behind() {
        let list = IdleList::default();
        let slots = entered(&list, 1..=4);
        list.enter(client(1), &slots[0]);
        assert_eq!([(); 5].map(|()| taken(&list)), [Some(2), Some(3), Some(4), Some(1), None]);
    }

    #[test]
    fn the_busy_are_passed_over_and_come_back_when_they_idle() {
        let list = IdleList::default();
        let slots = entered(&list, 1..=2);
        slots.iter().for_each(|slot| assert!(slot.load.try_enter(1)));
        list.enter(client(1), &slots[0]);
        assert_eq!(taken(&list), None, "both hold something");
        slots[1].load.leave(1);
        list.enter(client(2), &slots[1]);
        assert_eq!((taken(&list), taken(&list)), (Some(2), None));
    }

    #[test]
    fn whoever_is_entered_twice_is_listed_once() {
        let list = IdleList::default();
        let slots = entered(&list, 1..=1);
        for _ in 0..3 {
            list.enter(client(1), &slots[0]);
            swept(&list);
        }
        assert_eq!(list.lock().len(), 1);
    }

    #[test]
    fn the_sweep_forgets_who_idled_at_every_look() {
        let list = IdleList::default();
        let slots = entered(&list, 1..=2);
        for _ in 1..LOOKS {
            assert!(swept(&list).is_empty());
        }
        list.enter(client(2), &slots[1]);
        assert_eq!(swept(&list), [1]);
        for _ in 2..LOOKS {
            assert!(swept(&list).is_empty());
        }
        assert_eq!(swept(&list), [2]);
        assert!(list.lock().is_empty());
    }

    /// One thread works and idles while others look: whoever idles is in the list, once, unless the
    /// sweep has just forgotten it.
    #[test]
    fn nobody_is_lost_between_a_look_and_an_entry() {
        const ROUNDS: usize = 50_000;
        let list = IdleList::default();
        let slot: Arc<Slot> = Arc::default();
        let (forgotten, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let look = || {
            while !over.load(Ordering::Acquire) {
                list.sweep(|_| forgotten.store(true, Ordering::Release));
            }
        };
        let listed = || {
            let listed = list.lock().len();
            assert!(listed <= 1, "it is listed {listed} times");
            listed == 1
        };
        std::thread::scope(|scope| {
            let _over = Finally(|| over.store(true, Ordering::Release));
            (0..2).for_each(|_| drop(scope.spawn(look)));
            for round in 0..ROUNDS {
                assert!(slot.load.try_enter(1));
                slot.load.leave(1);
                list.enter(client(1), &slot);
                let entered = Instant::now();
                while !listed() && !forgotten.swap(false, Ordering::AcqRel) {
                    assert!(entered.elapsed() < Duration::from_secs(10), "it is lost in round {round}");
                    std::thread::yield_now();
                }
            }
        });
    }

    /// Does something when it is dropped, in a panic too.
    struct Finally<F: Fn()>(F);

    impl<F: Fn()> Drop for Finally<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
}
