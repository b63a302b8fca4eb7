//! What NGINX makes of instances that hang or are away, and of a reload of its own: readers go to
//! the instance that answers, its log stays short, and nobody is cut.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testbed::http::Endpoint;
use testbed::nginx::{Balancing, Program};

use crate::harness::{
    BY_REQUEST, Connection, Database, Fate, Front, Guiche, Load, Request, at_a_socket, reckon, run_directory,
    two_instances, until,
};

/// A failure is remembered for longer than the test takes, on a busy machine too.
fn remember(file: String) -> String {
    replace(&file, "fail_timeout=5s", "fail_timeout=600s")
}

fn replace(file: &str, from: &str, to: &str) -> String {
    assert!(file.contains(from), "{from:?} is not in the file");
    file.replace(from, to)
}

async fn answer(front: &Front, request: &Request) -> crate::harness::Response {
    front.begin(request).await.receive().await.expect("an answer")
}

#[tokio::test]
async fn a_statement_caught_in_a_hung_instance_is_asked_of_the_other() {
    // Less than the time that NGINX has for an answer, 12 s.
    const SOON: Duration = Duration::from_secs(11);
    for balancing in BY_REQUEST {
        let database = Database::create().await;
        let front = Front::start_edited(balancing, two_instances(&database).await, remember).await;
        front.instances[0].signal(Signal::SIGSTOP);
        let started = Instant::now();
        let mut callers: Vec<Connection> = Vec::new();
        for client in [1, 2, 3, 4, 5, 1, 2, 3] {
            callers.push(front.begin(&Request::statement(client)).await);
        }
        callers.push(front.begin(&Request::get("/healthz")).await);
        for caller in &mut callers {
            assert_eq!(caller.receive().await.expect("an answer").status, 200, "{balancing}");
        }
        let took = started.elapsed();
        assert!(took < SOON, "{balancing}: {took:?}");

        // From its first failure on it is left alone, by transactions too.
        let load = Load::start("n", &[&front.address], 4);
        load.until_applied(200).await;
        let attempts = load.stop().await;
        assert!(attempts.iter().all(|attempt| attempt.fate == Fate::Applied), "{balancing}");
        front.instances[0].signal(Signal::SIGCONT);
        reckon(&database, &attempts).await;
    }
}

/// A statement that waits behind a held row is as late as one of a hung instance, and NGINX takes it for
/// that. The clients of other rows are served all the same, whichever instance is left alone.
#[tokio::test]
async fn a_held_row_refuses_no_other_client() {
    for balancing in BY_REQUEST {
        let database = Database::create().await;
        let instance = || at_a_socket(Guiche::launcher(&database)).set("ROW_WAITS", 8).start();
        let instances = tokio::join!(instance(), instance()).into();
        let front = Front::start_edited(balancing, instances, remember).await;
        let lock = database.lock(1).await;
        let mut writers = Vec::new();
        for number in 0..6 {
            writers.push(front.begin(&Request::transaction(1, 1, "c", &format!("held{number}"))).await);
        }
        let mut readers = Vec::new();
        for _ in 0..6 {
            readers.push(front.begin(&Request::statement(1)).await);
        }
        let answered = async {
            let mut statuses = Vec::new();
            for reader in &mut readers {
                statuses.push(reader.receive().await.expect("an answer").status);
            }
            statuses
        };
        let mut caller = Connection::open(&front.address).await.expect("NGINX takes connections");
        let others = async {
            // Longer than NGINX waits for a statement.
            let until = Instant::now() + Duration::from_secs(3);
            let mut applied = 0;
            while Instant::now() < until {
                let credit = Request::transaction(2 + applied % 4, 1, "c", "other");
                caller.ask(&credit).await.expect("an answer").balance();
                applied += 1;
            }
            lock.release().await;
            applied
        };
        let (statuses, applied) = tokio::join!(answered, others);
        assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{balancing}: {statuses:?}");
        for writer in &mut writers {
            writer.receive().await.expect("an answer").balance();
        }
        assert!(applied > 0, "{balancing}");
    }
}

/// What was sent to an instance that hangs is not known, and nothing invites to send it again.
#[tokio::test]
async fn while_both_hang_transactions_are_unknown_and_statements_are_refused() {
    let impatient = |file: String| replace(&file, "proxy_read_timeout 12s", "proxy_read_timeout 1s");
    for balancing in BY_REQUEST {
        let database = Database::create().await;
        let front = Front::start_edited(balancing, two_instances(&database).await, impatient).await;
        for instance in &front.instances {
            instance.signal(Signal::SIGSTOP);
        }
        let mut writer = front.begin(&Request::transaction(1, 1, "c", "hung")).await;
        let mut reader = front.begin(&Request::statement(1)).await;
        writer.receive().await.expect("an answer").assert_unknown();
        reader.receive().await.expect("an answer").assert_refused("unavailable");
        for instance in &front.instances {
            instance.signal(Signal::SIGCONT);
        }
        let rows = async || database.descriptions(1).await.len();
        until("they answer again", async || answer(&front, &Request::statement(1)).await.status == 200).await;
        assert!(rows().await <= 1, "{balancing}: it was sent once");
    }
}

