//! Who says nothing, or says it slowly, harms nobody else.

use std::time::Duration;

use testbed::nginx::Balancing;

use crate::harness::{
    Address, BY_REQUEST, Connection, Database, Front, GOOD, Guiche, Request, at_a_socket, until,
};

/// What an attacker sends on each connection, and then no more.
fn beginnings() -> [(&'static str, Vec<u8>); 3] {
    let body = Request::new("POST", "/clientes/1/transacoes").header("Content-Length", "4096");
    [
        ("slow heads", b"POST /clientes/1/transacoes HTTP/1.1\r\nHost: gui".to_vec()),
        ("slow bodies", body.raw_body(&GOOD[..9]).bytes()),
        ("idle", Request::get("/healthz").bytes()),
    ]
}

/// Opens so many connections, all of which begin alike.
async fn attack(address: &Address, beginning: &[u8], connections: usize) -> Vec<Connection> {
    let mut attackers = Vec::new();
    for _ in 0..connections {
        let mut attacker = Connection::open(address).await.expect("the kernel takes it");
        // It may have had to give way already.
        let _ = attacker.send_bytes(beginning).await;
        attackers.push(attacker);
    }
    attackers
}

/// Transfers of an honest caller, none of which may fail; each on a connection of its own, as in a crowd none is kept.
async fn assert_served(address: &Address, of: &str) {
    for number in 1..=25 {
        let ask = async |request: &Request| {
            let mut honest = Connection::open(address).await.expect("the kernel takes it");
            honest.ask(request).await
        };
        let answer = tokio::time::timeout(Duration::from_secs(10), async {
            ask(&Request::get("/healthz")).await?;
            ask(&Request::transaction(2, 1, "c", "honest")).await
        });
        let response = answer.await.unwrap_or_else(|_| panic!("{of}: caller {number} waits in vain"));
        let response = response.unwrap_or_else(|error| panic!("{of}: caller {number}: {error}"));
        assert_eq!(response.balance(), number, "{of}");
    }
}

#[tokio::test]
async fn an_instance_serves_others_whoever_holds_its_connections() {
    for (name, beginning) in beginnings() {
        let database = Database::create().await;
        let launcher = Guiche::launcher(&database).set("REQUESTS_IN_FLIGHT", 16).set("CONNECTIONS", 64);
        let guiche = launcher.set("READ_TIMEOUT_MS", 60_000).start().await;
        let _attackers = attack(guiche.address(), &beginning, 200).await;
        assert_served(guiche.address(), name).await;
    }
}

/// Of bodies that do not come only so many are waited for, and the rest is told so.
#[tokio::test]
async fn the_longest_awaited_body_gives_way() {
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set("BODIES_AWAITED", 2).set("READ_TIMEOUT_MS", 60_000);
    let guiche = launcher.start().await;
    let announced = Request::new("POST", "/clientes/1/transacoes").header("Content-Length", "38");
    let mut callers = Vec::new();
    for _ in 0..3 {
        callers.push(guiche.begin(&announced.clone().raw_body(&GOOD[..20])).await);
    }
    let refused = callers.remove(0).receive().await.expect("an answer");
    refused.assert_problem(408, "body-incomplete", "the longest awaited");
    for (number, caller) in callers.iter_mut().enumerate() {
        caller.send_bytes(&GOOD.as_bytes()[20..]).await.expect("it is waited for");
        assert_eq!(caller.receive().await.expect("an answer").balance(), number as i64 + 1);
    }
}

#[tokio::test]
async fn nginx_serves_others_whoever_holds_its_connections() {
    for balancing in BY_REQUEST.into_iter().chain([Balancing::Layer4]) {
        for (name, beginning) in beginnings() {
            let database = Database::create().await;
            let patient = || at_a_socket(Guiche::launcher(&database).set("READ_TIMEOUT_MS", 60_000)).start();
            let front = Front::start(balancing, tokio::join!(patient(), patient()).into()).await;
            let _attackers = attack(&front.address, &beginning, 2_000).await;
            // As long as they are arriving, NGINX may have no room.
            let asks = async || front.begin(&Request::statement(1)).await.receive().await;
            until("they have arrived", async || asks().await.is_ok_and(|answer| answer.status == 200)).await;
            assert_served(&front.address, &format!("{balancing}: {name}")).await;
        }
    }
}
