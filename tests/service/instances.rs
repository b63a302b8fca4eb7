//! Two instances write for the same clients at the same time; the database alone guards them.

use futures_util::future::join_all;

use crate::harness::{Database, Guiche, Request};

/// 150 debits of a hundredth of the limit, half through each instance: exactly 100 fit.
#[tokio::test]
async fn racing_at_the_limit_never_passes_it() {
    for modes in [["batched", "batched"], ["direct", "batched"], ["serial", "direct"]] {
        let database = Database::create().await;
        let instances = join_all(modes.map(|mode| Guiche::launcher(&database).mode(mode).start())).await;
        let debits = (0..150).map(|number| {
            let guiche = &instances[number % 2];
            async move { guiche.debit(1, 1_000, &format!("d{number}")).await }
        });
        let responses = join_all(debits).await;
        let mut balances = Vec::new();
        for response in &responses {
            match response.status {
                200 => balances.push(response.balance()),
                _ => response.assert_problem(422, "limit-exceeded", "a debit"),
            }
        }
        balances.sort_unstable();
        let expected: Vec<i64> = (1..=100).map(|number| -1_000 * number).rev().collect();
        assert_eq!(balances, expected, "{modes:?}: each balance down to the limit was answered once");
        assert_eq!(database.balance(1).await, -100_000, "{modes:?}");
        database.assert_books().await;
        for guiche in &instances {
            assert_eq!(guiche.statement(1).await.json()["saldo"]["total"], -100_000, "{modes:?}");
        }
    }
}

/// Credits and debits race around the limit, over several clients in calls that span them, which
/// would deadlock if the rows were not locked in one order.
#[tokio::test]
async fn credits_and_debits_of_both_leave_balances_that_are_sums() {
    let database = Database::create().await;
    let (one, two) = tokio::join!(Guiche::on(&database), Guiche::on(&database));
    let callers = (0..16).map(|number| {
        let guiche = if number % 2 == 0 { &one } else { &two };
        async move {
            let mut connection = guiche.connect().await;
            let mut random = fastrand::Rng::with_seed(number);
            for _ in 0..40 {
                let kind = if random.bool() { "c" } else { "d" };
                let amount = random.i64(1..=60_000);
                let request = Request::transaction(random.i64(1..=5), amount, kind, "race");
                let response = connection.ask(&request).await.expect("an answer");
                assert!(matches!(response.status, 200 | 422), "{response:?}");
                if response.status == 200 {
                    let answer = response.json();
                    let (limit, balance) = (answer["limite"].as_i64(), answer["saldo"].as_i64());
                    assert!(balance >= limit.map(|limit| -limit), "{response:?}");
                }
            }
        }
    });
    join_all(callers).await;
    database.assert_books().await;
    for guiche in [&one, &two] {
        assert_eq!(guiche.metrics().await.get("guiche_database_failures_total"), 0, "no deadlock");
    }
}

#[tokio::test]
async fn neither_instance_remembers_a_balance_a_limit_or_an_absence() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    assert_eq!(guiche.credit(1, 10, "x").await.balance(), 10);
    assert_eq!(guiche.credit(6, 1, "x").await.status, 404);
    assert_eq!(guiche.statement(6).await.status, 404);
    database
        .execute(
            "UPDATE clientes SET limite = 5, saldo = 0 WHERE id = 1;
             INSERT INTO clientes (id, limite, saldo) VALUES (6, 7, 0)",
        )
        .await;
    assert_eq!(guiche.debit(1, 6, "x").await.problem(), "limit-exceeded");
    assert_eq!(guiche.debit(1, 5, "x").await.balance(), -5);
    assert_eq!(guiche.debit(6, 7, "x").await.balance(), -7);
    assert_eq!(guiche.statement(6).await.json()["saldo"]["limite"], 7);
    database.execute("DELETE FROM clientes WHERE id = 6").await;
    assert_eq!(guiche.statement(6).await.status, 404);
    assert_eq!(guiche.credit(6, 1, "x").await.status, 404);
}
