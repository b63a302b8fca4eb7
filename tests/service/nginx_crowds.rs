//! Crowds in front of NGINX: more callers than it has descriptors for are served in turn, and none is cut.

use testbed::nginx::Balancing;

use crate::harness::{BY_REQUEST, Connection, Database, Fate, Front, Load, Request, reckon, two_instances};

/// With room for a dozen requests, forty callers wait their turn: each opens a connection for each
/// request, and not one is cut.
#[tokio::test]
async fn a_crowd_beyond_the_descriptors_is_served_in_turn() {
    for balancing in BY_REQUEST.into_iter().chain([Balancing::Layer4]) {
        let database = Database::create().await;
        let instances = two_instances(&database).await;
        let with_descriptors =
            |few: usize| move |file: String| with(&file, "worker_rlimit_nofile ", &few.to_string());
        let mut few = 40;
        let mut front = Front::start_edited(balancing, instances, with_descriptors(few)).await;
        // At layer 4 descriptors are taken by twos; what else the worker has depends on who starts it.
        while balancing == Balancing::Layer4 && (few - front.idle_descriptors_below(few).await) % 2 == 1 {
            few += 1;
            front = front.start_again(balancing, with_descriptors(few)).await;
        }
        let worker = front.worker();
        let callers = (0..40).map(|_| async {
            for _ in 0..25 {
                let credit = Request::transaction(1, 1, "c", "crowd").header("Connection", "close");
                let answer = front.begin(&credit).await.receive().await;
                let response = answer.unwrap_or_else(|error| panic!("{balancing}: {error}"));
                assert!([200, 503].contains(&response.status), "{balancing}: {response:?}");
            }
        });
        futures_util::future::join_all(callers).await;
        assert_eq!(front.worker(), worker, "{balancing}: the worker lives");
        let mut later = front.begin(&Request::transaction(1, 1, "c", "later")).await;
        later.receive().await.expect("an answer").balance();
    }
}

/// Puts another value in the place of a directive's.
fn with(file: &str, directive: &str, value: &str) -> String {
    let (before, rest) = file.split_once(directive).unwrap_or_else(|| panic!("the file has no {directive}"));
    let (_, after) = rest.split_once(';').expect("a directive ends");
    format!("{before}{directive}{value};{after}")
}

/// Has it be a crowd where the number of connections matches `pattern`.
fn crowded_at(file: &str, pattern: &str) -> String {
    let (before, rest) = file.split_once("\"~^(2[5-9]").expect("the file says from when on it is a crowd");
    let (_, after) = rest.split_once("\" 1;").expect("a pattern ends");
    format!("{before}\"{pattern}\" 1;{after}")
}

/// Whoever keeps a connection is told when it is closed, so that others have room, and sends nothing on it that is
/// not answered.
#[tokio::test]
async fn a_crowd_on_kept_connections_is_served_in_turn() {
    for balancing in BY_REQUEST {
        let database = Database::create().await;
        let few = |file: String| {
            let file = with(&file, "worker_connections ", "48");
            with(&crowded_at(&file, r"~^\d\d"), "worker_rlimit_nofile ", "40")
        };
        let front = Front::start_edited(balancing, two_instances(&database).await, few).await;
        let load = Load::start("k", &[&front.address], 60);
        load.until_applied(500).await;
        let attempts = load.stop().await;
        let cut: Vec<_> =
            attempts.iter().filter(|one| !matches!(one.fate, Fate::Applied | Fate::Refused)).collect();
        assert!(cut.is_empty(), "{balancing}: of {}: {cut:?}", attempts.len());
        reckon(&database, &attempts).await;
    }
}

/// In a crowd, too, every kind of request is answered as ever, and its connection says when it ends.
#[tokio::test]
async fn a_crowd_hears_what_anybody_hears() {
    for balancing in BY_REQUEST {
        let database = Database::create().await;
        let always = |file: String| crowded_at(&file, "~.");
        let front = Front::start_edited(balancing, two_instances(&database).await, always).await;
        for (request, status) in [
            (Request::transaction(1, 1, "c", "crowd"), 200),
            (Request::statement(1), 200),
            (Request::post("/clientes/1/transacoes", "{"), 400),
            (Request::post("/clientes/1/transacoes", "x".repeat(5_000)), 413),
            (Request::statement(6), 404),
            (Request::new("DELETE", "/clientes/1/extrato"), 405),
        ] {
            let mut connection = Connection::open(&front.address).await.expect("it takes connections");
            let response = connection.ask(&request).await.expect("an answer");
            let told = (response.status, response.header("connection"));
            assert_eq!(told, (status, Some("close")), "{balancing}: {response:?}");
            assert!(connection.is_closed().await, "{balancing}");
        }
    }
}

/// Whoever keeps a connection without using it has to give way where connections run out.
#[tokio::test]
async fn callers_who_idle_lock_nobody_out() {
    for balancing in BY_REQUEST {
        let front = Front::on(balancing, &Database::create().await).await;
        let mut idle = Vec::new();
        for client in (1..=5).cycle().take(800) {
            let mut caller = front.begin(&Request::statement(client)).await;
            assert_eq!(caller.receive().await.expect("an answer").status, 200, "{balancing}");
            idle.push(caller);
        }
        let response = front.begin(&Request::statement(1)).await.receive().await.expect("an answer");
        assert_eq!(response.status, 200, "{balancing}");
    }
}
