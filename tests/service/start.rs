//! How an instance starts, or says why not.

use crate::harness::{Database, Guiche, Launcher, until};

/// A password that must never be shown.
const SECRET: &str = "hunter2";

#[tokio::test]
async fn bad_settings_end_it_with_one_line() {
    let url = format!("postgresql://guiche:{SECRET}@127.0.0.1:1/rinha");
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = held.local_addr().expect("it is bound").to_string();
    for (variable, value, says) in [
        ("DATABASE_URL", "", "DATABASE_URL"),
        ("DATABASE_URL", "nonsense hunter2", "DATABASE_URL"),
        ("DATABASE_URL", "postgresql://guiche:hunter2@host:port/rinha", "DATABASE_URL"),
        ("DATABASE_URL", "user=guiche password=hunter2", "names no host"),
        ("MODE", "fast", "expected direct, serial or batched"),
        ("PROFILE", "fragile", "expected durable or contest"),
        ("LISTEN", "8080", "expected host:port"),
        ("LISTEN", "unix:relative", "absolute path"),
        ("LISTEN", "unix:/nowhere/at/all/guiche.sock", "cannot listen on unix:/nowhere/at/all/guiche.sock"),
        ("LISTEN", &taken, "cannot listen on"),
        ("METRICS_LISTEN", "everywhere", "METRICS_LISTEN"),
        ("METRICS_LISTEN", &taken, "cannot listen on"),
        ("WORKERS", "0", "WORKERS"),
        ("CLIENTS_PER_CALL", "0", "CLIENTS_PER_CALL"),
        ("CALLS_IN_FLIGHT", "0", "CALLS_IN_FLIGHT"),
        ("BATCH_MAX", "1.5", "BATCH_MAX"),
        ("QUEUE_PER_CLIENT", "-1", "QUEUE_PER_CLIENT"),
        ("LIVE_ACTORS", "many", "LIVE_ACTORS"),
        ("REQUESTS_IN_FLIGHT", "99999999999999999999", "REQUESTS_IN_FLIGHT"),
        ("POOL_SIZE", "0", "POOL_SIZE"),
        ("BODY_LIMIT_BYTES", "1", "BODY_LIMIT_BYTES"),
        ("READ_TIMEOUT_MS", "0", "READ_TIMEOUT_MS"),
        ("STATEMENT_TIMEOUT_MS", "22000", "longer than STATEMENT_TIMEOUT_MS"),
        ("CALL_DEADLINE_MS", "25000", "longer than CALL_DEADLINE_MS"),
        ("PASSIVATE_AFTER_MS", "soon", "PASSIVATE_AFTER_MS"),
        ("KEYS_KEPT_S", "59", "a whole number from 60"),
        ("DRAIN_TIMEOUT_MS", "-1", "DRAIN_TIMEOUT_MS"),
        ("LOG", "guiche=loud", "LOG"),
        ("LOG_FORMAT", "xml", "expected human or json"),
        ("SERVER_TIMING", "yes", "expected on or off"),
    ] {
        let (status, log) = Launcher::on(&url).set(variable, value).run_to_end().await;
        assert_eq!(status.code(), Some(1), "{variable}={value}: {log}");
        let lines: Vec<&str> = log.lines().filter(|line| !line.starts_with('{')).collect();
        assert_eq!(lines.len(), 1, "{variable}={value}: {log}");
        assert!(lines[0].starts_with("guiche: ") && lines[0].contains(says), "{variable}={value}: {log}");
        assert!(!log.contains(SECRET), "{variable}={value} shows the password: {log}");
    }
}

#[tokio::test]
async fn a_database_is_required() {
    let (status, log) = Launcher::bare().run_to_end().await;
    assert_eq!(status.code(), Some(1));
    assert!(log.starts_with("guiche: DATABASE_URL: is not set"), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
}

#[tokio::test]
async fn it_waits_for_its_database_and_says_so() {
    let database = Database::create().await;
    let mut proxy = database.proxy();
    proxy.go_down().await;
    let guiche = Guiche::behind(&proxy, &database).start_listening().await;
    let waiting = guiche.until_logged("waiting for the database").await;
    assert_eq!(waiting["level"], "WARN");
    until("it has asked for the third time", async || pauses(&guiche).len() >= 3).await;
    assert!(pauses(&guiche).windows(2).all(|pair| pair[0] < pair[1] || pair[1] >= 1_000), "ever more slowly");
    assert_eq!(guiche.get("/healthz").await.text(), "Healthy");
    let readiness = guiche.get("/readyz").await;
    readiness.assert_refused("not-ready");
    let detail = readiness.json()["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.contains("database"), "it says why: {detail}");
    guiche.credit(1, 1, "early").await.assert_refused("unavailable");
    guiche.statement(1).await.assert_refused("unavailable");

    proxy.come_up().expect("its port is free");
    guiche.until_logged("ready").await;
    assert_eq!(guiche.get("/readyz").await.text(), "Ready");
    assert_eq!(guiche.credit(1, 1, "late").await.balance(), 1);
    assert_eq!(database.descriptions(1).await, ["late"]);
    assert!(!guiche.events().iter().any(|event| event.to_string().contains("password")));
}

/// The pauses between its questions to the database so far, in milliseconds.
fn pauses(guiche: &Guiche) -> Vec<u64> {
    guiche.events().iter().filter_map(|event| event["fields"]["retry_ms"].as_u64()).collect()
}

#[tokio::test]
async fn a_password_that_is_wrong_is_waited_out_and_not_shown() {
    let database = Database::create().await;
    let url = database
        .api_url()
        .replace("user=guiche", "user=nobody")
        .replace("password=guiche", "password=hunter2");
    let guiche = Launcher::on(&url).set("LOG", "debug").start_listening().await;
    guiche.until_logged("waiting for the database").await;
    guiche.credit(1, 1, "x").await.assert_refused("unavailable");
    assert!(!guiche.events().iter().any(|event| event.to_string().contains(SECRET)));
}

#[tokio::test]
async fn it_is_ready_only_once_it_takes_transactions() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).start_listening().await;
    guiche.until_ready().await;
    assert_eq!(guiche.credit(1, 1, "x").await.balance(), 1);
}

/// Whoever balances load hands requests over as soon as somebody listens.
#[tokio::test]
async fn beside_a_database_that_answers_nothing_is_refused_from_the_first_request() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).start_listening().await;
    assert_eq!(guiche.credit(1, 1, "first").await.status, 200);
}

/// Programs that set something ask what there is.
#[tokio::test]
async fn the_settings_are_there_for_programs_too() {
    let (status, text) = Launcher::bare().argument("--settings").run_to_end().await;
    assert!(status.success(), "{text}");
    let settings: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let of =
        |name: &str| settings.as_array().expect("a list").iter().find(|one| one["name"] == name).cloned();
    let mode = of("MODE").expect("there is one");
    assert_eq!(mode["default"]["is"], "batched");
    assert_eq!(mode["values"]["word"], serde_json::json!(["direct", "serial", "batched"]));
    let batch = of("BATCH_MAX").expect("there is one");
    assert_eq!(batch["values"]["number"][0], 1);
    assert!(batch["meaning"].is_string());
    assert_eq!(of("DATABASE_URL").expect("there is one")["default"], "required");
}
