//! Rows that somebody else holds.

use super::*;

/// Somebody holds client 2's row: its run is taken out of the call and waits apart, the rest is sent again.
#[actix_rt::test]
async fn a_held_row_is_waited_for_apart() {
    let bank = Bank::held();
    bank.world.with(|state| state.rows_held.insert(2));
    let first = bank.credit_sent(1, 1).await;
    let held = [bank.credit(2, 1), bank.credit(2, 2)];
    let beside = bank.credit(3, 1);
    bank.queued(3).await;
    bank.let_calls_through(3);
    assert_eq!(first.balance().await, 1);
    assert_eq!(beside.balance().await, 1);
    until("it waits apart", || bank.world.batches().len() == 4).await;
    let shared = vec![(2, vec![1, 2]), (3, vec![1])];
    let expected = [vec![(1, vec![1])], shared, vec![(3, vec![1])], vec![(2, vec![1, 2])]];
    assert_eq!(bank.world.batches(), expected);

    // Meanwhile others are served, and what comes for the held client waits in its mailbox.
    let later = bank.credit(2, 3);
    let other = bank.credit_sent(3, 1).await;
    bank.world.with(|state| state.rows_held.clear());
    bank.let_calls_through(3);
    assert_eq!(other.balance().await, 2);
    for (asked, balance) in held.into_iter().zip([1, 3]) {
        assert_eq!(asked.balance().await, balance);
    }
    assert_eq!(later.balance().await, 6);
}

/// A client that waited in vain goes apart at once the next time, until its row was had.
#[actix_rt::test]
async fn who_waited_in_vain_waits_apart_until_the_row_was_had() {
    let bank = Bank::open();
    bank.world.with(|state| state.rows_held.insert(2));
    for sent in [2, 3] {
        assert_eq!(bank.credit(2, 1).refusal().await, Refusal::Unavailable);
        assert_eq!(bank.world.batches().len(), sent, "briefly and long, then long alone");
    }
    assert_eq!(bank.world.with(|state| state.waits.clone()), [RowWait::Brief, RowWait::Long, RowWait::Long]);
    // A call of which nobody knows more does not say that the row is free.
    let lost = LedgerError::OutcomeUnknown("told too late".into());
    bank.world.with(|state| state.next_failure = Some(lost));
    assert_eq!(bank.credit(2, 1).refusal().await, Refusal::OutcomeUnknown);
    assert_eq!(bank.credit(2, 1).refusal().await, Refusal::Unavailable);
    assert_eq!(bank.world.batches().len(), 5, "at once apart, each time");
    bank.world.with(|state| state.rows_held.clear());
    assert_eq!(bank.credit(2, 1).balance().await, 1);
    bank.world.with(|state| state.rows_held.insert(2));
    assert_eq!(bank.credit(2, 1).refusal().await, Refusal::Unavailable);
    let waits = bank.world.with(|state| state.waits.clone());
    assert_eq!(waits[4..], [RowWait::Brief, RowWait::Long], "it was in shared calls again");
}

/// Where no more may wait apart, who wants a held row is refused each time anew, without a call that would hold up
/// others.
#[actix_rt::test]
async fn who_is_refused_for_a_held_row_holds_nobody_up() {
    let bank = Bank::new(World::held(), options(), GathererOptions { row_waits: 1, ..gathering() });
    bank.world.with(|state| state.rows_held.extend([2, 3]));
    let first = bank.credit_sent(1, 1).await;
    let (waits, refused) = (bank.credit(2, 1), bank.credit(3, 1));
    bank.queued(2).await;
    bank.let_calls_through(2);
    first.balance().await;
    assert_eq!(refused.refusal().await, Refusal::Shed(Bound::RowWaits));
    until("the other waits apart", || bank.world.batches().len() == 3).await;
    for _ in 0..3 {
        assert_eq!(bank.credit(3, 1).refusal().await, Refusal::Shed(Bound::RowWaits));
    }
    assert_eq!(bank.world.batches().len(), 3, "and without a call");
    bank.world.with(|state| state.rows_held.clear());
    bank.let_calls_through(2);
    assert_eq!(waits.balance().await, 1);
    assert_eq!(bank.credit(3, 1).balance().await, 1, "apart, and the row was had");
    bank.world.with(|state| state.rows_held.insert(3));
    bank.let_calls_through(2);
    assert_eq!(bank.credit(3, 1).refusal().await, Refusal::Unavailable);
    let waits = bank.world.with(|state| state.waits.clone());
    assert_eq!(waits[waits.len() - 2..], [RowWait::Brief, RowWait::Long], "it was in a shared call");
}

