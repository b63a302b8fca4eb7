//! What is refused, what was rolled back, and what nobody knows are told apart; and deadlines nest.

use futures_util::future::join_all;
use testbed::{Flow, Proxy};

use crate::harness::{Database, Guiche, Launcher, MODES, Request, until};

/// One whose wait for a row is soon over, long before its call is.
fn impatient(database: &Database) -> Launcher {
    Guiche::launcher(database).deadlines(4_000, 15_000, 20_000)
}

/// An instance whose calls are soon over, and whose connection to the database goes through a proxy and is open:
/// client 1 has a balance of 1.
async fn behind_proxy(mode: &str) -> (Database, Proxy, Guiche) {
    let database = Database::create().await;
    let proxy = database.proxy();
    let hasty = Guiche::behind(&proxy, &database).deadlines(3_000, 4_000, 10_000);
    let guiche = hasty.mode(mode).start().await;
    guiche.book(1, 1, "before").await;
    (database, proxy, guiche)
}

/// Runs a test in all modes at once, since most of its time is waiting.
async fn in_every_mode(test: impl AsyncFn(&'static str)) {
    join_all(MODES.map(|mode| test(mode))).await;
}

#[tokio::test]
async fn what_waits_too_long_for_a_lock_is_rolled_back_and_says_so() {
    in_every_mode(async |mode| {
        let database = Database::create().await;
        let guiche = impatient(&database).mode(mode).start().await;
        guiche.credit(2, 1, "warm").await.balance();
        let lock = database.lock(1).await;
        guiche.credit(1, 1, "never").await.assert_refused("unavailable");
        assert_eq!(guiche.metrics().await.with("guiche_database_failures_total", "rolled_back"), 1, "{mode}");
        lock.release().await;
        assert_eq!(guiche.book(1, 1, "again").await, 1, "{mode}");
        assert_eq!(database.descriptions(1).await, ["again"], "{mode}");
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_the_outcome_unknown_and_the_transaction_applied() {
    in_every_mode(async |mode| {
        let (database, proxy, guiche) = behind_proxy(mode).await;
        let (accepted, open) = (proxy.accepted(), proxy.open());

        proxy.answers(Flow::Stalled);
        guiche.credit(1, 10, "lost").await.assert_unknown();
        until("it is applied", async || database.balance(1).await == 11).await;
        until("the connection is discarded", async || proxy.open() < open).await;
        // Statements that are asked for until one is answered may fail, too.
        assert_eq!(guiche.metrics().await.with("guiche_database_failures_total", "unknown"), 1, "{mode}");
        proxy.answers(Flow::Free);
        guiche.until_it_answers().await;
        assert!(proxy.accepted() - accepted <= 1, "{mode}: at most one new connection");

        assert_eq!(guiche.book(1, 100, "after").await, 111, "{mode}");
        assert_eq!(
            database.descriptions(1).await,
            ["before", "lost", "after"],
            "{mode}: nothing was retried"
        );
    })
    .await;
}

#[tokio::test]
async fn a_question_that_is_lost_leaves_the_outcome_unknown_and_nothing_applied() {
    in_every_mode(async |mode| {
        let (database, proxy, guiche) = behind_proxy(mode).await;
        let open = proxy.open();

        proxy.questions(Flow::Stalled);
        guiche.credit(1, 10, "lost").await.assert_unknown();
        until("the connection is discarded", async || proxy.open() < open).await;
        // What waits on the way never arrives.
        proxy.cut().await;
        proxy.questions(Flow::Free);
        guiche.until_it_answers().await;

        assert_eq!(guiche.book(1, 100, "after").await, 101, "{mode}");
        assert_eq!(database.descriptions(1).await, ["before", "after"], "{mode}");
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_is_cut_leaves_the_outcome_unknown() {
    in_every_mode(async |mode| {
        let database = Database::create().await;
        let mut proxy = database.proxy();
        let guiche = Guiche::behind(&proxy, &database).mode(mode).start().await;
        guiche.credit(1, 1, "before").await.balance();

        let mut queue = guiche.hold(&database, 1, &Request::transaction(1, 10, "c", "cut")).await;
        proxy.go_down().await;
        queue.first_answer().await.assert_unknown();
        // Nothing can be sent now, and that is certain.
        guiche.credit(1, 10, "refused").await.assert_refused("unavailable");
        guiche.statement(1).await.assert_refused("unavailable");
        drop(queue);
        proxy.come_up().expect("its port is free");
        guiche.until_ready().await;

        let balance = guiche.credit(1, 100, "after").await.balance();
        assert!([101, 111].contains(&balance), "{mode}: {balance}");
        assert_eq!(database.rows_of(1).await.len(), if balance == 101 { 2 } else { 3 }, "{mode}");
        database.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_statement_whose_answer_is_lost_may_be_asked_for_again() {
    in_every_mode(async |mode| {
        let (_database, proxy, guiche) = behind_proxy(mode).await;
        let open = proxy.open();
        proxy.answers(Flow::Stalled);
        guiche.statement(1).await.assert_refused("unavailable");
        until("the connection is discarded", async || proxy.open() < open).await;
        // Statements that are asked for until one is answered may fail, too.
        assert_eq!(guiche.metrics().await.with("guiche_database_failures_total", "unknown"), 1, "{mode}");
        proxy.answers(Flow::Free);
        guiche.until_it_answers().await;
        assert_eq!(guiche.statement(1).await.json()["saldo"]["total"], 1, "{mode}");
    })
    .await;
}

/// Requests of a client, one call at a time: two are rolled back, one after the other, since their row is held, the
/// third is out when its answer is due, the last was never sent.
#[tokio::test]
async fn an_answer_that_is_due_says_whether_the_request_was_sent() {
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).mode("serial").deadlines(12_000, 13_000, 14_000);
    let guiche = launcher.start().await;
    let send = |description: &str| Request::transaction(1, 1, "c", description);
    let mut queue = guiche.hold(&database, 1, &send("rolled")).await;
    queue.push_all(["also", "sent", "unsent"].map(send)).await;
    let answers = queue.answers().await;
    for refused in [0, 1, 3] {
        answers[refused].assert_refused("unavailable");
    }
    answers[2].assert_unknown();
    drop(queue);
    guiche.book(1, 1, "after").await;
    let applied = database.descriptions(1).await;
    assert!(applied == ["after"] || applied == ["sent", "after"], "{applied:?}");
    assert_eq!(guiche.metric("guiche_abandoned_total").await, 1, "the unsent one was skipped");
}

#[tokio::test]
async fn one_clients_trouble_is_not_anothers() {
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set("CALLS_IN_FLIGHT", 2);
    let guiche = launcher.deadlines(10_000, 15_000, 20_000).start().await;
    let mut stuck = guiche.hold(&database, 1, &Request::transaction(1, 1, "c", "stuck")).await;
    assert_eq!(guiche.credit(2, 1, "x").await.balance(), 1);
    stuck.first_answer().await.assert_refused("unavailable");
}
