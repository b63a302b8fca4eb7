//! A bank on two database servers, with PL/Proxy in front: the service is the same, and chooses by itself what it takes.
//! It calls each directly (the default), or the one in front of them (`SHARDS=front`).

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;
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
        be_one_bank(&bank, mode, "direct", 0).await;
        be_one_bank(&bank, mode, "front", 8).await;
        let clients =
            async |shard: &Database| shard.rows().await.iter().map(|row| row.client).collect::<HashSet<_>>();
        assert_eq!((clients(&even).await, clients(&odd).await), ([2, 4].into(), [1, 3, 5].into()), "{mode}");
    }
}

/// Asks an instance for everything that the service knows. Each client has had `before` already.
async fn be_one_bank(bank: &Database, mode: &str, shards: &str, before: i64) {
    let guiche = Guiche::launcher(bank).mode(mode).set("SHARDS", shards).start().await;
    let credit = |client, amount| Request::transaction(client, amount, "c", "x");
    for client in 1..=5 {
        assert_eq!(guiche.ask(&credit(client, 7)).await.balance(), before + 7, "{mode}: {client}");
        let key = format!("{mode} {shards} {client}");
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
    guiche.until_ready().await;
    assert_eq!(guiche.logged("the database is on several servers").len(), 1, "{mode}");
    bank.assert_books().await;
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_on_two_servers_with_a_trace_and_without() {
    for (shards, threads, traces) in [("direct", 2, false), ("direct", 1, true), ("front", 1, true)] {
        let Some((bank, _)) = Database::create_on_two(None).await else { return };
        let path = run_directory().join(format!("several-{shards}.jsonl"));
        let mut launcher = Guiche::launcher(&bank).set("WORKERS", threads).set("SHARDS", shards);
        if traces {
            launcher = launcher.set("TRACE", path.display());
        }
        let guiche = launcher.start().await;
        let load = Load::start("n", &[guiche.address()], 24);
        load.until_applied(300).await;
        let attempts = load.stop().await;
        let refused: Vec<_> = attempts.iter().filter(|attempt| attempt.fate != Fate::Applied).collect();
        assert!(refused.is_empty(), "{shards}: {refused:?}");
        reckon(&bank, &attempts).await;
        if traces {
            drop(guiche);
            let calls = clients_of_calls(&path);
            assert!(
                calls.iter().all(|call| call.iter().all(|id| id % 2 == call[0] % 2)),
                "a server each: {calls:?}"
            );
            assert_eq!(calls.iter().any(|call| call.len() > 1), shards == "direct", "{shards}: {calls:?}");
            let servers: HashSet<_> = calls_of(&path)
                .filter(|call| call["locks"].is_object())
                .map(|call| {
                    (call["carries"][0][0].as_i64().map(|id| id % 2), call["locks"]["server"].as_i64())
                })
                .collect();
            let apart = [(Some(0), None), (Some(1), Some(1))];
            let expected = if shards == "direct" { apart } else { [(Some(0), None), (Some(1), None)] };
            assert_eq!(servers, expected.into(), "{shards}");
        }
    }
}

fn calls_of(trace: &Path) -> impl Iterator<Item = Value> {
    let text = std::fs::read_to_string(trace).expect("a trace");
    // The last may not have been written to its end.
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.map(|mut line| line["flush"].take()).filter(Value::is_object).collect::<Vec<_>>().into_iter()
}

/// Returns the clients of each call that a trace tells of.
fn clients_of_calls(trace: &Path) -> Vec<Vec<i64>> {
    let clients = |call: Value| call["carries"].as_array().cloned().unwrap_or_default();
    calls_of(trace).map(|call| clients(call).iter().filter_map(|one| one[0].as_i64()).collect()).collect()
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
    guiche.until_not_ready("the data was lost").await;
}

/// A row that somebody holds on its own server is waited for, and then nothing was applied; a session there that ends
/// before the commit, or after it, is an ERROR XX000 of the one in front.
#[tokio::test]
async fn what_becomes_unknown_behind_the_front_is_told_so() {
    let cluster = own_cluster(Profile::Durable, &[]).await;
    let Some((bank, [even, odd])) = Database::create_on_two(Some(&cluster)).await else { return };
    let launcher = Guiche::launcher(&bank).set("SHARDS", "front").deadlines(8_000, 10_000, 12_000);
    let guiche = launcher.start().await;
    let send = |text| Request::transaction(1, 1, "c", text);

    let mut queue = guiche.hold(&odd, 1, &send("refused")).await;
    queue.first_answer().await.assert_refused("unavailable");
    drop(queue);
    let mut queue = guiche.hold(&odd, 1, &send("before")).await;
    end_sessions(&odd, "terminate").await;
    queue.first_answer().await.assert_unknown();
    drop(queue);
    assert_eq!(guiche.book(1, 1, "between").await, 1);

    odd.have_commits_wait().await;
    let mut caller = guiche.begin(&send("after")).await;
    odd.until_a_commit_waits().await;
    end_sessions(&odd, "terminate").await;
    caller.receive().await.expect("an answer").assert_unknown();
    until("it is seen there", async || odd.descriptions(1).await == ["between", "after"]).await;

    // Nor is it told where nobody ends the wait but the deadlines.
    let impatient =
        Guiche::launcher(&bank).set("SHARDS", "front").deadlines(3_000, 5_000, 10_000).start().await;
    impatient.ask(&send("late")).await.assert_unknown();
    end_sessions(&odd, "terminate").await;
    until("it is seen there", async || odd.descriptions(1).await == ["between", "after", "late"]).await;
    assert_eq!(guiche.statement(2).await.json()["saldo"]["total"], 0, "the other server goes on");
    assert_eq!(even.rows().await, []);
}

/// Called directly, a server that is killed takes no other's clients along, and the one in front of them takes none.
#[tokio::test]
async fn a_server_that_dies_is_missed_by_its_own_clients_alone() {
    let mut cluster = own_cluster(Profile::Durable, &[]).await;
    let Some((bank, [even, odd])) = Database::create_on_two(Some(&cluster)).await else { return };
    let guiche = Guiche::on(&bank).await;
    let mut queue = guiche.hold(&odd, 1, &Request::transaction(1, 1, "c", "lost")).await;
    cluster.kill().await.expect("it dies");
    queue.first_answer().await.assert_unknown();
    drop(queue);
    guiche.credit(3, 1, "refused").await.assert_refused("unavailable");
    assert_eq!(guiche.credit(2, 1, "fits").await.balance(), 1);
    guiche.get("/readyz").await.assert_refused("not-ready");
    cluster.start_again().await.expect("it starts again");
    guiche.until_ready().await;
    assert_eq!(guiche.credit(1, 1, "again").await.balance(), 1, "what was lost came before the commit");
    assert_eq!(odd.descriptions(1).await, ["again"]);
    bank.assert_books().await;

    let name = bank.name();
    even.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    let sessions = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    even.execute(&sessions).await;
    guiche.get("/readyz").await.assert_refused("not-ready");
    for (client, balance) in [(1, 2), (2, 2)] {
        assert_eq!(guiche.credit(client, 1, "without").await.balance(), balance);
    }
}

/// No client is booked, or found missing, by a map that holds no longer.
#[tokio::test]
async fn a_server_refuses_who_takes_it_for_another() {
    let Some((bank, [even, odd])) = Database::create_on_two(None).await else { return };
    let guiche = Guiche::on(&bank).await;
    assert_eq!(guiche.credit(1, 1, "before").await.balance(), 1);
    let name = odd.name();
    odd.execute(&format!("ALTER DATABASE {name} SET guiche.parte = '1/4'")).await;
    let sessions = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    odd.execute(&format!("{sessions} AND usename = 'guiche'")).await;
    until("its clients are refused", async || guiche.statement(1).await.status == 503).await;
    for refused in [guiche.credit(3, 1, "refused").await, guiche.credit(7, 1, "refused").await] {
        refused.assert_refused("unavailable");
    }
    assert_eq!(guiche.credit(2, 1, "fits").await.balance(), 1);
    guiche.get("/readyz").await.assert_refused("not-ready");
    assert_eq!(odd.descriptions(1).await, ["before"]);
    odd.execute(&format!("ALTER DATABASE {name} SET guiche.parte = '1/2'")).await;
    guiche.until_ready().await;
    assert_eq!(guiche.credit(7, 1, "nobody's").await.problem(), "unknown-client");

    // The one in front takes one for the other.
    let at =
        bank.value::<Vec<String>>("SELECT array_agg(endereco ORDER BY servidor) FROM Servidores()").await;
    let quoted = |text: &str| text.replace('\'', "''");
    let sql =
        format!("ALTER SERVER rinha OPTIONS (SET p0 '{}', SET p1 '{}')", quoted(&at[1]), quoted(&at[0]));
    bank.execute(&sql).await;
    guiche.until_not_ready("start this instance again").await;
    assert_eq!(guiche.credit(1, 1, "after").await.balance(), 2, "the servers are right");
    let other = Guiche::launcher(&bank).start_listening().await;
    let waits = other.until_logged("waiting for the database").await.to_string();
    assert!(waits.contains("should be 0/2 says that it is") && waits.contains("SHARDS=front"), "{waits}");
    other.credit(1, 1, "refused").await.assert_refused("unavailable");
    assert_eq!((even.descriptions(1).await, odd.descriptions(1).await.len()), (vec![], 2));
}

/// The same on Citus, where it is installed.
#[tokio::test]
async fn two_workers_of_citus_are_one_bank() {
    let Some((bank, owner, _cluster)) = Database::create_on_citus().await else { return };
    for (mode, before) in MODES.into_iter().zip([0, 16, 32]) {
        be_one_bank(&bank, mode, "direct", before).await;
        be_one_bank(&bank, mode, "front", before + 8).await;
    }
    for shards in ["direct", "front"] {
        let trace = run_directory().join(format!("citus-{shards}.jsonl"));
        let launcher = Guiche::launcher(&bank).set("SHARDS", shards).set("TRACE", trace.display());
        let guiche = launcher.start().await;
        let load = Load::start("n", &[guiche.address()], 24);
        load.until_applied(100).await;
        let attempts = load.stop().await;
        assert!(attempts.iter().all(|attempt| attempt.fate == Fate::Applied), "{attempts:?}");
        drop(guiche);
        let calls = clients_of_calls(&trace);
        assert_eq!(calls.iter().any(|call| call.len() > 1), shards == "direct", "{shards}: {calls:?}");

        let guiche = Guiche::launcher(&bank).set("SHARDS", shards).start().await;
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
        let launcher = Guiche::launcher(&bank).set("SHARDS", shards).deadlines(3_000, 5_000, 10_000);
        let impatient = launcher.start().await;
        impatient.ask(&Request::transaction(1, 1, "c", "late")).await.assert_unknown();
        end_sessions(&owner, "terminate").await;
        until("it is seen there", async || bank.descriptions(1).await.ends_with(&["late".into()])).await;
        owner.have_commits_go_on().await;
    }
    bank.assert_books().await;
}
