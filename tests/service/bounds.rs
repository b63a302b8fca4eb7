//! Everything that can grow has a bound, and at the bound the caller is told at once.

use std::time::{Duration, Instant};

use crate::harness::{Connection, Database, Guiche, MODES, Request, Response, until};

/// What "at once" means here, on a machine that is busy with other tests: far less than any of
/// the deadlines that a hang would run into.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_clients_queue_is_bounded() {
    for mode in ["serial", "batched"] {
        let database = Database::create().await;
        let launcher = Guiche::launcher(&database).mode(mode).set("QUEUE_PER_CLIENT", 3);
        let guiche = launcher.set("CALLS_IN_FLIGHT", 2).start().await;
        let lock = database.lock(1).await;
        let mut callers = vec![guiche.begin(&credit(1, "n0")).await];
        database.until_waiting(1).await;
        for number in 1..3 {
            callers.push(guiche.queue(&credit(1, &format!("n{number}"))).await);
        }
        for request in [credit(1, "beyond"), Request::statement(1)] {
            let refused = at_once(&guiche, &request).await;
            refused.assert_refused("overloaded");
            assert_eq!(refused.json()["detail"], "the client's queue is full", "{mode}");
        }
        assert_eq!(guiche.metrics().await.with("guiche_sheds_total", "client_queue"), 2, "{mode}");
        assert_eq!(guiche.credit(2, 1, "other").await.balance(), 1, "{mode}: another client's is not full");
        lock.release().await;
        answered(&mut callers).await;
        assert_eq!(guiche.credit(1, 1, "again").await.balance(), 4, "{mode}: there is room again");
        assert_eq!(database.descriptions(1).await, ["n0", "n1", "n2", "again"], "{mode}");
    }
}

#[tokio::test]
async fn the_requests_in_flight_are_bounded() {
    for mode in MODES {
        let database = Database::create().await;
        let guiche = Guiche::launcher(&database).mode(mode).set("REQUESTS_IN_FLIGHT", 2).start().await;
        let lock = database.lock(1).await;
        let mut callers = vec![guiche.begin(&credit(1, "n0")).await];
        database.until_waiting(1).await;
        callers.push(second_in_flight(mode, &database, &guiche).await);
        for request in [credit(2, "beyond"), Request::statement(3)] {
            let refused = at_once(&guiche, &request).await;
            refused.assert_refused("overloaded");
            assert_eq!(refused.json()["detail"], "too many requests are in flight", "{mode}");
        }
        assert_eq!(guiche.metrics().await.with("guiche_sheds_total", "requests_in_flight"), 2, "{mode}");
        assert_eq!(guiche.get("/healthz").await.status, 200, "{mode}: health needs no room");
        lock.release().await;
        answered(&mut callers).await;
        assert_eq!(guiche.credit(2, 1, "again").await.balance(), 1, "{mode}");
        assert_eq!(database.rows_of(2).await.len(), 1, "{mode}");
    }
}

/// Another request for the locked client, which is in flight once this returns.
async fn second_in_flight(mode: &str, database: &Database, guiche: &Guiche) -> Connection {
    if mode == "direct" {
        let caller = guiche.begin(&credit(1, "n1")).await;
        database.until_waiting(2).await;
        return caller;
    }
    guiche.queue(&credit(1, "n1")).await
}

/// Connections that only idle are not requests: however many there are, one more is served.
#[tokio::test]
async fn idle_connections_take_no_room() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).set("REQUESTS_IN_FLIGHT", 2).start().await;
    let mut idle = Vec::new();
    for number in 1..=20 {
        let mut connection = guiche.connect().await;
        let request = credit(1, "x");
        let answer = tokio::time::timeout(AT_ONCE, connection.ask(&request)).await;
        let answer = answer.expect("an answer, not a hang");
        assert_eq!(answer.expect("an answer").balance(), number);
        idle.push(connection);
    }
}

#[tokio::test]
async fn live_actors_are_bounded_and_idle_ones_make_room() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).set("LIVE_ACTORS", 2).set("CALLS_IN_FLIGHT", 2).start().await;
    for client in 1..=5 {
        assert_eq!(guiche.credit(client, 1, "x").await.balance(), 1);
        assert!(guiche.metric("guiche_live_actors").await <= 2);
    }
    let (lock_one, lock_two) = tokio::join!(database.lock(1), database.lock(2));
    let mut callers = vec![guiche.begin(&credit(1, "busy")).await];
    database.until_waiting(1).await;
    callers.push(guiche.begin(&credit(2, "busy")).await);
    database.until_waiting(2).await;
    let refused = at_once(&guiche, &credit(3, "beyond")).await;
    refused.assert_refused("overloaded");
    assert_eq!(refused.json()["detail"], "too many clients are active");
    assert_eq!(guiche.metrics().await.with("guiche_sheds_total", "live_actors"), 1);
    tokio::join!(lock_one.release(), lock_two.release());
    answered(&mut callers).await;
    assert_eq!(guiche.credit(3, 1, "again").await.balance(), 2);
    assert_eq!(database.descriptions(3).await, ["x", "again"]);
}

