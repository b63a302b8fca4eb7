//! Everything that can grow has a bound, and at the bound the caller is told at once.

use std::time::{Duration, Instant};

use crate::harness::{Database, Guiche, MODES, Queue, Request, Response, until};

/// What "at once" means here, on a machine that is busy with other tests: far less than any of
/// the deadlines that a hang would run into.
const AT_ONCE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_clients_queue_is_bounded() {
    for mode in ["serial", "batched"] {
        let database = Database::create().await;
        let launcher = Guiche::launcher(&database).mode(mode).set("QUEUE_PER_CLIENT", 3);
        let guiche = launcher.set("CALLS_IN_FLIGHT", 2).start().await;
        let mut queue = guiche.hold(&database, 1, &credit(1, "n0")).await;
        queue.push_all(["n1", "n2"].map(|description| credit(1, description))).await;
        for request in [credit(1, "beyond"), Request::statement(1)] {
            let refused = at_once(&guiche, &request).await;
            refused.assert_refused("overloaded");
            assert_eq!(refused.json()["detail"], "the client's queue is full", "{mode}");
        }
        assert_eq!(guiche.metrics().await.with("guiche_sheds_total", "client_queue"), 2, "{mode}");
        assert_eq!(guiche.credit(2, 1, "other").await.balance(), 1, "{mode}: another client's is not full");
        assert_eq!(queue.balances().await, [1, 2, 3], "{mode}");
        assert_eq!(guiche.credit(1, 1, "again").await.balance(), 4, "{mode}: there is room again");
        assert_eq!(database.descriptions(1).await, ["n0", "n1", "n2", "again"], "{mode}");
    }
}

#[tokio::test]
async fn the_requests_in_flight_are_bounded() {
    for mode in MODES {
        let database = Database::create().await;
        let guiche = Guiche::launcher(&database).mode(mode).set("REQUESTS_IN_FLIGHT", 2).start().await;
        let mut queue = guiche.hold(&database, 1, &credit(1, "n0")).await;
        queue.push(&credit(1, "n1")).await;
        for request in [credit(2, "beyond"), Request::statement(3)] {
            let refused = at_once(&guiche, &request).await;
            refused.assert_refused("overloaded");
            assert_eq!(refused.json()["detail"], "too many requests are in flight", "{mode}");
        }
        assert_eq!(guiche.metrics().await.with("guiche_sheds_total", "requests_in_flight"), 2, "{mode}");
        assert_eq!(guiche.get("/healthz").await.status, 200, "{mode}: health needs no room");
        assert_eq!(queue.sorted_balances().await, [1, 2], "{mode}");
        assert_eq!(guiche.credit(2, 1, "again").await.balance(), 1, "{mode}");
        assert_eq!(database.rows_of(2).await.len(), 1, "{mode}");
    }
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
    let one = guiche.hold(&database, 1, &credit(1, "busy")).await;
    let two = guiche.hold(&database, 2, &credit(2, "busy")).await;
    let refused = at_once(&guiche, &credit(3, "beyond")).await;
    refused.assert_refused("overloaded");
    assert_eq!(refused.json()["detail"], "too many clients are active");
    assert_eq!(guiche.metrics().await.with("guiche_sheds_total", "live_actors"), 1);
    assert_eq!((one.balances().await, two.balances().await), (vec![2], vec![2]));
    assert_eq!(guiche.credit(3, 1, "again").await.balance(), 2);
    assert_eq!(database.descriptions(3).await, ["x", "again"]);
}

#[tokio::test]
async fn a_batch_is_bounded() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).set("BATCH_MAX", 4).start().await;
    let mut queue = guiche.hold(&database, 1, &credit(1, "n0")).await;
    queue.push_all((1..=10).map(|number| credit(1, &format!("n{number}")))).await;
    assert_eq!(queue.balances().await, Vec::from_iter(1..=11));
    let metrics = guiche.metrics().await;
    assert_eq!(metrics.get("guiche_flushes_total"), 1 + 3, "1, then 4, 4 and 2");
    assert_eq!(metrics.with("guiche_batch_transactions_bucket", "le=\"4\""), 4, "none above 4");
    let expected: Vec<String> = (0..=10).map(|number| format!("n{number}")).collect();
    assert_eq!(database.descriptions(1).await, expected);
}

#[tokio::test]
async fn a_call_spans_as_many_clients_as_it_may() {
    for (clients_per_call, calls) in [(1, 4), (3, 2), (64, 1)] {
        let database = Database::create().await;
        let launcher = Guiche::launcher(&database).set("CLIENTS_PER_CALL", clients_per_call);
        let guiche = launcher.set("CALLS_IN_FLIGHT", 1).set("OVERLAP_CALLS", 1).start().await;
        let mut queue = guiche.hold(&database, 5, &credit(5, "first")).await;
        queue.push_all((1..=4).map(|client| credit(client, "x"))).await;
        assert_eq!(queue.balances().await, [1; 5]);
        let metrics = guiche.metrics().await;
        assert_eq!(metrics.get("guiche_flushes_total"), 1 + calls, "{clients_per_call} clients per call");
        assert_eq!(metrics.get("guiche_batch_clients_sum"), 5);
    }
}

#[tokio::test]
async fn connections_to_the_database_are_bounded_and_not_waited_for_long() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).mode("direct").set("POOL_SIZE", 3).start().await;
    let mut holders = guiche.hold(&database, 1, &credit(1, "holds")).await;
    holders.push_all([credit(1, "holds"), credit(1, "holds")]).await;
    let started = Instant::now();
    let refused = guiche.ask(&credit(2, "beyond")).await;
    refused.assert_refused("unavailable");
    assert!(started.elapsed() < Duration::from_secs(15), "before any deadline of the answer");
    // One more belongs to the instance itself, which asks the database what it is.
    assert!(database.sessions("").await <= 4, "{} sessions", database.sessions("").await);
    assert_eq!(holders.sorted_balances().await, [1, 2, 3]);
    assert_eq!(database.rows_of(2).await, []);
}

#[tokio::test]
async fn calls_in_flight_are_bounded() {
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set("CALLS_IN_FLIGHT", 2).set("OVERLAP_BELOW", 0);
    let guiche = launcher.start().await;
    let mut queues = Vec::new();
    for client in 1..=4 {
        queues.push(guiche.hold_or_queue(&database, client, &credit(client.into(), "x")).await);
    }
    until("two wait for rows", async || database.waiting().await == 2 && guiche.depth().await == 2).await;
    assert_eq!(each_balance(queues).await, [1; 4]);
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
        let mut queues = Vec::new();
        for client in 1..=3 {
            queues.push(guiche.hold_or_queue(&database, client, &credit(client.into(), "x")).await);
        }
        let all =
            async || (database.waiting().await, guiche.depth().await as i64) == (in_flight, 3 - in_flight);
        until(&format!("{in_flight} wait for rows: {overlap_calls} below {overlap_below}"), all).await;
        assert_eq!(each_balance(queues).await, [1; 3]);
    }
}

/// Lets go of all rows, which one call may need, and returns what the callers are told.
async fn each_balance(queues: Vec<Queue<'_>>) -> Vec<i64> {
    for queue in &queues {
        queue.let_go().await;
    }
    let mut balances = Vec::new();
    for queue in queues {
        balances.extend(queue.balances().await);
    }
    balances
}

fn credit(client: i64, description: &str) -> Request {
    Request::transaction(client, 1, "c", description)
}

async fn at_once(guiche: &Guiche, request: &Request) -> Response {
    tokio::time::timeout(AT_ONCE, guiche.ask(request)).await.expect("an answer at once, not a hang")
}
