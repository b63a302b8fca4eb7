//! The rules of the contest (Rinha de Backend 2024/Q1), one by one.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Database, Guiche, MODES, Request};

/// Each client of the contest with its limit, in cents.
const CLIENTS: [(i64, i64); 5] = [(1, 100_000), (2, 80_000), (3, 1_000_000), (4, 10_000_000), (5, 500_000)];

#[tokio::test]
async fn the_five_clients_start_with_their_limits_and_nothing_else() {
    let guiche = Guiche::on(&Database::create().await).await;
    for (client, limit) in CLIENTS {
        let response = guiche.statement(client).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type"), Some("application/json"));
        let mut statement = response.json();
        let issued_at = statement["saldo"]["data_extrato"].take();
        assert_timestamp(&issued_at);
        let expected = json!({
            "saldo": { "total": 0, "limite": limit, "data_extrato": null },
            "ultimas_transacoes": [],
        });
        assert_eq!(statement, expected, "client {client}");
    }
}

#[tokio::test]
async fn client_six_does_not_exist() {
    let guiche = Guiche::on(&Database::create().await).await;
    for response in [guiche.statement(6).await, guiche.credit(6, 1, "x").await, guiche.debit(6, 1, "x").await]
    {
        response.assert_problem(404, "unknown-client", "client 6");
    }
}

#[tokio::test]
async fn a_transaction_is_answered_with_limit_and_balance() {
    let guiche = Guiche::on(&Database::create().await).await;
    let response = guiche.debit(1, 9_098, "descricao").await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.json(), json!({ "limite": 100_000, "saldo": -9_098 }));
    assert_eq!(
        guiche.credit(1, 1_000, "descricao").await.json(),
        json!({ "limite": 100_000, "saldo": -8_098 })
    );
}

#[tokio::test]
async fn a_debit_may_reach_minus_the_limit_and_not_pass_it() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    for (client, limit) in CLIENTS {
        let client_id = i32::try_from(client).expect("a small id");
        let beyond = guiche.debit(client, limit + 1, "beyond").await;
        beyond.assert_problem(422, "limit-exceeded", &format!("client {client}"));
        assert_eq!(guiche.debit(client, limit, "all of it").await.balance(), -limit);
        let one_more = guiche.debit(client, 1, "one more").await;
        one_more.assert_problem(422, "limit-exceeded", &format!("client {client}"));
        assert_eq!(guiche.credit(client, 1, "back").await.balance(), 1 - limit);
        assert_eq!(guiche.debit(client, 1, "again").await.balance(), -limit);
        assert_eq!(database.descriptions(client_id).await, ["all of it", "back", "again"]);
    }
    database.assert_books().await;
}

#[tokio::test]
async fn the_opening_of_25_debits_and_25_credits_at_once() {
    for mode in MODES {
        let guiche = Guiche::launcher(&Database::create().await).mode(mode).start().await;
        for (kind, total) in [("d", -25), ("c", 0)] {
            let request = Request::transaction(1, 1, kind, "validacao");
            let responses = join_all((0..25).map(|_| guiche.ask(&request))).await;
            let mut balances: Vec<i64> = responses.iter().map(|response| response.balance()).collect();
            balances.sort_unstable();
            assert!(balances.windows(2).all(|pair| pair[0] < pair[1]), "{mode}: {balances:?}");
            assert_eq!(guiche.statement(1).await.json()["saldo"]["total"], total, "{mode}");
        }
    }
}

