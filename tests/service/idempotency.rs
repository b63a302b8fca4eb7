//! `Idempotency-Key`: the same request again is answered what it was answered first, and never applied twice.

use testbed::Profile;

use crate::harness::{Database, Guiche, Launcher, MODES, Request, Response, own_cluster, transaction, until};

const PATH: &str = "/clientes/1/transacoes";

/// What sets a database up: what may be run again, in its order.
const UPGRADE: [&str; 4] = [
    include_str!("../../sql/20-functions.sql"),
    include_str!("../../sql/25-keys.sql"),
    include_str!("../../sql/27-traced.sql"),
    include_str!("../../sql/30-role.sql"),
];

fn keyed(key: &str, request: Request) -> Request {
    request.header("Idempotency-Key", &format!("\"{key}\""))
}

fn credit(client: i64, amount: i64, description: &str) -> Request {
    Request::transaction(client, amount, "c", description)
}

fn debit(client: i64, amount: i64, description: &str) -> Request {
    Request::transaction(client, amount, "d", description)
}

/// Asserts that two answers say the same.
#[track_caller]
fn assert_same(one: &Response, other: &Response, what: &str) {
    assert_eq!((one.status, one.text()), (other.status, other.text()), "{what}");
}

#[tokio::test]
async fn the_same_again_is_told_the_first_outcome_in_every_mode() {
    for mode in MODES {
        let database = Database::create().await;
        let guiche = Guiche::launcher(&database).mode(mode).start().await;
        let first = guiche.ask(&keyed("k", credit(1, 5, "five"))).await;
        assert_eq!(first.balance(), 5, "{mode}");
        assert_eq!(guiche.credit(1, 7, "other").await.balance(), 12, "{mode}");
        database.execute("UPDATE clientes SET limite = 200000 WHERE id = 1").await;
        for _ in 0..3 {
            // Balance and limit are those of then.
            assert_same(&guiche.ask(&keyed("k", credit(1, 5, "five"))).await, &first, mode);
        }
        for other in [credit(1, 6, "five"), debit(1, 5, "five"), credit(1, 5, "six")] {
            let refused = guiche.ask(&keyed("k", other)).await;
            refused.assert_problem(422, "idempotency-key-reused", mode);
        }
        // A key is its client's own.
        assert_eq!(guiche.ask(&keyed("k", credit(2, 9, "nine"))).await.balance(), 9, "{mode}");
        assert_eq!(database.descriptions(1).await, ["five", "other"], "{mode}");
        assert_eq!(database.descriptions(2).await, ["nine"], "{mode}");
        let metrics = guiche.metrics().await;
        for (outcome, count) in [("applied", 3), ("repeated", 3), ("key_reused", 3)] {
            assert_eq!(metrics.with("guiche_transactions_total", outcome), count, "{mode}: {outcome}");
        }
        database.assert_books().await;
    }
}

#[tokio::test]
async fn what_was_judged_is_remembered_also_if_it_was_refused() {
    for mode in MODES {
        let database = Database::create().await;
        let guiche = Guiche::launcher(&database).mode(mode).start().await;
        let (much, one) = (keyed("much", debit(1, 100_001, "x")), keyed("one", credit(1, 1, "y")));
        guiche.ask(&much).await.assert_problem(422, "limit-exceeded", mode);
        assert_eq!(guiche.credit(1, i64::MAX, "x").await.balance(), i64::MAX, "{mode}");
        guiche.ask(&one).await.assert_problem(422, "balance-overflow", mode);
        guiche.ask(&much).await.assert_problem(422, "limit-exceeded", "it would fit by now");
        assert_eq!(guiche.debit(1, i64::MAX, "x").await.balance(), 0, "{mode}");
        guiche.ask(&one).await.assert_problem(422, "balance-overflow", "it would fit by now");
        assert_eq!(guiche.ask(&keyed("new", credit(1, 1, "y"))).await.balance(), 1, "{mode}: another key");
        assert_eq!(database.rows_of(1).await.len(), 3, "{mode}");
    }
}

#[tokio::test]
async fn what_was_not_judged_is_not_remembered() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).set("QUEUE_PER_CLIENT", 1).start().await;
    let malformed = keyed("k", Request::post(PATH, transaction(0, "c", "x")));
    guiche.ask(&malformed).await.assert_problem(422, "invalid-transaction", "no amount");
    let queue = guiche.hold(&database, 1, &credit(1, 1, "first")).await;
    guiche.ask(&keyed("k", credit(1, 2, "shed"))).await.assert_refused("overloaded");
    queue.release().await;
    assert_eq!(guiche.ask(&keyed("k", credit(1, 3, "third"))).await.balance(), 4);
    let nobody = keyed("k", credit(6, 1, "x"));
    guiche.ask(&nobody).await.assert_problem(404, "unknown-client", "client 6");
    database.execute("INSERT INTO clientes (id, limite, saldo) VALUES (6, 0, 0)").await;
    assert_eq!(guiche.ask(&nobody).await.balance(), 1, "it is somebody by now");
}

