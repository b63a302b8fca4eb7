//! What an instance tells about itself: request ids, events, `Server-Timing`, metrics.

use serde_json::Value;

use crate::harness::{Database, Guiche, Request, until};

#[tokio::test]
async fn a_request_is_followed_by_its_id_into_its_flush() {
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set("INSTANCE", "window \"one\"");
    let guiche = launcher.set("LOG", "guiche=debug").start().await;
    let credit = Request::transaction(3, 1, "c", "x").header("X-Request-Id", "teller-1");
    guiche.ask(&credit).await.balance();
    guiche.ask(&Request::statement(3).header("X-Request-Id", "teller-2")).await;
    guiche.ask(&Request::transaction(6, 1, "c", "x").header("X-Request-Id", "teller-3")).await;

    let request = answered(&guiche, "teller-1").await;
    assert_eq!((&request["client"], &request["kind"]), (&3.into(), &"credit".into()), "{request}");
    assert_eq!((&request["status"], &request["outcome"]), (&200.into(), &"applied".into()), "{request}");
    assert!(request["took"].is_u64(), "{request}");
    let flush = request["flush"].clone();
    assert!(!flush.is_null(), "{request}");
    let call = flushed(&guiche, &flush).await;
    assert_eq!(call["carries"], serde_json::json!([[3, 1, 0]]), "one client, one request: {call}");
    assert_eq!(call["applied"], 1, "{call}");
    for measure in ["connection", "database", "lock_wait", "work", "oldest_wait"] {
        assert!(call[measure].is_u64(), "{measure} of {call}");
    }

    let statement = answered(&guiche, "teller-2").await;
    assert_eq!((&statement["kind"], &statement["status"]), (&"statement".into(), &200.into()));
    let unknown = answered(&guiche, "teller-3").await;
    assert_eq!(unknown["status"], 404);
    assert!(guiche.events().iter().all(|event| event["instance"] == "window \"one\""), "the name is on all");
}

#[tokio::test]
async fn requests_that_share_a_flush_name_the_same_one() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).set("LOG", "guiche=debug").start().await;
    let send = |id: &str| Request::transaction(1, 1, "c", "x").header("X-Request-Id", id);
    let mut queue = guiche.hold(&database, 1, &send("first")).await;
    queue.push_all(["second", "third"].map(send)).await;
    assert_eq!(queue.balances().await, [1, 2, 3]);
    let flush_of = async |id| answered(&guiche, id).await["flush"].clone();
    let (first, second, third) = (flush_of("first").await, flush_of("second").await, flush_of("third").await);
    assert_eq!(second, third);
    assert_ne!(first, second);
    assert_eq!(flushed(&guiche, &second).await["carries"], serde_json::json!([[1, 2, 0]]), "two requests");
}

#[tokio::test]
async fn an_id_that_cannot_be_taken_over_is_replaced() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).set("LOG", "guiche=debug").start().await;
    let long = "x".repeat(4_000);
    for id in [None, Some(""), Some(&long[..]), Some("caf\u{e9}")] {
        let before = answered_ids(&guiche).len();
        let request = Request::transaction(1, 1, "c", "x");
        let request = id.map_or(request.clone(), |id| request.header("X-Request-Id", id));
        guiche.ask(&request).await.balance();
        until("it is logged", async || answered_ids(&guiche).len() > before).await;
        let made = answered_ids(&guiche).pop().expect("it was just there");
        assert!(made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id:?}: {made}");
    }
    let ids = answered_ids(&guiche);
    let different: std::collections::HashSet<&String> = ids.iter().collect();
    assert_eq!(different.len(), ids.len());
}

#[tokio::test]
async fn server_timing_is_there_when_it_is_on() {
    let database = Database::create().await;
    let (on, off) =
        tokio::join!(Guiche::launcher(&database).set("SERVER_TIMING", "on").start(), Guiche::on(&database));
    for request in [Request::transaction(1, 1, "c", "x"), Request::statement(1)] {
        assert_eq!(off.ask(&request).await.header("server-timing"), None);
        let response = on.ask(&request).await;
        let timing = response.header("server-timing").expect("it is on").to_owned();
        for part in ["queue;dur=", "connection;dur=", "database;dur=", "lock;dur=", "work;dur="] {
            let value = timing.split(", ").find_map(|entry| entry.strip_prefix(part));
            let millis = value.and_then(|value| value.parse::<f64>().ok());
            assert!(millis.is_some_and(|millis| (0.0..30_000.0).contains(&millis)), "{part} in {timing}");
        }
    }
}

#[tokio::test]
async fn a_wait_for_a_lock_is_seen_as_such() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).set("SERVER_TIMING", "on").start().await;
    let queue = guiche.hold(&database, 1, &Request::transaction(1, 1, "c", "x")).await;
    let answers = queue.release().await;
    let timing = answers[0].header("server-timing").expect("it is on").to_owned();
    let part = |name: &str| -> f64 {
        let value = timing.split(", ").find_map(|entry| entry.strip_prefix(name)?.strip_prefix(";dur="));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} in {timing}"))
    };
    assert!(part("lock") > 0.0 && part("database") >= part("lock") + part("work"), "{timing}");
}

#[tokio::test]
async fn answers_are_counted_by_route_and_status() {
    let guiche = Guiche::on(&Database::create().await).await;
    guiche.credit(1, 1, "x").await.balance();
    guiche.debit(1, 1_000_000, "x").await;
    guiche.statement(1).await;
    guiche.statement(6).await;
    let metrics = guiche.metrics().await;
    for (labels, count) in [
        (r#"route="transacoes",status="200""#, 1),
        (r#"route="transacoes",status="422""#, 1),
        (r#"route="extrato",status="200""#, 1),
        (r#"route="extrato",status="404""#, 1),
    ] {
        assert_eq!(metrics.with("guiche_http_requests_total", labels), count, "{labels}");
    }
    assert_eq!(metrics.get("guiche_http_transaction_duration_seconds_count"), 2);
    assert_eq!(guiche.get("/metrics").await.status, 404, "only where they are meant to be");
}

/// The record of the request with this id.
async fn answered(guiche: &Guiche, request_id: &str) -> Value {
    record(guiche, |event| {
        event["fields"]["message"] == "answered" && event["span"]["request_id"] == request_id
    })
    .await
}

/// The record of a call.
async fn flushed(guiche: &Guiche, flush: &Value) -> Value {
    record(guiche, |event| event["fields"]["message"] == "flushed" && event["span"]["flush"] == *flush).await
}

/// The record in the first event that is meant, once it is logged.
async fn record(guiche: &Guiche, is_it: impl Fn(&Value) -> bool) -> Value {
    let mut found = None;
    until("the event is logged", async || {
        found = guiche.events().into_iter().find(&is_it);
        found.is_some()
    })
    .await;
    let event = found.expect("it was just found");
    let record = event["fields"]["record"].as_str().expect("the record is text");
    serde_json::from_str(record).expect("the record is JSON")
}

fn answered_ids(guiche: &Guiche) -> Vec<String> {
    let events = guiche.events();
    let answers = events.iter().filter(|event| event["fields"]["message"] == "answered");
    answers.filter_map(|event| event["span"]["request_id"].as_str().map(str::to_owned)).collect()
}
