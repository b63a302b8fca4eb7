//! What comes too slowly, too large, in part, or is no HTTP at all: it costs its sender alone.

use crate::harness::{Database, GOOD, Guiche, Launcher, Request, chunked};

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_unread() {
    let guiche = Launcher::without_database().set("BODY_LIMIT_BYTES", 100).start_listening().await;
    let fitting = format!("{GOOD:<100}");
    guiche.ask(&Request::post("/clientes/1/transacoes", fitting)).await.assert_refused("unavailable");

    let large = format!("{GOOD:<101}");
    let announced = Request::new("POST", "/clientes/1/transacoes").header("Content-Length", "5000000000");
    let in_chunks = Request::new("POST", "/clientes/1/transacoes")
        .header("Transfer-Encoding", "chunked")
        .raw_body(chunked(&large, 64));
    for (name, request) in [
        ("one byte more", Request::post("/clientes/1/transacoes", large)),
        ("announced", announced),
        ("in chunks", in_chunks),
    ] {
        let response = guiche.ask(&request).await;
        response.assert_problem(413, "body-too-large", name);
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let guiche = Launcher::without_database().set("READ_TIMEOUT_MS", 3_000).start_listening().await;
    let announced = Request::new("POST", "/clientes/1/transacoes").header("Content-Length", "38");
    let mut silent = guiche.begin(&announced).await;
    let mut halfway = guiche.begin(&announced.clone().raw_body(&GOOD[..20])).await;
    for connection in [&mut silent, &mut halfway] {
        let response = connection.receive().await.expect("an answer, not a hang");
        response.assert_problem(408, "body-incomplete", "half a body");
    }
    // Not only the first request of a connection is watched.
    let mut kept = guiche.connect().await;
    assert_eq!(kept.ask(&Request::get("/healthz")).await.expect("an answer").status, 200);
    kept.send(&announced).await.expect("it is still open");
    assert_eq!(kept.receive().await.expect("an answer, not a hang").status, 408);
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let guiche = Launcher::without_database().set("READ_TIMEOUT_MS", 200).start_listening().await;
    let mut connection = guiche.connect().await;
    connection.send_bytes(b"POST /clientes/1/transacoes HTTP/1.1\r\nHost: gui").await.expect("it is taken");
    assert_eq!(connection.receive().await.expect("an answer, not a hang").status, 408);
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn a_body_cut_short_changes_nothing() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    for cut in [0, 1, GOOD.len() - 1] {
        let announced = Request::new("POST", "/clientes/1/transacoes").header("Content-Length", "38");
        let connection = guiche.begin(&announced.raw_body(&GOOD[..cut])).await;
        drop(connection);
    }
    guiche.credit(1, 1, "x").await.balance();
    assert_eq!(database.descriptions(1).await, ["x"]);
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_hurts_nobody() {
    let guiche = Launcher::without_database().start_listening().await;
    let endless_header = format!("GET /healthz HTTP/1.1\r\nX: {}", "a".repeat(200_000));
    for (name, bytes) in [
        ("noise", &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..]),
        ("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        ("a length that is no number", b"POST /clientes/1/transacoes HTTP/1.1\r\nContent-Length: x\r\n\r\n"),
        ("two lengths", b"POST /clientes/1/transacoes HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        ("a length and chunks", b"POST /clientes/1/transacoes HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("a header without end", endless_header.as_bytes()),
    ] {
        let mut connection = guiche.connect().await;
        // It may be refused before it was sent to its end.
        let _ = connection.send_bytes(bytes).await;
        if let Ok(response) = connection.receive().await {
            assert!(matches!(response.status, 400 | 408 | 413 | 431), "{name}: {response:?}");
        }
        assert_eq!(guiche.get("/healthz").await.text(), "Healthy", "after {name}");
    }
}

#[tokio::test]
async fn a_connection_survives_what_was_wrong_with_a_request() {
    let guiche = Launcher::without_database().start_listening().await;
    let mut connection = guiche.connect().await;
    for status in [422, 400, 404, 405, 200] {
        let request = match status {
            422 => Request::post("/clientes/1/transacoes", "{}"),
            400 => Request::post("/clientes/1/transacoes", "{"),
            404 => Request::get("/nowhere"),
            405 => Request::new("DELETE", "/clientes/1/extrato"),
            _ => Request::get("/healthz"),
        };
        assert_eq!(connection.ask(&request).await.expect("it is kept").status, status);
    }
}
