//! `direct`, `serial` and `batched` differ in speed alone.

use crate::harness::{Database, Fate, Guiche, Load, MODES, Request, Response, reckon, transaction};

/// Requests that touch every outcome, with the balance or problem that each must bring.
fn script() -> Vec<(&'static str, Request, Result<i64, &'static str>)> {
    let send = Request::transaction;
    let malformed = Request::post("/clientes/1/transacoes", transaction(0, "c", "x"));
    vec![
        ("a debit", send(1, 60_000, "d", "a"), Ok(-60_000)),
        ("a debit beyond the limit", send(1, 40_001, "d", "b"), Err("limit-exceeded")),
        ("a debit to the limit", send(1, 40_000, "d", "c"), Ok(-100_000)),
        ("another client", send(2, 5, "c", "d"), Ok(5)),
        ("a client who does not exist", send(6, 5, "c", "e"), Err("unknown-client")),
        ("a credit", send(1, 100_001, "c", "f"), Ok(1)),
        ("the largest credit", send(1, i64::MAX - 1, "c", "g"), Ok(i64::MAX)),
        ("one cent too much", send(1, 1, "c", "h"), Err("balance-overflow")),
        ("the largest debit", send(1, i64::MAX, "d", "i"), Ok(0)),
        ("a debit beyond any limit", send(1, i64::MAX, "d", "j"), Err("limit-exceeded")),
        ("a body that is no transaction", malformed, Err("invalid-transaction")),
        ("a statement of nobody", Request::statement(6), Err("unknown-client")),
    ]
}

#[tokio::test]
async fn the_same_requests_have_the_same_outcomes_in_every_mode() {
    for mode in MODES {
        let database = Database::create().await;
        let guiche = Guiche::launcher(&database).mode(mode).start().await;
        for (name, request, expected) in script() {
            let response = guiche.ask(&request).await;
            match expected {
                Ok(balance) => assert_eq!(response.balance(), balance, "{mode}: {name}"),
                Err(problem) => assert_eq!(response.problem(), problem, "{mode}: {name}"),
            }
        }
        assert_eq!(database.descriptions(1).await, ["a", "c", "f", "g", "i"], "{mode}");
        assert_eq!(shown(&guiche.statement(1).await), ["i", "g", "f", "c", "a"], "{mode}");
        assert_eq!(shown(&guiche.statement(2).await), ["d"], "{mode}");
        database.assert_books().await;
    }
}

#[tokio::test]
async fn no_mode_loses_or_doubles_anything_under_many_callers() {
    for mode in MODES {
        let database = Database::create().await;
        let guiche = Guiche::launcher(&database).mode(mode).set("WORKERS", 2).start().await;
        let load = Load::start("n", &[guiche.address()], 24);
        load.until_applied(400).await;
        let attempts = load.stop().await;
        let refused: Vec<_> = attempts.iter().filter(|attempt| attempt.fate != Fate::Applied).collect();
        assert!(refused.is_empty(), "{mode}: {refused:?}");
        reckon(&database, &attempts).await;
    }
}

fn shown(statement: &Response) -> Vec<String> {
    let entries = statement.json()["ultimas_transacoes"].take();
    let text = |entry: &serde_json::Value| entry["descricao"].as_str().expect("a text").to_owned();
    entries.as_array().expect("an array").iter().map(text).collect()
}