#[tokio::test]
async fn a_header_that_is_no_key_is_refused_before_anything_is_asked() {
    let guiche = Launcher::without_database().start_listening().await;
    let long = format!("\"{}\"", "x".repeat(65));
    for line in [
        "",
        "k",
        "\"",
        "\"k",
        "'k'",
        "\"k\";a=1",
        "\"k\", \"l\"",
        "\"a\"b\"",
        r#""a\b""#,
        "\"ç\"",
        "\"\"",
        &long,
    ] {
        let request = credit(1, 1, "x").header("Idempotency-Key", line);
        let response = guiche.ask(&request).await;
        response.assert_problem(400, "invalid-idempotency-key", line);
        let detail = response.json()["detail"].to_string();
        assert!(detail.contains("double quotes") || detail.contains("1 to 64"), "{line}: {detail}");
    }
    let twice = keyed("k", keyed("k", credit(1, 1, "x")));
    let response = guiche.ask(&twice).await;
    response.assert_problem(400, "invalid-idempotency-key", "twice");
    assert_eq!(response.json()["detail"], "a request has one Idempotency-Key at most");
    // The longest and the oddest that are keys go on to the database, which is not there.
    for key in ["x".repeat(64), r#" \"\\ "#.to_owned()] {
        guiche.ask(&keyed(&key, credit(1, 1, "x"))).await.assert_refused("unavailable");
    }
}

/// The second waits behind the first: in the mailbox, and past the mailboxes for the row.
#[tokio::test]
async fn who_asks_again_meanwhile_waits_for_the_first_outcome() {
    for mode in MODES {
        let database = Database::create().await;
        let guiche = Guiche::launcher(&database).mode(mode).start().await;
        let mut queue = guiche.hold(&database, 1, &keyed("k", credit(1, 1, "once"))).await;
        queue.push_all((0..3).map(|_| keyed("k", credit(1, 1, "once")))).await;
        assert_eq!(queue.balances().await, [1; 4], "{mode}");
        assert_eq!(database.descriptions(1).await, ["once"], "{mode}");
    }
}

#[tokio::test]
async fn two_instances_asked_at_once_apply_it_once() {
    for modes in [["batched", "batched"], ["direct", "batched"], ["serial", "direct"]] {
        let database = Database::create().await;
        let [one, other] = modes.map(|mode| Guiche::launcher(&database).mode(mode).start());
        let (one, other) = tokio::join!(one, other);
        let lock = database.lock(1).await;
        let request = keyed("k", credit(1, 1, "once"));
        let mut callers = [one.begin(&request).await, other.begin(&request).await];
        // Both are past their mailboxes, and neither has looked for the key: the row comes first.
        database.until_waiting(2).await;
        lock.release().await;
        for caller in &mut callers {
            assert_eq!(caller.receive().await.expect("an answer").balance(), 1, "{modes:?}");
        }
        assert_eq!(database.descriptions(1).await, ["once"], "{modes:?}");
        assert_eq!(database.value::<i64>("SELECT count(*) FROM chaves").await, 1, "{modes:?}");
    }
}

#[tokio::test]
async fn a_key_twice_in_one_batch_is_applied_once() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    let mut queue = guiche.hold(&database, 1, &credit(1, 1, "first")).await;
    let batch = [
        keyed("k", credit(1, 10, "ten")),
        credit(1, 100, "plain"),
        keyed("k", credit(1, 10, "ten")),
        keyed("k", credit(1, 11, "eleven")),
        keyed("l", debit(1, 200_000, "much")),
        keyed("l", debit(1, 200_000, "much")),
    ];
    queue.push_all(batch).await;
    let answers = queue.release().await;
    let calls = guiche.metrics().await.get("guiche_flushes_total");
    assert_eq!(calls, 2, "the one that waited, and one for all others");
    let balances: Vec<i64> = answers[..4].iter().map(Response::balance).collect();
    assert_eq!(balances, [1, 11, 111, 11]);
    answers[4].assert_problem(422, "idempotency-key-reused", "another amount");
    for refused in &answers[5..] {
        refused.assert_problem(422, "limit-exceeded", "a debit");
    }
    assert_eq!(database.descriptions(1).await, ["first", "ten", "plain"]);
    database.assert_books().await;
}

