//! A call on its way: counted from its cut until everybody is answered and its mailboxes go on.

use std::rc::Rc;

use super::super::RowWait;
use super::super::call::{Call, CutReason};
use super::super::part::Part;
use super::Gatherer;

/// A call on its way. Dropping it, however that happens, makes room for the next call and lets its
/// mailboxes go on.
pub(super) struct Flight {
    gatherer: Rc<Gatherer>,
    call: Call,
    /// Whether it is one client's alone, which waits for its row.
    apart: bool,
}

impl Flight {
    /// One of the gatherer's calls.
    pub(super) fn of(gatherer: &Rc<Gatherer>, parts: Vec<Part>, cut: CutReason) -> Self {
        let row_wait = if gatherer.options().row_waits > 0 { RowWait::Brief } else { RowWait::Long };
        let call = Call::new(parts, cut, row_wait, &gatherer.dispatcher.observer);
        gatherer.calls.set(gatherer.calls.get() + 1);
        gatherer.carried.set(gatherer.carried.get() + call.size());
        Self { gatherer: Rc::clone(gatherer), call, apart: false }
    }

    /// A call beside those, of one client that waits for its row.
    pub(super) fn apart(gatherer: &Rc<Gatherer>, part: Part) -> Self {
        gatherer.apart.set(gatherer.apart.get() + 1);
        let call = Call::new(vec![part], CutReason::RowHeld, RowWait::Long, &gatherer.dispatcher.observer);
        Self { gatherer: Rc::clone(gatherer), call, apart: true }
    }

    /// Has it sent and answered; what turns out to wait for a row waits apart from now on.
    pub(super) async fn carry(mut self) {
        self.call.carry(&self.gatherer.dispatcher).await;
        for part in self.call.take_held() {
            self.gatherer.wait_apart(part);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let gatherer = &self.gatherer;
        if self.apart {
            gatherer.apart.set(gatherer.apart.get() - 1);
        } else {
            gatherer.calls.set(gatherer.calls.get() - 1);
            gatherer.carried.set(gatherer.carried.get() - self.call.size());
        }
        for part in self.call.parts() {
            if let Some(mailbox) = &part.mailbox {
                if part.aside {
                    gatherer.goes_on(mailbox, mailbox.leave(part.jobs), false);
                    continue;
                }
                // Only a run that had the row says that it is free.
                if self.apart && self.call.row_was_had() {
                    mailbox.row_held.set(false);
                }
                gatherer.settle(mailbox, part);
            }
        }
        gatherer.wake.notify_one();
    }
}
