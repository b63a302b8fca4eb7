//! What goes out together, and in which order.

use super::*;

#[actix_rt::test]
async fn what_queues_while_a_call_is_out_goes_into_the_next_one_in_order() {
    let bank = Bank::held();
    let first = bank.credit_sent(1, 1).await;
    let queued: Vec<_> = (2..=5).map(|cents| bank.credit(1, cents)).collect();
    let other = bank.credit(2, 10);
    bank.queued(5).await;
    assert_eq!(bank.world.batches().len(), 1, "nothing is sent while a call is in flight");
    bank.let_calls_through(2);
    assert_eq!(first.balance().await, 1);
    for (asked, balance) in queued.into_iter().zip([3, 6, 10, 15]) {
        assert_eq!(asked.balance().await, balance);
    }
    assert_eq!(other.balance().await, 10);
    let expected = vec![vec![(1, vec![1])], vec![(2, vec![10]), (1, vec![2, 3, 4, 5])]];
    assert_eq!(bank.world.batches(), expected);
}

#[actix_rt::test]
async fn nobody_is_answered_before_the_call_is() {
    let bank = Bank::held();
    let asked = bank.credit_sent(1, 1).await;
    let later = bank.credit(2, 1);
    bank.queued(1).await;
    assert!(!asked.0.is_finished());
    bank.let_calls_through(2);
    assert_eq!(asked.balance().await, 1);
    assert_eq!(later.balance().await, 1);
}

#[actix_rt::test]
async fn a_batch_is_bounded_and_takes_the_longest_ready_first() {
    let gatherer = GathererOptions { batch_max: 3, clients_per_call: 2, ..gathering() };
    let bank = Bank::new(World::held(), options(), gatherer);
    let mut all = vec![bank.credit_sent(9, 1).await];
    all.extend([1, 2, 3].into_iter().flat_map(|id| [bank.credit(id, 1), bank.credit(id, 2)]));
    bank.queued(6).await;
    bank.let_calls_through(10);
    for asked in all {
        asked.balance().await;
    }
    let expected =
        vec![vec![(9, vec![1])], vec![(1, vec![1, 2]), (2, vec![1])], vec![(3, vec![1, 2]), (2, vec![2])]];
    assert_eq!(bank.world.batches(), expected);
}

#[actix_rt::test]
async fn each_server_has_one_call_at_a_time_of_its_own_clients() {
    let bank = Bank::held();
    bank.world.with(|state| state.servers = 2);
    let mut all = vec![bank.credit_sent(1, 1).await, bank.credit_sent(2, 1).await];
    all.extend([3, 4, 5, 1].map(|id| bank.credit(id, 2)));
    bank.queued(4).await;
    assert_eq!(bank.world.batches(), [[(1, vec![1])], [(2, vec![1])]], "one beside the other");
    bank.let_calls_through(4);
    for asked in all {
        asked.balance().await;
    }
    let mut then = bank.world.batches().split_off(2);
    then.sort_by_key(Vec::len);
    assert_eq!(then, [vec![(4, vec![2])], vec![(3, vec![2]), (5, vec![2]), (1, vec![2])]]);
}

#[actix_rt::test]
async fn a_client_that_has_moved_is_followed_once_nothing_of_it_is_out() {
    let bank = Bank::held();
    let first = bank.credit_sent(1, 1).await;
    let waits = [1, 2].map(|id| bank.credit(id, 2));
    bank.queued(2).await;
    bank.world.with(|state| state.servers = 2);
    assert_eq!(bank.world.batches().len(), 1);
    bank.let_calls_through(1);
    assert_eq!(first.balance().await, 1);
    until("each server has a call", || bank.world.batches().len() == 3).await;
    let mut then = bank.world.batches().split_off(1);
    then.sort();
    assert_eq!(then, [[(1, vec![2])], [(2, vec![2])]]);
    bank.let_calls_through(2);
    for (asked, balance) in waits.into_iter().zip([3, 2]) {
        assert_eq!(asked.balance().await, balance);
    }
}

