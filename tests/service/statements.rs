//! A statement is one consistent snapshot, and shows whatever was answered before it was asked.

use futures_util::future::join_all;
use serde_json::Value;
use testbed::Flow;

use crate::harness::{Database, Guiche, MODES, Request, Response, until};

/// Writers credit one cent at a time, so the total is the number of transactions applied, and
/// must belong to exactly the ten entries that were the newest of that many.
#[tokio::test]
async fn every_statement_under_load_is_of_one_instant() {
    for mode in MODES {
        let database = Database::create().await;
        let (one, two) = tokio::join!(
            Guiche::launcher(&database).mode(mode).start(),
            Guiche::launcher(&database).mode(mode).start()
        );
        let write = |guiche, name: &'static str| async move {
            let mut connection = Guiche::connect(guiche).await;
            for number in 0..60 {
                let request = Request::transaction(1, 1, "c", &format!("{name}{number}"));
                connection.ask(&request).await.expect("an answer").balance();
            }
        };
        let read = |guiche| async move {
            let mut connection = Guiche::connect(guiche).await;
            let mut seen = Vec::new();
            while seen.last().is_none_or(|last| total(last) < 240) {
                let response = connection.ask(&Request::statement(1)).await.expect("an answer");
                assert!(seen.last().is_none_or(|last| total(last) <= total(&response)), "it went back");
                seen.push(response);
            }
            seen
        };
        let (_, _, _, _, mut seen, more) = tokio::join!(
            write(&one, "a"),
            write(&one, "b"),
            write(&two, "c"),
            write(&two, "d"),
            read(&one),
            read(&two)
        );
        seen.extend(more);
        let applied = database.descriptions(1).await;
        assert_eq!(applied.len(), 240);
        for statement in &seen {
            let upto = usize::try_from(total(statement)).expect("never negative");
            let newest: Vec<&String> = applied[..upto].iter().rev().take(10).collect();
            assert!(descriptions(statement).iter().eq(newest), "{mode}: {statement:?}");
        }
    }
}

#[tokio::test]
async fn after_a_200_either_instance_shows_it() {
    for modes in [["batched", "batched"], ["serial", "batched"], ["direct", "batched"]] {
        let database = Database::create().await;
        let instances = join_all(modes.map(|mode| Guiche::launcher(&database).mode(mode).start())).await;
        let callers = (0..6).map(|number| {
            let (write_to, read_from) = (&instances[number % 2], &instances[(number + 1) % 2]);
            async move {
                let (mut writer, mut reader) = tokio::join!(write_to.connect(), read_from.connect());
                for round in 0..25 {
                    let description = format!("{number}-{round}");
                    let credit = Request::transaction(2, 1, "c", &description);
                    let balance = writer.ask(&credit).await.expect("an answer").balance();
                    let statement = reader.ask(&Request::statement(2)).await.expect("an answer");
                    let total = total(&statement);
                    assert!(total >= balance, "{modes:?}: {total} after {balance}");
                    // Others may have pushed it down, and out only by ten more.
                    let shown = descriptions(&statement).contains(&description);
                    assert!(shown || total >= balance + 10, "{modes:?}: {description} in {statement:?}");
                }
            }
        });
        join_all(callers).await;
    }
}

/// The answer to a query is held back on its way; meanwhile the other instance applies a
/// transaction, and then a second statement is asked for. Had it joined the query that was
/// already sent, it would not show the transaction.
#[tokio::test]
async fn a_statement_never_joins_a_query_already_sent() {
    for mode in MODES {
        let database = Database::create().await;
        let proxy = database.proxy();
        let (guiche, other) =
            tokio::join!(Guiche::behind(&proxy, &database).mode(mode).start(), Guiche::on(&database));
        // The connections that the two statements may take are there.
        join_all((0..4).map(|_| guiche.statement(1))).await;
        let (held, queries) =
            (proxy.stalled_answers(), guiche.metric("guiche_statement_queries_total").await);

        proxy.answers(Flow::Stalled);
        let mut early = guiche.begin(&Request::statement(1)).await;
        until("the query is answered", async || proxy.stalled_answers() > held).await;
        other.credit(1, 1, "meanwhile").await.balance();
        let mut late = if mode == "direct" {
            let held = proxy.stalled_answers();
            let late = guiche.begin(&Request::statement(1)).await;
            until("the second query is answered", async || proxy.stalled_answers() > held).await;
            late
        } else {
            guiche.queue(&Request::statement(1)).await
        };
        proxy.answers(Flow::Free);

        assert_eq!(total(&early.receive().await.expect("an answer")), 0, "{mode}");
        assert_eq!(total(&late.receive().await.expect("an answer")), 1, "{mode}");
        let queries = guiche.metric("guiche_statement_queries_total").await - queries;
        assert_eq!(queries, 2, "{mode}");
    }
}

#[tokio::test]
async fn statements_that_wait_side_by_side_share_one_query() {
    for (mode, expected) in [("batched", 2), ("serial", 6)] {
        let database = Database::create().await;
        let proxy = database.proxy();
        let guiche = Guiche::behind(&proxy, &database).mode(mode).start().await;
        guiche.statement(1).await;
        let before = guiche.metrics().await;
        proxy.answers(Flow::Stalled);
        let mut callers = vec![guiche.begin(&Request::statement(1)).await];
        until("the query is answered", async || proxy.stalled_answers() > 0).await;
        for _ in 0..5 {
            callers.push(guiche.queue(&Request::statement(1)).await);
        }
        proxy.answers(Flow::Free);
        for caller in &mut callers {
            assert_eq!(total(&caller.receive().await.expect("an answer")), 0);
        }
        let after = guiche.metrics().await;
        let more = |name| after.get(name) - before.get(name);
        assert_eq!(more("guiche_statement_queries_total"), expected, "{mode}");
        assert_eq!(more("guiche_statements_total"), 6, "{mode}");
    }
}

/// A statement that waits together with transactions is read after they are committed.
#[tokio::test]
async fn a_statement_that_was_queued_with_transactions_shows_them() {
    for mode in ["serial", "batched"] {
        let database = Database::create().await;
        let guiche = Guiche::launcher(&database).mode(mode).start().await;
        let credit = |number| Request::transaction(1, 1, "c", &format!("n{number}"));
        let mut queue = guiche.hold(&database, 1, &credit(0)).await;
        queue.push_all([credit(1), Request::statement(1)]).await;
        let answers = queue.release().await;
        assert_eq!((answers[0].balance(), answers[1].balance()), (1, 2), "{mode}");
        assert_eq!(descriptions(&answers[2]), ["n1", "n0"], "{mode}");
        assert_eq!(total(&answers[2]), 2, "{mode}");
    }
}

#[track_caller]
fn total(statement: &Response) -> i64 {
    assert_eq!(statement.status, 200, "{statement:?}");
    statement.json()["saldo"]["total"].as_i64().unwrap_or_else(|| panic!("no integer: {statement:?}"))
}

fn descriptions(statement: &Response) -> Vec<String> {
    let text = |entry: &Value| entry["descricao"].as_str().expect("a text").to_owned();
    statement.json()["ultimas_transacoes"].as_array().expect("an array").iter().map(text).collect()
}
