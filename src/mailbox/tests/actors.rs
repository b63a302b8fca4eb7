//! Actors come and go.

use std::collections::HashMap;

use super::*;

#[actix_rt::test]
async fn an_unknown_client_leaves_nothing_behind() {
    let bank = Bank::open();
    assert_eq!(bank.credit(UNKNOWN, 1).answer().await, Ok(Err(Rejection::UnknownClient)));
    assert_eq!(bank.mailboxes.live_actors(), 0);
    assert_eq!(bank.statement(UNKNOWN).answer().await, Ok(None));
    assert_eq!(bank.mailboxes.live_actors(), 0);
}

#[actix_rt::test]
async fn idle_actors_are_forgotten_and_come_back() {
    let options = MailboxOptions { passivate_after: Duration::from_millis(20), ..options() };
    let bank = Bank::new(World::open(), options, gathering());
    bank.credit(1, 1).balance().await;
    assert_eq!(bank.mailboxes.live_actors(), 1);
    let forgotten = async {
        while bank.mailboxes.live_actors() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), forgotten).await.expect("it is forgotten");
    assert_eq!(bank.credit(1, 1).balance().await, 2);
}

/// Actors on several threads come and go under load; the ledger watches that no client ever has
/// two runs in flight, and each client's transactions arrive in the order in which they were sent.
#[test]
fn passivation_races_with_new_requests_on_several_arbiters() {
    const ARBITERS: usize = 3;
    const CLIENTS: i32 = 12;
    const ROUNDS: i64 = 300;
    let world = World::open();
    let options = MailboxOptions {
        live_actors: CLIENTS as usize / 2,
        passivate_after: Duration::from_millis(1),
        ..options()
    };
    let mailboxes = Mailboxes::new(options, Observer::unheard());
    let system = actix_rt::System::new();
    let arbiters: Vec<_> = (0..ARBITERS).map(|_| actix_rt::Arbiter::new()).collect();
    let (ready, all_ready) = std::sync::mpsc::channel();
    for arbiter in &arbiters {
        let (mailboxes, world, ready) = (mailboxes.clone(), world.clone(), ready.clone());
        arbiter.spawn_fn(move || {
            let gatherer = GathererOptions { calls_in_flight: 3, ..gathering() };
            mailboxes.serve_here(gatherer, Box::new(FakeLedger(world)));
            ready.send(()).expect("the test waits");
        });
    }
    (0..ARBITERS).for_each(|_| all_ready.recv().expect("every arbiter starts"));
    mailboxes.open();
    let (done, all_done) = std::sync::mpsc::channel();
    for id in 1..=CLIENTS {
        let (mailboxes, done) = (mailboxes.clone(), done.clone());
        // The sender sits on another arbiter than the actor.
        arbiters[(id as usize + 1) % ARBITERS].spawn(async move {
            let mut sum = 0;
            for cents in 1..=ROUNDS {
                sum += apply_until_admitted(&mailboxes, id, cents).await;
            }
            done.send((id, sum)).expect("the test waits");
        });
    }
    let sums: HashMap<i32, i64> =
        (0..CLIENTS).map(|_| all_done.recv_timeout(Duration::from_secs(60)).expect("all finish")).collect();
    world.with(|state| assert_eq!(state.balances, sums));
    let mut order: HashMap<i32, Vec<i64>> = HashMap::new();
    for (id, amounts) in world.batches().into_iter().flatten() {
        order.entry(id).or_default().extend(amounts);
    }
    for (id, amounts) in order {
        assert!(amounts.is_sorted(), "client {id}: {amounts:?}");
    }
    assert!(mailboxes.inner.observer.mailbox.passivations.get() > 0, "nothing was passivated: no race");
    for arbiter in arbiters {
        arbiter.stop();
        arbiter.join().expect("no panic on an arbiter");
    }
    drop(system);
}

/// Applies one transaction, again as long as the bound on live actors refuses it.
async fn apply_until_admitted(mailboxes: &Mailboxes, id: i32, cents: i64) -> i64 {
    loop {
        match mailboxes.apply(client(id), credit(cents), Ticket::new(RequestId::made(), None)).await {
            Ok(timed) => return timed.value.map(|_| cents).expect("it is applied"),
            Err(Refusal::Shed(Bound::LiveActors)) => {
                tokio::task::yield_now().await;
            }
            Err(refusal) => panic!("{refusal}"),
        }
    }
}
