//! `X-Request-Id`: what a caller is given to ask by, and what the log says of a request whose outcome nobody
//! knows.

use testbed::nginx::Balancing;

use crate::harness::{Database, Front, Guiche, Request, until};

#[tokio::test]
async fn every_answer_has_the_id_of_its_request() {
    let guiche = Guiche::on(&Database::create().await).await;
    for request in [
        Request::transaction(1, 1, "c", "x"),
        Request::transaction(1, 9_000_000_000, "d", "x"),
        Request::transaction(6, 1, "c", "x"),
        Request::post("/clientes/1/transacoes", "{"),
        Request::new("DELETE", "/clientes/1/extrato"),
        Request::statement(1),
        Request::get("/healthz"),
        Request::get("/readyz"),
        Request::get("/nowhere"),
    ] {
        let named = guiche.ask(&request.clone().header("X-Request-Id", "teller-1")).await;
        assert_eq!(named.header("x-request-id"), Some("teller-1"), "{request:?}");
        let made = guiche.ask(&request).await;
        assert!(made.header("x-request-id").is_some_and(is_made), "{request:?}: {made:?}");
    }
}

#[tokio::test]
async fn an_id_that_cannot_be_taken_over_is_replaced() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).set("LOG", "guiche=debug").start().await;
    let long = "x".repeat(4_000);
    let mut made = std::collections::HashSet::new();
    for id in ["", &long[..], "caf\u{e9}", "two words"] {
        let answer = guiche.ask(&Request::transaction(1, 1, "c", "x").header("X-Request-Id", id)).await;
        let told = answer.header("x-request-id").expect("it has one").to_owned();
        assert!(is_made(&told), "{id:?}: {told}");
        until("it is logged", async || guiche.log().contains(&told)).await;
        assert!(made.insert(told), "each is another");
    }
}

#[tokio::test]
async fn nginx_passes_an_id_on_and_gives_one_where_it_answers_itself() {
    let database = Database::create().await;
    let mut front = Front::on(Balancing::LeastConn, &database).await;
    let ask = async |front: &Front, request: Request| {
        front.begin(&request).await.receive().await.expect("an answer")
    };
    let credit = || Request::transaction(1, 1, "c", "x");
    let named = ask(&front, credit().header("X-Request-Id", "teller-1")).await;
    assert_eq!((named.status, named.header("x-request-id")), (200, Some("teller-1")));

    let lock = database.lock(1).await;
    let mut caught = front.begin(&credit().header("X-Request-Id", "teller-2")).await;
    database.until_waiting(1).await;
    front.kill_the_busy_one().await;
    let unknown = caught.receive().await.expect("an answer");
    unknown.assert_unknown();
    assert_eq!(unknown.header("x-request-id"), Some("teller-2"));
    for instance in &mut front.instances {
        instance.kill().await;
    }
    let refused = ask(&front, credit()).await;
    refused.assert_refused("unavailable");
    assert!(refused.header("x-request-id").is_some_and(is_made), "{refused:?}");
    lock.release().await;
}

/// A second call soon after the first is the same outage, and named all the same.
#[tokio::test]
async fn each_call_whose_outcome_is_unknown_is_named_with_its_requests() {
    let database = Database::create().await;
    let mut proxy = database.proxy();
    let guiche = Guiche::behind(&proxy, &database).start().await;
    for (client, id) in [(1, "teller-1"), (2, "teller-2")] {
        let credit = Request::transaction(client, 1, "c", "x").header("X-Request-Id", id);
        let mut queue = guiche.hold(&database, client as i32, &credit).await;
        proxy.go_down().await;
        let answer = queue.first_answer().await;
        answer.assert_unknown();
        assert_eq!(answer.header("x-request-id"), Some(id));
        queue.let_go().await;
        until("its session is over", async || database.waiting().await == 0).await;
        proxy.come_up().expect("its port is free");
        guiche.until_ready().await;
    }
    let named = guiche.logged("what became of a call is not known");
    let said = |event: &serde_json::Value| {
        let fields = &event["fields"];
        assert!(
            event["level"] == "WARN" && fields["flush"].is_u64() && fields["error"].is_string(),
            "{event}"
        );
        (fields["clients"].clone(), fields["request_ids"].clone())
    };
    let said: Vec<_> = named.iter().map(said).collect();
    assert_eq!(said, [("1".into(), "teller-1".into()), ("2".into(), "teller-2".into())]);
}

#[tokio::test]
async fn a_caller_who_is_told_before_its_call_is_over_is_named() {
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).mode("serial").deadlines(12_000, 13_000, 14_000);
    let guiche = launcher.start().await;
    let credit = |id: &str| Request::transaction(1, 1, "c", "x").header("X-Request-Id", id);
    let mut queue = guiche.hold(&database, 1, &credit("first")).await;
    queue.push_all(["second", "overdue"].map(credit)).await;
    queue.answers().await[2].assert_unknown();
    let event = guiche.until_logged("a caller was told that the outcome is not known").await;
    assert_eq!((&event["fields"]["client"], &event["fields"]["request_id"]), (&1.into(), &"overdue".into()));
    assert!(event["fields"]["flush"].as_u64().is_some_and(|call| call > 0), "{event}");
}

fn is_made(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}
