//! A row that somebody else keeps locked is its own client's trouble, and nobody else's.

use crate::harness::{Database, Guiche, Request, until};

async fn start(database: &Database, row_waits: u32) -> Guiche {
    let launcher = Guiche::launcher(database).set("ROW_WAITS", row_waits).set("POOL_SIZE", 16);
    launcher.deadlines(60_000, 62_000, 65_000).start().await
}

#[tokio::test]
async fn others_go_on_while_a_row_is_held() {
    let database = Database::create().await;
    let guiche = start(&database, 8).await;
    let lock = database.lock(1).await;
    let mut held = Vec::new();
    for description in ["first", "second"] {
        held.push(guiche.begin(&Request::transaction(1, 1, "c", description)).await);
    }
    // Once it waits apart, nobody waits with it: not even for the brief time.
    until("it waits apart", async || guiche.credit(2, 1, "x").await.status == 200).await;
    let undone = async || guiche.metrics().await.with("guiche_database_failures_total", "rolled_back");
    let before = undone().await;
    for number in 1..=50 {
        for client in 3..=5 {
            assert_eq!(guiche.credit(client, 1, "x").await.balance(), number);
            assert_eq!(guiche.statement(client).await.status, 200);
        }
    }
    assert_eq!(undone().await, before, "no call of theirs was undone");
    assert_eq!(guiche.statement(1).await.json()["saldo"]["total"], 0, "who reads does not wait");
    assert_eq!(database.waiting().await, 1, "its first run alone is out");
    assert_eq!(database.rows_of(1).await.len(), 0);
    lock.release().await;
    for caller in &mut held {
        caller.receive().await.expect("an answer").balance();
    }
    assert_eq!(database.descriptions(1).await, ["first", "second"], "in the order in which they came");
    database.assert_books().await;
}

/// One instance's call is before the other's in the row's queue, and both are told in time that nothing was applied.
#[tokio::test]
async fn who_waits_in_vain_behind_the_other_instance_is_refused_too() {
    let database = Database::create().await;
    let start = || Guiche::launcher(&database).set("ROW_WAITS", 8).deadlines(12_000, 25_000, 28_000).start();
    let (one, other) = tokio::join!(start(), start());
    other.until_it_answers().await;
    let lock = database.lock(1).await;
    let mut waiting = Vec::new();
    for (instance, others) in [(&one, 1), (&other, 2)] {
        waiting.push(instance.begin(&Request::transaction(1, 1, "c", "in vain")).await);
        database.until_waiting(others).await;
    }
    for caller in &mut waiting {
        caller.receive().await.expect("an answer").assert_refused("unavailable");
    }
    lock.release().await;
    assert_eq!(other.book(1, 1, "free").await, 1);
    assert_eq!(database.descriptions(1).await, ["free"]);
}

/// The row is wanted apart from the beginning, as long as it is held: others are not held up each time.
#[tokio::test]
async fn who_waited_in_vain_waits_apart_the_next_time() {
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set("ROW_WAITS", 8).deadlines(2_000, 15_000, 20_000);
    let guiche = launcher.start().await;
    let lock = database.lock(1).await;
    guiche.credit(1, 1, "in vain").await.assert_refused("unavailable");
    let failures = async || guiche.metrics().await.with("guiche_database_failures_total", "rolled_back");
    let before = failures().await;
    guiche.credit(1, 1, "in vain").await.assert_refused("unavailable");
    assert_eq!(failures().await - before, 1, "one call, which waited long");
    lock.release().await;
    assert_eq!(guiche.book(1, 1, "free").await, 1);
    assert_eq!(database.descriptions(1).await, ["free"]);
}

#[tokio::test]
async fn as_many_wait_apart_as_may() {
    let database = Database::create().await;
    let guiche = start(&database, 1).await;
    let locks = (database.lock(1).await, database.lock(2).await);
    let mut first = guiche.begin(&Request::transaction(1, 1, "c", "first")).await;
    until("it waits apart", async || guiche.credit(3, 1, "x").await.status == 200).await;
    let refused = guiche.credit(2, 1, "second").await;
    refused.assert_refused("overloaded");
    assert_eq!(refused.json()["detail"], "too many clients wait for rows that somebody else holds");
    locks.0.release().await;
    locks.1.release().await;
    assert_eq!(first.receive().await.expect("an answer").balance(), 1);
    assert_eq!(guiche.credit(2, 1, "third").await.balance(), 1);
}

/// Calls of the other instance hold rows, too, for as long as a commit takes. However long that is, they
/// are waited for together.
#[tokio::test]
async fn a_slow_commit_is_no_held_row() {
    let database = Database::create().await;
    database
        .execute(
            "CREATE TABLE gate AS SELECT 1;
             CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
             BEGIN
                 WHILE NEW.descricao = 'slow' AND EXISTS (SELECT FROM gate) LOOP PERFORM pg_sleep(0.01); END LOOP;
                 RETURN NULL;
             END $$;
             CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON transacoes
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()",
        )
        .await;
    let (one, other) = tokio::join!(start(&database, 8), start(&database, 8));
    let mut slow = one.begin(&Request::transaction(1, 1, "c", "slow")).await;
    until("it commits", async || database.sessions("AND wait_event = 'PgSleep'").await == 1).await;
    let mut waiting = other.begin(&Request::transaction(1, 1, "c", "waits")).await;
    database.until_waiting(1).await;
    let mut beside = Vec::new();
    for client in 2..=5 {
        beside.push(other.queue(&Request::transaction(client, 1, "c", "beside")).await);
    }
    database.execute("DELETE FROM gate").await;
    for caller in beside.iter_mut().chain([&mut slow, &mut waiting]) {
        caller.receive().await.expect("an answer").balance();
    }
    let calls = other.metrics().await.get("guiche_flushes_total");
    assert_eq!(calls, 2, "the one that waited, and one for all others");
}

/// Nor is it a call of the service's that holds a row for longer than any may take, in whoever's session.
#[tokio::test]
async fn others_go_on_while_a_stolen_session_is_busy_with_a_row() {
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set("ROW_WAITS", 8).deadlines(3_000, 15_000, 20_000);
    let guiche = launcher.start().await;
    let stolen = database.api().await;
    let holds =
        "SET statement_timeout = 0; BEGIN; SELECT InsertTransacao(1, 1, 'c', 'mine'); SELECT pg_sleep(600)";
    let busy = tokio::spawn(async move { stolen.batch_execute(holds).await });
    until("it is busy", async || database.sessions("AND wait_event = 'PgSleep'").await == 1).await;
    let mut callers = Vec::new();
    until("its client waits apart", async || {
        callers.push(guiche.begin(&Request::transaction(1, 1, "c", "waits")).await);
        guiche.metric("guiche_row_waits").await == 1
    })
    .await;
    assert_eq!(guiche.credit(2, 1, "x").await.balance(), 1);
    busy.abort();
}
