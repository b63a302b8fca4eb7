//! Per instance and client, transactions are applied in arrival order, one run at a time.
//!
//! A row lock of the test's own session makes requests queue; how many do is read from the
//! instance's metrics, so that the order of arrival is known and nothing is left to timing.

use std::collections::HashMap;

use crate::harness::{Database, Guiche, MODES, Request, Response};

#[tokio::test]
async fn requests_sent_ahead_on_one_connection_are_applied_in_order() {
    for mode in MODES {
        let database = Database::create().await;
        let guiche = Guiche::launcher(&database).mode(mode).start().await;
        let mut connection = guiche.connect().await;
        for number in 1..=40 {
            let request = Request::transaction(1, 1, "c", &format!("n{number}"));
            connection.send(&request).await.expect("it is taken");
        }
        for number in 1..=40 {
            assert_eq!(connection.receive().await.expect("an answer").balance(), number, "{mode}");
        }
        let expected: Vec<String> = (1..=40).map(|number| format!("n{number}")).collect();
        assert_eq!(database.descriptions(1).await, expected, "{mode}");
    }
}

#[tokio::test]
async fn what_queues_behind_a_lock_goes_out_in_arrival_order_as_one_run() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    let mut queue = guiche.hold(&database, 1, &numbered(0)).await;
    queue.push_all((1..=20).map(numbered)).await;
    assert_eq!(queue.balances().await, Vec::from_iter(1..=21), "each after exactly those before");
    let expected: Vec<String> = (0..=20).map(|number| format!("n{number}")).collect();
    assert_eq!(database.descriptions(1).await, expected);
    let metrics = guiche.metrics().await;
    assert_eq!(
        metrics.get("guiche_flushes_total"),
        2,
        "the one that waited for the lock, and all the others"
    );
    assert_eq!(metrics.get("guiche_batch_transactions_sum"), 21);
}

#[tokio::test]
async fn no_two_runs_of_a_client_are_in_flight() {
    for (mode, waiting) in [("batched", 1), ("serial", 1), ("direct", 8)] {
        let database = Database::create().await;
        // Room for many calls at once: it is the mailbox alone that holds them back.
        let launcher = Guiche::launcher(&database).mode(mode).set("WORKERS", 2);
        let guiche = launcher.set("CALLS_IN_FLIGHT", 8).set("OVERLAP_BELOW", 100).start().await;
        let mut queue = guiche.hold(&database, 1, &numbered(0)).await;
        queue.push_all((1..8).map(numbered)).await;
        assert_eq!(database.waiting().await, waiting, "{mode}: sessions that wait for the row");
        assert_eq!(queue.sorted_balances().await, Vec::from_iter(1..=8), "{mode}");
        assert_eq!(database.balance(1).await, 8, "{mode}");
    }
}

#[tokio::test]
async fn serial_sends_one_at_a_time_in_arrival_order() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).mode("serial").start().await;
    let mut queue = guiche.hold(&database, 1, &numbered(0)).await;
    queue.push_all((1..=5).map(numbered)).await;
    assert_eq!(queue.balances().await, Vec::from_iter(1..=6));
    assert_eq!(guiche.metric("guiche_flushes_total").await, 6);
}

/// Random transactions over several clients, one of whom does not exist, all queued behind one
/// call, must bring what they would bring one by one.
#[tokio::test]
async fn a_batch_over_clients_equals_one_by_one() {
    for (mode, seed, batch_max) in
        [("serial", 1, 256), ("batched", 1, 256), ("batched", 2, 7), ("batched", 3, 1)]
    {
        let database = Database::create().await;
        let launcher = Guiche::launcher(&database).mode(mode).set("BATCH_MAX", batch_max);
        // One call at a time, so that everything queues behind the first.
        let launcher = launcher.set("CALLS_IN_FLIGHT", 1).set("OVERLAP_BELOW", 0);
        let guiche = launcher.deadlines(60_000, 62_000, 65_000).start().await;
        let mut queue = guiche.hold(&database, 1, &numbered(0)).await;
        let mut model = Model::contest();
        assert_eq!(model.apply(1, 1, "c"), Ok(1));
        let mut expected = Vec::new();
        for (client, amount, kind, description) in random_transactions(seed, 40) {
            queue.push(&Request::transaction(client, amount, kind, &description)).await;
            expected.push((description, client, model.apply(client, amount, kind)));
        }
        let answers = queue.release().await;
        answers[0].balance();
        for (response, (description, _, outcome)) in answers[1..].iter().zip(&expected) {
            assert_eq!(&read(response), outcome, "{mode}, seed {seed}, {description}: {response:?}");
        }
        for client in 2..=5 {
            let applied = expected.iter().filter(|(_, of, outcome)| *of == client && outcome.is_ok());
            let applied: Vec<String> = applied.map(|(description, ..)| description.clone()).collect();
            let client = i32::try_from(client).expect("a small id");
            assert_eq!(database.descriptions(client).await, applied, "{mode}, seed {seed}");
        }
        database.assert_books().await;
    }
}

#[tokio::test]
async fn workers_keep_each_clients_order() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).set("WORKERS", 3).start().await;
    let lanes = (1..=5).flat_map(|client| [(client, "a"), (client, "b"), (client, "c")]);
    let sent = lanes.map(|(client, lane)| {
        let guiche = &guiche;
        async move {
            let mut connection = guiche.connect().await;
            for number in 0..30 {
                let request = Request::transaction(client, 1, "c", &format!("{lane}{number}"));
                connection.ask(&request).await.expect("an answer").balance();
            }
        }
    });
    futures_util::future::join_all(sent).await;
    for client in 1..=5 {
        let descriptions = database.descriptions(client).await;
        for lane in ["a", "b", "c"] {
            let of_lane: Vec<&String> = descriptions.iter().filter(|text| text.starts_with(lane)).collect();
            let expected: Vec<String> = (0..30).map(|number| format!("{lane}{number}")).collect();
            assert!(of_lane.into_iter().eq(&expected), "client {client}: {descriptions:?}");
        }
    }
}

fn numbered(number: i64) -> Request {
    Request::transaction(1, 1, "c", &format!("n{number}"))
}

fn read(response: &Response) -> Result<i64, &'static str> {
    match response.status {
        200 => Ok(response.balance()),
        404 => Err("unknown"),
        _ => Err("limit"),
    }
}

/// Clients 2 to 6 with amounts that reach their limits now and then.
fn random_transactions(seed: u64, count: usize) -> Vec<(i64, i64, &'static str, String)> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut one = |number| {
        let kind = if random.u8(..3) == 0 { "c" } else { "d" };
        (random.i64(2..=6), random.i64(1..=90_000), kind, format!("r{number}"))
    };
    (0..count).map(&mut one).collect()
}

/// The bank as a plain sequential program.
struct Model(HashMap<i64, (i64, i64)>);

impl Model {
    fn contest() -> Self {
        let limits = [(1, 100_000), (2, 80_000), (3, 1_000_000), (4, 10_000_000), (5, 500_000)];
        Self(limits.into_iter().map(|(client, limit)| (client, (limit, 0))).collect())
    }

    fn apply(&mut self, client: i64, amount: i64, kind: &str) -> Result<i64, &'static str> {
        let (limit, balance) = self.0.get_mut(&client).ok_or("unknown")?;
        let after = if kind == "c" { *balance + amount } else { *balance - amount };
        if after < -*limit {
            return Err("limit");
        }
        *balance = after;
        Ok(after)
    }
}
