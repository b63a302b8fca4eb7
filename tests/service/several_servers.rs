//! A bank on two database servers, with PL/Proxy in front: the service is the same, and chooses by itself what it takes.

use testbed::Profile;

use crate::failures::end_sessions;
use crate::harness::{
    Database, Fate, Guiche, Load, MODES, Request, own_cluster, reckon, run_directory, until,
};

fn keyed(key: &str, request: Request) -> Request {
    request.header("Idempotency-Key", &format!("\"{key}\""))
}

#[tokio::test]
async fn two_servers_are_one_bank_in_every_mode() {
    for mode in MODES {
        let Some((bank, [even, odd])) = Database::create_on_two(None).await else { return };
        be_one_bank(&bank, mode, 0).await;
        let clients =
            async |shard: &Database| shard.rows().await.iter().map(|row| row.client).collect::<Vec<_>>();
        assert_eq!((clients(&even).await, clients(&odd).await), (vec![2, 2, 4, 4], vec![1, 1, 3, 3, 5, 5]));
    }
}

/// Asks an instance for everything that the service knows. Each client has had `before` already.
async fn be_one_bank(bank: &Database, mode: &str, before: i64) {
    let guiche = Guiche::launcher(bank).mode(mode).start().await;
    let credit = |client, amount| Request::transaction(client, amount, "c", "x");
    for client in 1..=5 {
        assert_eq!(guiche.ask(&credit(client, 7)).await.balance(), before + 7, "{mode}: {client}");
        let key = format!("{mode} {client}");
        for _ in 0..2 {
            let told = guiche.ask(&keyed(&key, credit(client, 1))).await;
            assert_eq!(told.balance(), before + 8, "{mode}: {client}");
        }
        let other = guiche.ask(&keyed(&key, credit(client, 2))).await;
        assert_eq!(other.problem(), "idempotency-key-reused", "{mode}: {client}");
        let statement = guiche.statement(client).await.json();
        assert_eq!(statement["saldo"]["total"], before + 8, "{mode}: {client}");
        assert_eq!(statement["ultimas_transacoes"][0]["valor"], 1, "{mode}: {client}");
    }
    let too_much = Request::transaction(1, 100_001 + before + 8, "d", "x");
    assert_eq!(guiche.ask(&too_much).await.problem(), "limit-exceeded", "{mode}");
    assert_eq!(guiche.ask(&credit(6, 1)).await.problem(), "unknown-client", "{mode}");
    assert_eq!(guiche.ask(&Request::statement(7)).await.problem(), "unknown-client", "{mode}");
    assert_eq!(guiche.get("/readyz").await.status, 200, "{mode}");
    assert_eq!(guiche.logged("the database is on several servers").len(), 1, "{mode}");
    bank.assert_books().await;
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_on_two_servers_with_a_trace_and_without() {
    for trace in [None, Some("TRACE")] {
        let Some((bank, _)) = Database::create_on_two(None).await else { return };
        let mut launcher = Guiche::launcher(&bank).set("WORKERS", 2);
        if let Some(name) = trace {
            launcher = launcher.set(name, run_directory().join("several-{instance}.jsonl").display());
        }
        let guiche = launcher.start().await;
        let load = Load::start("n", &[guiche.address()], 24);
        load.until_applied(300).await;
        let attempts = load.stop().await;
        let refused: Vec<_> = attempts.iter().filter(|attempt| attempt.fate != Fate::Applied).collect();
        assert!(refused.is_empty(), "{trace:?}: {refused:?}");
        reckon(&bank, &attempts).await;
    }
}

#[tokio::test]
async fn a_call_of_several_clients_is_refused_before_anything_is_applied() {
    let Some((bank, _)) = Database::create_on_two(None).await else { return };
    let sql = "SELECT * FROM InsertTransacoesEmLote('{1,2}', '{1,2}', '{1,1}', '{c,c}', '{x,x}')";
    let refused = bank.api().await.query(sql, &[]).await.expect_err("they are on two servers");
    assert_eq!(refused.code().map(tokio_postgres::error::SqlState::code), Some("22023"));
    assert_eq!(bank.rows().await, []);
}

#[tokio::test]
async fn a_server_that_has_lost_its_clients_is_told() {
    let Some((bank, [even, _])) = Database::create_on_two(None).await else { return };
    let guiche = Guiche::on(&bank).await;
    even.execute("DELETE FROM clientes").await;
    let told = guiche.get("/readyz").await;
    let body = String::from_utf8_lossy(&told.body);
    assert_eq!((told.status, body.contains("the data was lost")), (503, true), "{body}");
}

/// A row that somebody holds on its own server is waited for, and then nothing was applied; a session there that ends
/// before the commit, or after it, is an ERROR XX000 of the one in front.
#[tokio::test]
async fn what_becomes_unknown_behind_the_front_is_told_so() {
    let cluster = own_cluster(Profile::Durable, &[]).await;
    let Some((bank, [even, odd])) = Database::create_on_two(Some(&cluster)).await else { return };
    let guiche = Guiche::launcher(&bank).deadlines(5_000, 8_000, 10_000).start().await;
    let send = |text| Request::transaction(1, 1, "c", text);

    let mut queue = guiche.hold(&odd, 1, &send("refused")).await;
    queue.first_answer().await.assert_refused("unavailable");
    drop(queue);
    let mut queue = guiche.hold(&odd, 1, &send("before")).await;
    end_sessions(&odd, "terminate").await;
    queue.first_answer().await.assert_unknown();
    drop(queue);
    assert_eq!(guiche.ask(&send("between")).await.balance(), 1);

    odd.have_commits_wait().await;
    let mut caller = guiche.begin(&send("after")).await;
    odd.until_a_commit_waits().await;
    end_sessions(&odd, "terminate").await;
    caller.receive().await.expect("an answer").assert_unknown();
    until("it is seen there", async || odd.descriptions(1).await == ["between", "after"]).await;
    assert_eq!(guiche.statement(2).await.json()["saldo"]["total"], 0, "the other server goes on");
    assert_eq!(even.rows().await, []);
}

/// The same on Citus, where it is installed.
#[tokio::test]
async fn two_workers_of_citus_are_one_bank() {
    let Some((bank, owner, _cluster)) = Database::create_on_citus().await else { return };
    for (mode, before) in MODES.into_iter().zip([0, 8, 16]) {
        be_one_bank(&bank, mode, before).await;
    }
    let trace = run_directory().join("citus-{instance}.jsonl");
    let guiche = Guiche::launcher(&bank).set("TRACE", trace.display()).start().await;
    let load = Load::start("n", &[guiche.address()], 24);
    load.until_applied(100).await;
    let attempts = load.stop().await;
    assert!(attempts.iter().all(|attempt| attempt.fate == Fate::Applied), "{attempts:?}");
    drop(guiche);

    let guiche = Guiche::on(&bank).await;
    let mut queue = guiche.hold(&owner, 1, &Request::transaction(1, 1, "c", "before")).await;
    end_sessions(&owner, "terminate").await;
    queue.first_answer().await.assert_unknown();
    drop(queue);
    assert_eq!(guiche.credit(1, 1, "after").await.status, 200);

    owner.have_commits_wait().await;
    let mut caller = guiche.begin(&Request::transaction(1, 1, "c", "committed")).await;
    owner.until_a_commit_waits().await;
    end_sessions(&owner, "terminate").await;
    caller.receive().await.expect("an answer").assert_unknown();
    let applied: Vec<_> = bank.descriptions(1).await.into_iter().rev().take(2).collect();
    assert_eq!(applied, ["committed", "after"], "and not what ended before it");
    bank.assert_books().await;
}