#[tokio::test]
async fn a_statement_shows_the_last_ten_newest_first() {
    let guiche = Guiche::on(&Database::create().await).await;
    let mut balance = 0;
    for number in 1..=12 {
        let (kind, sign) = if number % 3 == 0 { ("d", -1) } else { ("c", 1) };
        balance += sign * number;
        let request = Request::transaction(2, number, kind, &format!("n{number}"));
        assert_eq!(guiche.ask(&request).await.balance(), balance);
        let shown = guiche.statement(2).await.json()["ultimas_transacoes"].as_array().map(Vec::len);
        assert_eq!(shown, Some(number.min(10) as usize));
    }
    let statement = guiche.statement(2).await.json();
    assert_eq!(statement["saldo"]["total"], balance);
    let entries = statement["ultimas_transacoes"].as_array().expect("an array");
    let shown: Vec<Value> = entries
        .iter()
        .map(|entry| {
            json!([entry["valor"], entry["tipo"], entry["descricao"], entry.as_object().map(|o| o.len())])
        })
        .collect();
    let expected: Vec<Value> = (3..=12)
        .rev()
        .map(|number| json!([number, if number % 3 == 0 { "d" } else { "c" }, format!("n{number}"), 4]))
        .collect();
    assert_eq!(shown, expected);

    let times: Vec<&str> = std::iter::once(assert_timestamp(&statement["saldo"]["data_extrato"]))
        .chain(entries.iter().map(|entry| assert_timestamp(&entry["realizada_em"])))
        .collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
}

#[tokio::test]
async fn times_are_those_that_the_database_keeps_in_utc() {
    let database = Database::create().await;
    // A server and a session of another zone change nothing.
    database.execute(&format!("ALTER DATABASE {} SET timezone = 'Asia/Kathmandu'", database.name())).await;
    let guiche = Guiche::on(&database).await;
    guiche.credit(1, 1, "x").await.balance();
    let statement = guiche.statement(1).await.json();
    let stored: String = database
        .value(r#"SELECT to_char(realizada_em AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') FROM transacoes"#)
        .await;
    assert_eq!(statement["ultimas_transacoes"][0]["realizada_em"], stored);
    let age: f64 = database
        .value("SELECT extract(epoch FROM clock_timestamp() - realizada_em)::float8 FROM transacoes")
        .await;
    assert!((0.0..30.0).contains(&age), "{age} s old");
}

#[tokio::test]
async fn a_transaction_is_in_all_statements_after_its_answer() {
    let database = Database::create().await;
    let (one, two) = tokio::join!(Guiche::on(&database), Guiche::on(&database));
    for round in 1..=20 {
        one.credit(3, 1, "toma").await.balance();
        let balance = two.debit(3, 1, "devolve").await.balance();
        assert_eq!(balance, round - 1);
        let statement = one.statement(3).await.json();
        assert_eq!(statement["ultimas_transacoes"][0]["descricao"], "devolve");
        assert_eq!(statement["ultimas_transacoes"][1]["descricao"], "toma");
        let balance = one.credit(3, 1, "danada").await.balance();
        let statements = join_all([&one, &two, &one, &two].map(|instance| instance.statement(3))).await;
        for statement in statements {
            let statement = statement.json();
            assert_eq!(statement["saldo"]["total"], balance);
            assert_eq!(statement["ultimas_transacoes"][0]["descricao"], "danada");
        }
    }
}

#[tokio::test]
async fn a_description_comes_back_as_it_was_sent() {
    let guiche = Guiche::on(&Database::create().await).await;
    for description in [
        "a",
        "0123456789",
        "açãoéíóú",
        "🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀",
        "\"\\/\u{8}\n\t",
        "';--$1%s",
        " ",
        "null",
        "e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}",
        "\u{10ffff}\u{feff}\u{1}",
    ] {
        guiche.credit(1, 1, description).await.balance();
        let statement = guiche.statement(1).await.json();
        assert_eq!(statement["ultimas_transacoes"][0]["descricao"], description);
    }
}

/// Asserts RFC 3339 in UTC with microseconds; such texts sort as their times do.
#[track_caller]
fn assert_timestamp(value: &Value) -> &str {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no text"));
    let digits_at = |range: std::ops::Range<usize>| text[range].bytes().all(|byte| byte.is_ascii_digit());
    let right = text.len() == 27
        && [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":"), (19, "."), (26, "Z")]
            .iter()
            .all(|(at, mark)| text[*at..].starts_with(mark))
        && [0..4, 5..7, 8..10, 11..13, 14..16, 17..19, 20..26].into_iter().all(digits_at);
    assert!(right, "{text} is not YYYY-MM-DDTHH:MM:SS.ffffffZ");
    text
}
