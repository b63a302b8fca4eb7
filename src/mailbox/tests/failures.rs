//! Callers who leave, deadlines, failures of the ledger, panics.

use super::*;

#[actix_rt::test]
async fn callers_who_have_gone_are_skipped() {
    let bank = Bank::held();
    let first = bank.credit_sent(1, 1).await;
    let gone = bank.credit(1, 100);
    let stays = bank.credit(1, 2);
    bank.queued(2).await;
    gone.0.abort();
    until("it has gone", || gone.0.is_finished()).await;
    bank.let_calls_through(2);
    first.balance().await;
    assert_eq!(stays.balance().await, 3);
    assert_eq!(bank.world.batches().last(), Some(&vec![(1, vec![2])]));
    assert_eq!(bank.metrics().abandoned.get(), 1);
}

#[actix_rt::test]
async fn past_the_answer_deadline_what_was_sent_is_unknown_and_what_was_not_is_refused() {
    let options = MailboxOptions { answer_deadline: Duration::from_secs(2), ..options() };
    let bank = Bank::new(World::held(), options, gathering());
    let sent = bank.credit_sent(1, 1).await;
    let queued = bank.credit(1, 2);
    assert_eq!(sent.refusal().await, Refusal::OutcomeUnknown);
    assert_eq!(queued.refusal().await, Refusal::TimedOut);
    bank.let_calls_through(5);
    until("the call is over", || bank.world.with(|state| state.in_flight.is_empty())).await;
    bank.credit(1, 4).balance().await;
    assert_eq!(bank.world.with(|state| state.balances[&1]), 5, "what was refused is never applied");
}

#[actix_rt::test]
async fn failures_reach_the_callers_as_what_they_may_do_next() {
    let bank = Bank::open();
    for (failure, refusal) in [
        (LedgerError::NotSent("x".into()), Refusal::Unavailable),
        (LedgerError::RolledBack("x".into()), Refusal::Unavailable),
        (LedgerError::OutcomeUnknown("x".into()), Refusal::OutcomeUnknown),
    ] {
        bank.world.with(|state| state.next_failure = Some(failure));
        assert_eq!(bank.credit(1, 1).refusal().await, refusal);
    }
    bank.world.with(|state| state.refuse_connections = true);
    assert_eq!(bank.credit(1, 1).refusal().await, Refusal::Unavailable);
    assert_eq!(bank.statement(1).refusal().await, Refusal::Unavailable);
    bank.world.with(|state| state.refuse_connections = false);
    assert_eq!(bank.credit(1, 7).balance().await, 7, "it goes on by itself");
}

#[actix_rt::test]
async fn a_panicking_actor_costs_its_own_callers_a_refusal_and_nobody_else() {
    let bank = Bank::held();
    let in_flight = bank.credit_sent(1, 1).await;
    let (queued, other) = (bank.credit(1, 2), bank.credit(2, 5));
    bank.queued(2).await;
    bank.mailboxes.inner.registry.panic_in(client(1));
    assert_eq!(queued.refusal().await, Refusal::MailboxLost);
    let meanwhile = bank.credit(1, 3).refusal().await;
    assert_eq!(meanwhile, Refusal::MailboxLost, "no second run while the first is out");
    bank.let_calls_through(5);
    assert_eq!(in_flight.balance().await, 1, "what was sent is answered");
    assert_eq!(other.balance().await, 5);
    assert_eq!(bank.credit(1, 4).balance().await, 5, "the client has a new actor");
}

#[actix_rt::test]
async fn a_panic_in_a_call_leaves_its_callers_unsure_and_the_mailboxes_alive() {
    let bank = Bank::open();
    bank.world.with(|state| state.panic_next = true);
    assert_eq!(bank.credit(1, 1).refusal().await, Refusal::OutcomeUnknown);
    bank.world.state.clear_poison();
    bank.world.with(|state| state.in_flight.clear());
    bank.credit(1, 1).balance().await;
}
