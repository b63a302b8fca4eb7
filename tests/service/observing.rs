//! What an instance tells about itself: request ids, events, `Server-Timing`, metrics.

use serde_json::Value;

use crate::harness::{Database, Guiche, Request, promtool, until};

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
async fn a_json_line_says_each_thing_once() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).set("LOG", "trace,actix_http=off").start().await;
    let credit = Request::transaction(1, 1, "c", "x").header("X-Request-Id", "once");
    guiche.ask(&credit).await.balance();
    answered(&guiche, "once").await;
    for line in guiche.log().lines() {
        for name in ["timestamp", "level", "fields", "target", "span", "spans", "message", "request_id"] {
            let member = format!("\"{name}\":");
            let most = if name == "spans" { 0 } else { 1 };
            assert!(line.matches(&member).count() <= most, "{name}: {line}");
        }
        assert!(!line.contains("Some("), "{line}");
    }
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
        assert_eq!(metrics.with("guiche_http_request_duration_seconds_count", labels), count, "{labels}");
    }
    assert_eq!(guiche.get("/metrics").await.status, 404, "only where they are meant to be");
    guiche.ask(&Request::get("/clientes/1/transacoes")).await;
    let metrics = guiche.metrics().await;
    for labels in [r#"route="none",status="404""#, r#"route="transacoes",status="405""#] {
        assert_eq!(metrics.with("guiche_http_request_duration_seconds_count", labels), 1, "{labels}");
    }
}

#[tokio::test]
async fn known_series_are_there_at_zero() {
    let metrics = Guiche::on(&Database::create().await).await.metrics().await;
    for (name, label) in [
        ("guiche_http_request_duration_seconds_count", r#"route="transacoes",status="504""#),
        ("guiche_http_request_duration_seconds_count", r#"route="extrato",status="503""#),
        ("guiche_database_seconds_count", r#"carried="transactions",fate="unknown""#),
        ("guiche_transactions_total", r#"outcome="unknown""#),
        ("guiche_sheds_total", r#"bound="row_waits""#),
    ] {
        assert_eq!(metrics.with(name, label), 0, "{name} {label}");
    }
}

#[tokio::test]
async fn calls_that_fail_and_statements_are_in_the_times() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).deadlines(2_000, 15_000, 20_000).start().await;
    guiche.statement(1).await;
    guiche.credit(1, 1, "x").await.balance();
    let _lock = database.lock(1).await;
    guiche.credit(1, 1, "x").await.assert_refused("unavailable");
    until("its call is over", async || guiche.metric("guiche_calls_in_flight").await == 0).await;
    let metrics = guiche.metrics().await;
    for (carried, fate) in
        [("statements", "answered"), ("transactions", "answered"), ("transactions", "rolled_back")]
    {
        let labels = format!("carried=\"{carried}\",fate=\"{fate}\"");
        assert_eq!(metrics.with("guiche_database_seconds_count", &labels), 1, "{labels}");
    }
    assert_eq!(metrics.get("guiche_flushes_total"), 2);
    assert_eq!(metrics.with("guiche_transactions_total", "rolled_back"), 1);
}

#[tokio::test]
async fn what_is_in_flight_stands_beside_its_bound() {
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set("REQUESTS_IN_FLIGHT", 77).set("POOL_SIZE", 4);
    let guiche = launcher.start().await;
    let queue = guiche.hold(&database, 1, &Request::transaction(1, 1, "c", "x")).await;
    let metrics = guiche.metrics().await;
    for (name, value) in [
        ("guiche_mailbox_depth", 0),
        ("guiche_requests_in_flight", 1),
        ("guiche_requests_in_flight_max", 77),
        ("guiche_calls_in_flight", 1),
        ("guiche_row_waits", 0),
        ("guiche_pool_connections_in_use", 1),
        ("guiche_pool_connections_open", 1),
        ("guiche_pool_connections_max", 4),
        ("guiche_http_connections", 1),
        ("guiche_http_connections_max", 448),
        ("guiche_live_actors", 1),
    ] {
        assert_eq!(metrics.get(name), value, "{name}");
    }
    assert!(metrics.get("guiche_live_actors_max") > 1 && metrics.get("guiche_calls_in_flight_max") > 0);
    queue.release().await;
    assert_eq!(guiche.metric("guiche_requests_in_flight").await, 0);
}

#[tokio::test]
async fn metrics_are_told_in_the_format_that_is_asked_for() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).set("INSTANCE", "window \"one\" \\").start().await;
    let ask = async |accept: &str| {
        let request = Request::get("/metrics").header("Accept", accept);
        guiche.ask_metrics(&request).await
    };
    let open_metrics = ask("application/openmetrics-text;version=1.0.0,text/plain;q=0.5").await;
    assert!(
        open_metrics.header("content-type").is_some_and(|it| it.starts_with("application/openmetrics-text"))
    );
    assert!(open_metrics.text().ends_with("# EOF\n"));
    let protobuf =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    let messages = ask(&format!("{protobuf};q=0.6,text/plain;q=0.5")).await;
    assert_eq!(messages.header("content-type").map(|it| it.replace(' ', "")).as_deref(), Some(protobuf));
    let text = ask("text/plain").await;
    assert!(text.header("content-type").is_some_and(|it| it.starts_with("text/plain; version=0.0.4")));
    for line in ["# TYPE guiche_flushes_total counter", "# TYPE process_cpu_seconds_total counter"] {
        assert!(text.text().lines().any(|found| found == line), "{line}");
    }
    let text = text.text();
    let build = text.lines().find(|line| line.starts_with("guiche_build_info{")).expect("it is there");
    for label in ["mode=\"batched\"", "profile=\"durable\"", env!("CARGO_PKG_VERSION")] {
        assert!(build.contains(label), "{label} in {build}");
    }
    assert!(text.contains("guiche_event_loop_lag_seconds_bucket"));
    assert!(text.contains(r#"{instance_name="window \"one\" \\"}"#), "{build}");
    promtool(&["check", "metrics"], &text);
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

/// Anybody may ask whether it is ready, and takes no session from transactions by that: one question is out at a time,
/// and where its answer does not come, its session is not used again.
#[tokio::test]
async fn who_asks_whether_it_is_ready_is_in_nobodys_way() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    guiche.until_ready().await;
    let hangs = "UPDATE pg_proc SET prosrc = regexp_replace(prosrc, 'BEGIN', 'BEGIN PERFORM pg_sleep(600);')
                 WHERE proname = 'estadodobanco'";
    database.execute(hangs).await;
    let mut probes = Vec::new();
    for _ in 0..12 {
        probes.push(guiche.begin(&Request::get("/readyz")).await);
    }
    let asking = async || database.sessions("AND wait_event = 'PgSleep'").await;
    until("it is asked", async || asking().await > 0).await;
    for probe in &mut probes {
        probe.receive().await.expect("an answer").assert_refused("not-ready");
    }
    assert_eq!(guiche.credit(1, 1, "x").await.balance(), 1);
    assert_eq!(asking().await, 1, "it was asked once, and nobody waited for that session");
}