#[tokio::test]
async fn an_outage_is_one_line_of_nginxs_log() {
    for balancing in BY_REQUEST {
        let mut front = Front::on(balancing, &Database::create().await).await;
        for missing in [false, true] {
            for instance in &mut front.instances {
                instance.kill().await;
                if missing {
                    std::fs::remove_file(instance.socket()).expect("its socket is left");
                }
            }
            for client in (1..=5).cycle().take(100) {
                for request in [Request::transaction(client, 1, "c", "x"), Request::statement(client)] {
                    answer(&front, &request).await.assert_refused("unavailable");
                }
            }
            let log = front.log();
            assert_eq!(log.lines().count(), 1, "{balancing}: {log}");
            assert!(log.contains("met an outage") && log.contains("answered 503"), "{balancing}: {log}");
        }
    }
}

/// At layer 4 the instances' logs tell.
#[tokio::test]
async fn at_layer_4_nginx_is_silent_about_an_outage() {
    let mut front = Front::on(Balancing::Layer4, &Database::create().await).await;
    for instance in &mut front.instances {
        instance.kill().await;
        std::fs::remove_file(instance.socket()).expect("its socket is left");
    }
    for _ in 0..100 {
        assert!(front.begin(&Request::statement(1)).await.is_closed().await, "nobody is there");
    }
    let log = front.log();
    assert_eq!(log, "");
}

#[tokio::test]
async fn a_reload_cuts_no_transaction() {
    for balancing in BY_REQUEST.into_iter().chain([Balancing::Layer4]) {
        let program = Program::find(balancing).expect("NGINX is installed");
        if balancing != Balancing::Layer4 && !program.keeps_connections_at_reload() {
            eprintln!("{balancing} is left out, because this NGINX cuts kept connections at a reload");
            continue;
        }
        // A caller who works without a pause is one who is back within 10 ms, but on a busy machine.
        let patient = |file: String| {
            let kept = |line: &str| {
                if line.contains("reload*.conf") { "keepalive_min_timeout 10s;" } else { line }.to_owned()
            };
            file.lines().map(kept).collect::<Vec<_>>().join("\n")
        };
        let database = Database::create().await;
        let front = Front::start_edited(balancing, two_instances(&database).await, patient).await;
        let load = Load::start("n", &[&front.address], 16);
        for _ in 0..5 {
            load.until_applied(200).await;
            let before = front.workers();
            front.nginx.process.signal(Signal::SIGHUP);
            until("there is a new worker", async || {
                front.workers().iter().any(|worker| !before.contains(worker))
            })
            .await;
        }
        load.until_applied(200).await;
        let attempts = load.stop().await;
        let cut = attempts.iter().filter(|attempt| attempt.fate != Fate::Applied).count();
        assert_eq!(cut, 0, "{balancing}: of {}", attempts.len());
        reckon(&database, &attempts).await;
    }
}

/// What it refuses it does not count; but it counts what it takes, and the instances what they answer.
#[tokio::test]
async fn what_nginx_refused_is_left_when_what_was_answered_is_taken_from_its_requests() {
    for balancing in BY_REQUEST {
        let database = Database::create().await;
        let socket = run_directory().join(format!("status-{balancing}.sock"));
        let server = format!("http {{\n    server {{ listen unix:{}; stub_status; }}", socket.display());
        let shown = |file: String| replace(&file, "http {", &server);
        let mut front = Front::start_edited(balancing, two_instances(&database).await, shown).await;
        // The question itself is one.
        let taken = async || {
            let answer = Endpoint::Unix(socket.clone()).get("/").await.expect("it is there").body;
            let counts = answer.lines().nth(2).expect("accepted, handled, requests");
            counts.split_whitespace().nth(2).and_then(|count| count.parse::<u64>().ok()).expect("a number")
        };
        let answered = async |front: &Front| {
            let of = async |at: usize| {
                front.instances[at].metrics().await.get("guiche_http_request_duration_seconds_count")
            };
            of(0).await + of(1).await
        };
        let before = (taken().await, answered(&front).await);
        answer(&front, &Request::transaction(1, 1, "c", "x")).await.balance();
        let large = Request::statement(1).header("X-Large", &"x".repeat(5_000));
        assert_eq!(answer(&front, &large).await.status, 431);
        assert_eq!(answer(&front, &Request::statement(6)).await.status, 404);
        let after = (taken().await, answered(&front).await);
        assert_eq!((after.0 - before.0 - 1, after.1 - before.1), (3, 2), "{balancing}");

        for instance in &mut front.instances {
            instance.kill().await;
        }
        for request in [Request::transaction(1, 1, "c", "x"), Request::statement(1)] {
            answer(&front, &request).await.assert_refused("unavailable");
        }
        assert_eq!(taken().await - after.0 - 1, 2, "{balancing}: as many as callers sent, each once");
    }
}
