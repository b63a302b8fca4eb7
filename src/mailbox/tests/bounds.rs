//! At a bound who comes is refused, or somebody idle makes room.

use super::*;

#[actix_rt::test]
async fn a_full_queue_sheds_at_once() {
    let options = MailboxOptions { queue_per_client: 2, ..options() };
    let bank = Bank::new(World::held(), options, gathering());
    let held = [bank.credit_sent(1, 1).await, bank.credit(1, 2)];
    bank.queued(1).await;
    assert_eq!(bank.credit(1, 3).refusal().await, Refusal::Shed(Bound::ClientQueue));
    let other = bank.credit(2, 1);
    bank.let_calls_through(5);
    assert_eq!(other.balance().await, 1, "another client has a queue of its own");
    for asked in held {
        asked.balance().await;
    }
    assert_eq!(bank.credit(1, 4).balance().await, 7, "there is room again");
}

#[actix_rt::test]
async fn requests_in_flight_are_bounded_and_the_refused_leave_no_trace() {
    let options = MailboxOptions { requests_in_flight: 1, ..options() };
    let bank = Bank::new(World::held(), options, gathering());
    let held = bank.credit_sent(1, 1).await;
    for _ in 0..3 {
        assert_eq!(bank.credit(2, 1).refusal().await, Refusal::Shed(Bound::RequestsInFlight));
    }
    bank.let_calls_through(2);
    held.balance().await;
    assert_eq!(bank.credit(2, 1).balance().await, 1, "there is room again");
}

/// What was asked for by those who have left is held until it is cut, and counts.
#[actix_rt::test]
async fn who_leaves_makes_no_room_before_what_was_asked_for_is_gone() {
    let options = MailboxOptions { requests_in_flight: 3, ..options() };
    let bank = Bank::new(World::held(), options, gathering());
    let held = bank.credit_sent(1, 1).await;
    for id in [2, 3, 4] {
        let gone = bank.credit(id, 1);
        bank.queued(i64::from(id) - 1).await;
        gone.0.abort();
        assert!(gone.0.await.is_err(), "its caller has left");
    }
    assert_eq!(bank.metrics().requests.get(), 1);
    assert_eq!(bank.credit(5, 1).refusal().await, Refusal::Shed(Bound::RequestsInFlight));
    bank.let_calls_through(2);
    held.balance().await;
    bank.queued(0).await;
    assert_eq!(bank.credit(5, 1).balance().await, 1, "there is room again");
}

#[actix_rt::test]
async fn at_the_bound_of_live_actors_the_longest_idle_makes_room_and_the_busy_do_not() {
    let options = MailboxOptions { live_actors: 2, ..options() };
    let bank = Bank::new(World::held(), options, gathering());
    bank.let_calls_through(3);
    for id in [1, 2, 3] {
        assert_eq!(bank.credit(id, 1).balance().await, 1, "an idle actor makes room");
    }
    assert_eq!(bank.mailboxes.live_actors(), 2);
    let held = [bank.credit_sent(2, 1).await, bank.credit(3, 1)];
    bank.queued(1).await;
    assert_eq!(bank.credit(4, 1).refusal().await, Refusal::Shed(Bound::LiveActors));
    bank.let_calls_through(9);
    for asked in held {
        asked.balance().await;
    }
}

/// Client 1 lives on another thread, 2 and 4 on this one, where nobody idles.
#[actix_rt::test]
async fn an_idle_actor_of_another_thread_makes_room() {
    let options = MailboxOptions { live_actors: 2, ..options() };
    let bank = Bank::new(World::held(), options, gathering());
    let elsewhere = actix_rt::Arbiter::new();
    let (its_mailboxes, its_world) = (bank.mailboxes.clone(), bank.world.clone());
    on(&elsewhere, move || its_mailboxes.serve_here(gathering(), Box::new(FakeLedger(its_world)))).await;
    bank.let_calls_through(1);
    bank.credit(1, 1).balance().await;
    on(&elsewhere, || ()).await;
    let busy = bank.credit_sent(2, 1).await;
    let admitted = bank.credit(4, 1);
    bank.queued(1).await;
    assert_eq!(bank.mailboxes.live_actors(), 2);
    bank.let_calls_through(9);
    assert_eq!(busy.balance().await, 1);
    assert_eq!(admitted.balance().await, 1);
    assert_eq!(bank.credit(1, 1).balance().await, 2, "it comes back");
    elsewhere.stop();
    elsewhere.join().expect("no panic elsewhere");
}
