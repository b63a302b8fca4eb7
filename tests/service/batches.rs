//! One element of a batch never fails the others.

use crate::harness::{Database, Guiche, Request, Response};

/// Queues `requests` behind one call, so that they go out together.
async fn together(database: &Database, guiche: &Guiche, requests: Vec<Request>) -> Vec<(u16, String)> {
    let mut queue = guiche.hold(database, 5, &Request::transaction(5, 1, "c", "first")).await;
    queue.push_all(requests).await;
    let flushes = guiche.metric("guiche_flushes_total").await;
    let answers = queue.release().await;
    answers[0].balance();
    assert_eq!(guiche.metric("guiche_flushes_total").await, flushes + 2, "the rest was one batch");
    let outcome = |response: &Response| match response.status {
        200 => (200, response.balance().to_string()),
        status => (status, response.problem()),
    };
    answers[1..].iter().map(outcome).collect()
}

fn outcome(status: u16, what: &str) -> (u16, String) {
    (status, what.to_owned())
}

#[tokio::test]
async fn a_run_of_one_client_survives_its_refused_elements() {
    let database = Database::create().await;
    database.execute(&format!("UPDATE clientes SET saldo = {} WHERE id = 5", i64::MAX - 10)).await;
    let guiche = Guiche::on(&database).await;
    let send = |amount, kind, description| Request::transaction(5, amount, kind, description);
    let outcomes = together(
        &database,
        &guiche,
        vec![
            send(10, "c", "overflow"), // the first one left room for 9
            send(9, "c", "fits"),
            send(1, "c", "overflow"),
            send(i64::MAX, "c", "overflow"),
            send(i64::MAX, "d", "fits"),
            send(i64::MAX, "d", "limit"),
            send(500_001, "d", "limit"),
            send(500_000, "d", "fits"),
            send(1, "d", "limit"),
            send(500_000, "c", "fits"),
        ],
    )
    .await;
    let expected = [
        outcome(422, "balance-overflow"),
        outcome(200, "9223372036854775807"),
        outcome(422, "balance-overflow"),
        outcome(422, "balance-overflow"),
        outcome(200, "0"),
        outcome(422, "limit-exceeded"),
        outcome(422, "limit-exceeded"),
        outcome(200, "-500000"),
        outcome(422, "limit-exceeded"),
        outcome(200, "0"),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(database.descriptions(5).await, ["first", "fits", "fits", "fits", "fits"]);
}

#[tokio::test]
async fn a_batch_over_clients_survives_its_refused_elements() {
    let database = Database::create().await;
    database.execute(&format!("UPDATE clientes SET saldo = {} WHERE id = 3", i64::MAX)).await;
    let guiche = Guiche::launcher(&database).set("OVERLAP_BELOW", 0).start().await;
    let send = Request::transaction;
    let outcomes = together(
        &database,
        &guiche,
        vec![
            send(6, 1, "c", "nobody"),
            send(1, 100_001, "d", "limit"),
            send(2, 80_000, "d", "fits"),
            send(2147483647, 1, "d", "nobody"),
            send(3, 1, "c", "overflow"),
            send(1, 100_000, "d", "fits"),
            send(2, 1, "d", "limit"),
            send(6, 1, "d", "nobody"),
            send(3, 1, "d", "fits"),
            send(4, 1, "c", "fits"),
        ],
    )
    .await;
    let expected = [
        outcome(404, "unknown-client"),
        outcome(422, "limit-exceeded"),
        outcome(200, "-80000"),
        outcome(404, "unknown-client"),
        outcome(422, "balance-overflow"),
        outcome(200, "-100000"),
        outcome(422, "limit-exceeded"),
        outcome(404, "unknown-client"),
        outcome(200, "9223372036854775806"),
        outcome(200, "1"),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(guiche.metric("guiche_batch_clients_sum").await, 1 + 6, "it spanned six clients");
    let metrics = guiche.metrics().await;
    for (outcome, count) in
        [("applied", 5), ("limit_exceeded", 2), ("balance_overflow", 1), ("unknown_client", 3)]
    {
        let label = format!("outcome=\"{outcome}\"");
        assert_eq!(metrics.with("guiche_transactions_total", &label), count, "{outcome}");
    }
}

#[tokio::test]
async fn statements_of_nobody_do_not_disturb_those_beside_them() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).set("OVERLAP_BELOW", 0).start().await;
    let mut queue = guiche.hold(&database, 1, &Request::transaction(1, 1, "c", "first")).await;
    queue.push_all([6, 1, 7, 2].map(Request::statement)).await;
    let statuses: Vec<u16> = queue.release().await.iter().map(|response| response.status).collect();
    assert_eq!(statuses, [200, 404, 200, 404, 200]);
}
