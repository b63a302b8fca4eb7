//! What a call carries of one client.

use std::rc::Rc;
use std::time::Instant;

use super::dispatcher::Dispatcher;
use super::mailbox::Mailbox;
use super::queue::Cut;
use super::{Bound, Refusal, Ticket};
use crate::domain::ClientId;

/// One client's share of a call.
pub(super) struct Part {
    pub(super) client: ClientId,
    /// None where requests go past the mailboxes (`direct`).
    pub(super) mailbox: Option<Rc<Mailbox>>,
    /// Whether it is no run of the mailbox, but statements that go past one that waits for its row.
    pub(super) aside: bool,
    pub(super) cut: Cut,
    /// Jobs cut, to be counted out of the mailbox's load.
    pub(super) jobs: usize,
    /// Set when the database said that there is no such client.
    pub(super) unknown_client: bool,
    /// Set when somebody else holds the client's row: what was to be applied is here again.
    pub(super) row_held: bool,
}

impl Part {
    /// What was cut from a mailbox.
    pub(super) fn of(mailbox: Rc<Mailbox>, cut: Cut) -> Self {
        mailbox.goes_out(cut.len());
        Self { mailbox: Some(Rc::clone(&mailbox)), ..Self::past_the_mailbox(mailbox.client, cut) }
    }

    /// Statements of a mailbox whose run waits for its row.
    pub(super) fn aside(mailbox: &Rc<Mailbox>, statements: Cut) -> Self {
        Self { aside: true, ..Self::of(Rc::clone(mailbox), statements) }
    }

    /// What never was in one.
    pub(super) fn past_the_mailbox(client: ClientId, cut: Cut) -> Self {
        Self {
            client,
            mailbox: None,
            aside: false,
            jobs: cut.len(),
            cut,
            unknown_client: false,
            row_held: false,
        }
    }

    /// What it has, as the record says it: client, transactions, statements.
    pub(super) fn carries(&self) -> (i32, u32, u32) {
        (self.client.get(), self.cut.transactions.len() as u32, self.cut.statements.len() as u32)
    }

    /// Tells its callers why nothing of it was sent.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        let cut = std::mem::take(&mut self.cut);
        cut.transactions.into_iter().for_each(|(_, reply)| reply.refuse(refusal));
        cut.statements.into_iter().for_each(|reply| reply.refuse(refusal));
    }

    /// Refuses them because a bound is reached, and counts them.
    pub(super) fn shed(&mut self, dispatcher: &Dispatcher, bound: Bound) {
        (0..self.cut.len()).for_each(|_| dispatcher.observer.mailbox.sheds.inc(bound.name()));
        self.refuse(Refusal::Shed(bound));
    }

    /// The tickets of its requests, with when each arrived.
    pub(super) fn tickets(&self) -> impl Iterator<Item = (&Ticket, Instant)> {
        let transactions = self.cut.transactions.iter().map(|(_, reply)| (&reply.ticket, reply.arrived));
        transactions.chain(self.cut.statements.iter().map(|reply| (&reply.ticket, reply.arrived)))
    }
}