#[tokio::test]
async fn a_batch_is_bounded() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).set("BATCH_MAX", 4).start().await;
    let lock = database.lock(1).await;
    let mut callers = vec![guiche.begin(&credit(1, "n0")).await];
    database.until_waiting(1).await;
    for number in 1..=10 {
        callers.push(guiche.queue(&credit(1, &format!("n{number}"))).await);
    }
    lock.release().await;
    answered(&mut callers).await;
    let metrics = guiche.metrics().await;
    assert_eq!(metrics.get("guiche_flushes_total"), 1 + 3, "1, then 4, 4 and 2");
    assert_eq!(metrics.with("guiche_batch_transactions_bucket", "le=\"4.0\""), 4, "none above 4");
    let expected: Vec<String> = (0..=10).map(|number| format!("n{number}")).collect();
    assert_eq!(database.descriptions(1).await, expected);
}

#[tokio::test]
async fn a_call_spans_as_many_clients_as_it_may() {
    for (clients_per_call, calls) in [(1, 4), (3, 2), (64, 1)] {
        let database = Database::create().await;
        let launcher = Guiche::launcher(&database).set("CLIENTS_PER_CALL", clients_per_call);
        let guiche = launcher.set("CALLS_IN_FLIGHT", 1).set("OVERLAP_CALLS", 1).start().await;
        let lock = database.lock(5).await;
        let mut callers = vec![guiche.begin(&credit(5, "first")).await];
        database.until_waiting(1).await;
        for client in 1..=4 {
            callers.push(guiche.queue(&credit(client, "x")).await);
        }
        lock.release().await;
        answered(&mut callers).await;
        let metrics = guiche.metrics().await;
        assert_eq!(metrics.get("guiche_flushes_total"), 1 + calls, "{clients_per_call} clients per call");
        assert_eq!(metrics.get("guiche_batch_clients_sum"), 5);
    }
}

#[tokio::test]
async fn connections_to_the_database_are_bounded_and_not_waited_for_long() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).mode("direct").set("POOL_SIZE", 3).start().await;
    let lock = database.lock(1).await;
    let mut callers = Vec::new();
    for number in 1..=3 {
        callers.push(guiche.begin(&credit(1, "holds")).await);
        database.until_waiting(number).await;
    }
    let started = Instant::now();
    let refused = guiche.ask(&credit(2, "beyond")).await;
    refused.assert_refused("unavailable");
    assert!(started.elapsed() < Duration::from_secs(15), "before any deadline of the answer");
    // One more belongs to the instance itself, which asks the database what it is.
    assert!(database.sessions("").await <= 4, "{} sessions", database.sessions("").await);
    lock.release().await;
    answered(&mut callers).await;
    assert_eq!(database.rows_of(2).await, []);
}

#[tokio::test]
async fn calls_in_flight_are_bounded() {
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set("CALLS_IN_FLIGHT", 2).set("OVERLAP_BELOW", 0);
    let guiche = launcher.start().await;
    let mut locks = Vec::new();
    for client in 1..=4 {
        locks.push(database.lock(client).await);
    }
    let mut callers = Vec::new();
    for client in 1..=2 {
        callers.push(guiche.begin(&credit(i64::from(client), "x")).await);
        database.until_waiting(i64::from(client)).await;
    }
    for client in 3..=4 {
        callers.push(guiche.queue(&credit(client, "x")).await);
    }
    assert_eq!(database.waiting().await, 2);
    for lock in locks {
        lock.release().await;
    }
    answered(&mut callers).await;
    until("nothing is in use", async || guiche.metric("guiche_pool_connections_in_use").await == 0).await;
}

/// While little is in flight more calls may go out, where the settings say so.
#[tokio::test]
async fn small_calls_overlap_only_as_far_as_they_may() {
    for (overlap_below, overlap_calls, in_flight) in
        [(0, 8, 1), (1, 8, 1), (2, 8, 2), (100, 2, 2), (100, 8, 3)]
    {
        let database = Database::create().await;
        let launcher = Guiche::launcher(&database).set("CALLS_IN_FLIGHT", 1);
        let launcher = launcher.set("OVERLAP_BELOW", overlap_below).set("OVERLAP_CALLS", overlap_calls);
        let guiche = launcher.start().await;
        let mut locks = Vec::new();
        let mut callers = Vec::new();
        for client in 1..=3 {
            locks.push(database.lock(client).await);
            if i64::from(client) <= in_flight {
                callers.push(guiche.begin(&credit(client.into(), "x")).await);
                database.until_waiting(client.into()).await;
            } else {
                callers.push(guiche.queue(&credit(client.into(), "x")).await);
            }
        }
        assert_eq!(database.waiting().await, in_flight, "{overlap_calls} below {overlap_below}");
        for lock in locks {
            lock.release().await;
        }
        answered(&mut callers).await;
    }
}

fn credit(client: i64, description: &str) -> Request {
    Request::transaction(client, 1, "c", description)
}

async fn at_once(guiche: &Guiche, request: &Request) -> Response {
    tokio::time::timeout(AT_ONCE, guiche.ask(request)).await.expect("an answer at once, not a hang")
}

async fn answered(callers: &mut [Connection]) {
    for caller in callers {
        caller.receive().await.expect("an answer").balance();
    }
}