/// And who reads what is not to wait for that row is read with the others.
#[actix_rt::test]
async fn who_reads_is_not_refused_for_a_held_row() {
    let bank = Bank::new(World::held(), options(), GathererOptions { row_waits: 1, ..gathering() });
    bank.world.with(|state| state.rows_held.extend([2, 3]));
    for id in [2, 3] {
        bank.let_calls_through(2);
        assert_eq!(bank.credit(id, 1).refusal().await, Refusal::Unavailable);
    }
    let first = bank.statement(3);
    bank.statements_sent(1).await;
    let waits = bank.credit_sent(2, 1).await;
    let (refused, second) = (bank.credit(3, 1), bank.statement(3));
    bank.queued(2).await;
    bank.let_calls_through(1);
    assert!(first.answer().await.expect("an answer").is_some());
    assert_eq!(refused.refusal().await, Refusal::Shed(Bound::RowWaits));
    bank.world.with(|state| state.rows_held.clear());
    bank.let_calls_through(2);
    assert!(second.answer().await.expect("an answer").is_some());
    assert_eq!(waits.balance().await, 1);
    bank.queued(0).await;
}

/// Nothing of it is out: its statements are read with those of others, though the mark is still there.
#[actix_rt::test]
async fn who_reads_goes_apart_only_beside_a_run_that_waits() {
    let bank = Bank::held();
    bank.world.with(|state| state.rows_held.insert(2));
    let first = bank.credit_sent(2, 1).await;
    bank.let_calls_through(2);
    assert_eq!(first.refusal().await, Refusal::Unavailable);
    let busy = bank.credit_sent(3, 1).await;
    let (one, two) = (bank.statement(2), bank.statement(4));
    bank.queued(2).await;
    bank.let_calls_through(2);
    busy.balance().await;
    for statement in [one, two] {
        assert!(statement.answer().await.expect("an answer").is_some());
    }
    assert_eq!(bank.world.with(|state| state.statements_read.clone()), [[2, 4]], "in one query");
    // What is to be applied takes a statement before it along.
    let busy = bank.credit_sent(3, 1).await;
    let (statement, wants_row, other) = (bank.statement(2), bank.credit(2, 1), bank.credit(4, 1));
    bank.queued(3).await;
    bank.world.with(|state| state.rows_held.clear());
    bank.let_calls_through(4);
    assert!(statement.answer().await.expect("an answer").is_some());
    for asked in [busy, wants_row, other] {
        asked.balance().await;
    }
    assert!(bank.world.batches().iter().all(|batch| batch.len() == 1), "{:?}", bank.world.batches());
}

/// What is refused need not have had the row: that it was is no sign that it is free.
#[actix_rt::test]
async fn a_refused_run_says_nothing_of_the_row() {
    let bank = Bank::open();
    bank.world.with(|state| state.rows_held.insert(2));
    assert_eq!(bank.credit(2, 1).refusal().await, Refusal::Unavailable);
    bank.world.with(|state| (state.rows_held.clear(), state.reject_next = true));
    assert_eq!(bank.credit(2, 1).answer().await, Ok(Err(Rejection::LimitExceeded)));
    bank.world.with(|state| state.rows_held.insert(2));
    assert_eq!(bank.credit(2, 1).refusal().await, Refusal::Unavailable);
    let waits = bank.world.with(|state| state.waits.clone());
    assert_eq!(waits, [RowWait::Brief, RowWait::Long, RowWait::Long]);
}