/// The commit is there, the answer is lost with the session, and then with the instance and the server as well.
#[tokio::test]
async fn what_was_committed_and_not_answered_is_learned_by_asking_again() {
    let mut cluster = own_cluster(Profile::Durable, &[]).await;
    let database = Database::create_in(&cluster).await;
    let mut guiche = Guiche::on(&database).await;
    database.have_commits_wait().await;
    let lost = [1, 2].map(|number| keyed(&format!("k{number}"), credit(1, number, "lost")));
    for request in &lost {
        let mut caller = guiche.begin(request).await;
        database.until_a_commit_waits().await;
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        database.admin().await.query(sql, &[]).await.expect("it is ended");
        caller.receive().await.expect("an answer").assert_unknown();
    }
    database.have_commits_go_on().await;
    let rows = database.rows_of(1).await.len();
    let first = guiche.ask(&lost[0]).await;
    let balance = first.balance();
    assert!(balance > 0, "{first:?}");
    assert_eq!(guiche.credit(1, 1, "more").await.status, 200);

    guiche.kill().await;
    cluster.kill().await.expect("it dies");
    cluster.start_again().await.expect("it recovers");
    let successor = Guiche::on(&database).await;
    assert_same(&successor.ask(&lost[0]).await, &first, "after a crash of all");
    assert!(successor.ask(&lost[1]).await.balance() > balance, "it came after the other");
    assert_eq!(database.rows_of(1).await.len(), rows + 1, "nothing was applied by asking");
    database.assert_books().await;
}

#[tokio::test]
async fn old_keys_are_removed_in_steps_and_by_all_instances() {
    const OLD: &str =
        "INSERT INTO chaves (valor, saldo, limite, criada_em, cliente_id, resultado, tipo, descricao, chave)
         SELECT 1, 1, 1, now() - interval '1 hour' + i * interval '1 ms', 1, 0, 'c', 'x', 'old' || i
         FROM generate_series(1, 2500) AS i";
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    assert_eq!(guiche.ask(&keyed("young", credit(1, 1, "x"))).await.balance(), 1);
    let count = async || database.value::<i64>("SELECT count(*) FROM chaves").await;
    database.execute(OLD).await;

    let api = database.api().await;
    let mut since = None::<time::OffsetDateTime>;
    for (removed, left) in [(1_000, 1_501), (1_000, 501), (500, 1), (0, 1)] {
        let row = api.query_one("SELECT * FROM ApagaChaves(3000, 1000, $1)", &[&since]).await.expect("a row");
        assert_eq!((row.get::<_, i32>("apagadas"), count().await), (removed, left));
        let until = row.get::<_, Option<time::OffsetDateTime>>("ate");
        assert!(until >= since || removed == 0, "the oldest go first");
        since = until.or(since);
    }
    for call in [
        "ApagaChaves(59, 1, NULL)",
        "ApagaChaves(60, 10001, NULL)",
        "ApagaChaves(60, 0, NULL)",
        "ApagaChaves(NULL, 1, NULL)",
    ] {
        api.query(&format!("SELECT * FROM {call}"), &[]).await.expect_err(call);
    }

    database.execute(OLD).await;
    assert_eq!(
        guiche.ask(&keyed("old1", credit(1, 1, "x"))).await.balance(),
        1,
        "what is still there is known"
    );
    let brief = || Guiche::launcher(&database).set("KEYS_KEPT_S", 60).set("WORKERS", 2).start();
    let _both = tokio::join!(brief(), brief());
    until("the old ones are gone", async || count().await == 1).await;
    assert_eq!(guiche.ask(&keyed("old1", credit(1, 1, "x"))).await.balance(), 2, "what is forgotten is new");
    assert_eq!(guiche.ask(&keyed("young", credit(1, 1, "x"))).await.balance(), 1, "the young one is known");
}

#[tokio::test]
async fn a_database_from_before_there_were_keys_is_upgraded_as_it_is() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    assert_eq!(guiche.credit(1, 5, "before").await.balance(), 5);
    database
        .execute(
            "DROP FUNCTION ApagaChaves; DROP FUNCTION InsertTransacoesComChaves; DROP TABLE chaves;
             DROP FUNCTION InsertTransacoesObservadas; DROP FUNCTION travas_da_chamada;
             DROP DOMAIN chave_de_transacao",
        )
        .await;
    for _ in 0..2 {
        for file in UPGRADE {
            database.execute(file).await;
        }
    }
    let upgraded = Guiche::on(&database).await;
    upgraded.until_ready().await;
    for _ in 0..2 {
        assert_eq!(upgraded.ask(&keyed("k", credit(1, 1, "after"))).await.balance(), 6);
    }
    assert_eq!(database.descriptions(1).await, ["before", "after"]);
}

/// What is not unique need not be a key: where a bank's numbers are damaged, that is no repetition.
#[tokio::test]
async fn a_number_that_is_there_twice_is_no_repetition() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    guiche.credit(1, 1, "first").await.balance();
    database.execute("UPDATE clientes SET ultima = ultima - 1 WHERE id = 1").await;
    guiche.ask(&keyed("k", credit(1, 1, "second"))).await.assert_refused("unavailable");
    assert_eq!(database.descriptions(1).await, ["first"]);
}