#[actix_rt::test]
async fn serial_sends_one_by_one_and_clients_side_by_side() {
    let mode = Mode::Serial;
    let gatherer =
        GathererOptions { mode, clients_per_call: 1, batch_max: 1, calls_in_flight: 8, ..gathering() };
    let bank = Bank::new(World::held(), MailboxOptions { mode, ..options() }, gatherer);
    let all = [(1, 1), (1, 2), (2, 3)].map(|(id, cents)| bank.credit(id, cents));
    until("each client has one out", || bank.world.batches().len() == 2).await;
    bank.queued(1).await;
    assert_eq!(bank.world.batches(), [[(1, vec![1])], [(2, vec![3])]]);
    bank.let_calls_through(3);
    for asked in all {
        asked.balance().await;
    }
    assert_eq!(bank.world.batches().last(), Some(&vec![(1, vec![2])]));
}

#[actix_rt::test]
async fn direct_goes_past_the_mailboxes() {
    let mode = Mode::Direct;
    let gatherer = GathererOptions { mode, ..gathering() };
    let bank = Bank::new(World::open(), MailboxOptions { mode, ..options() }, gatherer);
    assert_eq!(bank.credit(1, 5).balance().await, 5);
    assert_eq!(bank.statement(1).answer().await, Ok(Some(5)));
    assert_eq!(bank.mailboxes.live_actors(), 0);
}

#[actix_rt::test]
async fn statements_side_by_side_share_a_query_that_follows_the_transactions() {
    let bank = Bank::held();
    let first = bank.credit_sent(1, 1).await;
    let before: Vec<_> = (0..3).map(|_| bank.statement(1)).collect();
    let second = bank.credit(1, 10);
    bank.queued(4).await;
    bank.let_calls_through(3);
    assert_eq!((first.balance().await, second.balance().await), (1, 11));
    for asked in before {
        assert_eq!(asked.answer().await, Ok(Some(11)));
    }
    assert_eq!(bank.world.with(|state| state.statements_read.clone()), [[1]]);
}

#[actix_rt::test]
async fn statements_of_several_clients_share_a_query() {
    let bank = Bank::held();
    let first = bank.credit_sent(1, 1).await;
    let asked: Vec<_> = [1, UNKNOWN, 2, 1].into_iter().map(|id| bank.statement(id)).collect();
    bank.queued(4).await;
    bank.let_calls_through(2);
    first.balance().await;
    for (asked, balance) in asked.into_iter().zip([Some(1), None, Some(0), Some(1)]) {
        assert_eq!(asked.answer().await, Ok(balance));
    }
    assert_eq!(bank.world.with(|state| state.statements_read.clone()), [[UNKNOWN, 2, 1]]);
}

#[actix_rt::test]
async fn a_statement_never_joins_a_query_already_sent() {
    let bank = Bank::held();
    let early = bank.statement(1);
    bank.statements_sent(1).await;
    let late = bank.statement(1);
    bank.queued(1).await;
    bank.let_calls_through(1);
    assert_eq!(early.answer().await, Ok(Some(0)));
    bank.statements_sent(2).await;
    assert!(!late.0.is_finished(), "it has a query of its own");
    bank.let_calls_through(1);
    assert_eq!(late.answer().await, Ok(Some(0)));
}

#[actix_rt::test]
async fn little_in_flight_lets_calls_overlap_and_much_does_not() {
    let gatherer = GathererOptions { overlap_calls: 2, overlap_below: 2, ..gathering() };
    let bank = Bank::new(World::held(), options(), gatherer);
    let mut all = vec![bank.credit_sent(1, 1).await, bank.credit_sent(2, 1).await];
    all.push(bank.credit(3, 1));
    bank.queued(1).await;
    assert_eq!(bank.world.batches().len(), 2, "two transactions in flight are not few any more");
    bank.let_calls_through(3);
    for asked in all {
        asked.balance().await;
    }
}