/// Where the service's own calls hold the row, all wait together.
#[actix_rt::test]
async fn what_nobody_else_holds_is_waited_for_together() {
    let bank = Bank::open();
    bank.world.with(|state| state.next_failure = Some(LedgerError::RowHeld("by a commit".into())));
    assert_eq!(bank.credit(2, 1).balance().await, 1);
    assert_eq!(bank.world.batches(), [vec![(2, vec![1])], vec![(2, vec![1])]]);
}

/// Statements read what is committed: they do not wait for a row, neither those that were queued nor later ones.
#[actix_rt::test]
async fn statements_do_not_wait_for_a_held_row() {
    let options = MailboxOptions { passivate_after: Duration::from_millis(20), ..options() };
    let bank = Bank::new(World::held(), options, GathererOptions { row_waits: 3, ..gathering() });
    bank.world.with(|state| state.rows_held.insert(2));
    let held = bank.credit_sent(2, 1).await;
    let queued = bank.statement(2);
    bank.queued(1).await;
    bank.let_calls_through(1);
    until("it waits apart", || bank.world.batches().len() == 2).await;
    bank.statements_sent(1).await;
    let later = bank.statement(2);
    bank.statements_sent(2).await;
    bank.world.with(|state| state.rows_held.clear());
    bank.let_calls_through(3);
    for statement in [queued, later] {
        assert!(statement.answer().await.expect("an answer").is_some());
    }
    assert_eq!(held.balance().await, 1);
    let forgotten = async {
        while bank.mailboxes.live_actors() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), forgotten).await.expect("nothing is held any more");
}

/// Statements that went past a waiting run are out as well: until they are back an actor that panicked is the
/// client's, or more than its bound could be out.
#[actix_rt::test]
async fn a_client_whose_statements_are_out_gets_no_new_actor() {
    let bank = Bank::new(World::held(), options(), GathererOptions { row_waits: 3, ..gathering() });
    bank.world.with(|state| state.rows_held.insert(2));
    let held = bank.credit_sent(2, 1).await;
    let statement = bank.statement(2);
    bank.queued(1).await;
    bank.let_calls_through(1);
    bank.statements_sent(1).await;
    bank.let_calls_through(1);
    assert_eq!(held.refusal().await, Refusal::Unavailable, "the row was held for too long");
    bank.world.with(|state| state.rows_held.clear());
    bank.mailboxes.inner.registry.panic_in(client(2));
    assert_eq!(bank.credit(2, 2).refusal().await, Refusal::MailboxLost, "the statement is out");
    bank.let_calls_through(2);
    assert!(statement.answer().await.expect("an answer").is_some());
    assert_eq!(bank.credit(2, 4).balance().await, 4, "the client has a new actor");
}

/// A run whose callers have all left is not sent: whether the row is free is not known, so the next one waits
/// apart as well.
#[actix_rt::test]
async fn a_run_that_nobody_waits_for_says_nothing_of_the_row() {
    let bank = Bank::held();
    bank.world.with(|state| state.rows_held.insert(2));
    let first = bank.credit_sent(2, 1).await;
    bank.let_calls_through(1);
    until("it waits apart", || bank.world.batches().len() == 2).await;
    let gone = bank.credit(2, 2);
    bank.queued(1).await;
    gone.0.abort();
    assert!(gone.0.await.is_err(), "its caller has left");
    bank.let_calls_through(1);
    assert_eq!(first.refusal().await, Refusal::Unavailable);
    bank.queued(0).await;
    let last = bank.credit_sent(2, 4).await;
    bank.let_calls_through(1);
    assert_eq!(last.refusal().await, Refusal::Unavailable);
    let waits = bank.world.with(|state| state.waits.clone());
    assert_eq!(waits, [RowWait::Brief, RowWait::Long, RowWait::Long]);
}
