//! SIGTERM: what is queued is finished, nothing new is taken, and it ends within a bound.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testbed::nginx::Balancing;

use crate::harness::{
    BY_REQUEST, Connection, Database, Fate, Front, Guiche, Launcher, Load, MODES, Request, at_a_socket,
    reckon, until,
};

#[tokio::test]
async fn what_is_queued_is_finished() {
    for mode in MODES {
        let database = Database::create().await;
        let mut guiche = Guiche::launcher(&database).mode(mode).start().await;
        let credit = |number| Request::transaction(1, 1, "c", &format!("n{number}"));
        // Nobody is to wait for a connection that only idles.
        let mut idle = guiche.connect().await;
        idle.ask(&Request::get("/healthz")).await.expect("an answer");
        let mut queue = guiche.hold(&database, 1, &credit(0)).await;
        queue.push_all((1..=5).map(credit)).await;
        guiche.signal(Signal::SIGTERM);
        guiche.until_logged("draining").await;
        until("new connections are refused", async || Connection::open(guiche.address()).await.is_err())
            .await;
        for answer in queue.release().await {
            answer.balance();
            assert_eq!(answer.header("connection"), Some("close"), "{mode}: nobody is to send on it again");
        }
        let status = guiche.ended().await;
        assert_eq!(status.code(), Some(0), "{mode}");
        assert_eq!(database.balance(1).await, 6, "{mode}");
        assert!(idle.is_closed().await);
        until("its connections are closed", async || database.sessions("").await == 0).await;
    }
}

/// A worker without a connection goes on for as long as the callers of another wait for its actors.
#[tokio::test]
async fn no_worker_ends_before_the_others_callers_are_answered() {
    let database = Database::create().await;
    let mut guiche = Guiche::launcher(&database).set("WORKERS", 2).start().await;
    // Connections go to the workers in turn, clients by their ids: both callers are at one, a client at each.
    let credit = |client| Request::transaction(client, 1, "c", "x");
    let one = guiche.hold(&database, 1, &credit(1)).await;
    drop(guiche.connect().await);
    let two = guiche.hold(&database, 2, &credit(2)).await;
    guiche.signal(Signal::SIGTERM);
    until("new connections are refused", async || Connection::open(guiche.address()).await.is_err()).await;
    for queue in [one, two] {
        assert_eq!(queue.balances().await, [1]);
    }
    assert_eq!(guiche.ended().await.code(), Some(0));
}

/// Those whom the kernel has let in at a unix socket are heard, though they were not accepted yet.
#[tokio::test]
async fn who_waits_at_its_socket_is_heard_and_nobody_new_finds_it() {
    let database = Database::create().await;
    let mut guiche = at_a_socket(Guiche::launcher(&database)).start().await;
    guiche.signal(Signal::SIGSTOP);
    let mut callers = Vec::new();
    for number in 0..40 {
        callers.push(guiche.begin(&Request::transaction(1, 1, "c", &format!("n{number}"))).await);
    }
    guiche.signal(Signal::SIGTERM);
    guiche.signal(Signal::SIGCONT);
    guiche.until_logged("draining").await;
    until("its socket is gone", async || !guiche.socket().exists()).await;
    for caller in &mut callers {
        caller.receive().await.expect("an answer").balance();
    }
    assert_eq!(guiche.ended().await.code(), Some(0));
    assert_eq!(database.balance(1).await, 40);
}

/// Who sends on a kept connection while it is being closed is answered, or told that not a byte was taken.
#[tokio::test]
async fn what_a_kept_connection_takes_at_the_last_moment_is_answered() {
    const LAST_CALL: Duration = Duration::from_millis(900);
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set("CONNECTIONS", 640).set("QUEUE_PER_CLIENT", 600);
    let mut guiche = at_a_socket(launcher.set("REQUESTS_IN_FLIGHT", 600)).start().await;
    let mut kept = Vec::new();
    for _ in 0..500 {
        let mut connection = guiche.connect().await;
        assert_eq!(connection.ask(&Request::get("/healthz")).await.expect("an answer").status, 200);
        kept.push(connection);
    }
    guiche.signal(Signal::SIGTERM);
    guiche.until_logged("draining").await;
    // One after the other, from shortly before to shortly after.
    let draining = tokio::time::Instant::now();
    let mut taken = Vec::new();
    for (number, mut connection) in kept.into_iter().enumerate() {
        tokio::time::sleep_until(draining + LAST_CALL + number as u32 * Duration::from_micros(500)).await;
        if connection.send(&Request::transaction(1, 1, "c", &format!("n{number}"))).await.is_ok() {
            taken.push((number, connection));
        }
    }
    for (number, connection) in &mut taken {
        let answer = connection.receive().await.unwrap_or_else(|error| panic!("caller {number}: {error}"));
        answer.balance();
    }
    assert_eq!(guiche.ended().await.code(), Some(0));
    assert_eq!(database.balance(1).await, taken.len() as i64, "what was not taken was not applied");
}

#[tokio::test]
async fn a_socket_that_is_a_successors_by_now_is_left_to_it() {
    let database = Database::create().await;
    let mut guiche = at_a_socket(Guiche::launcher(&database)).start().await;
    let place = guiche.address().clone();
    std::fs::remove_file(guiche.socket()).expect("it is there");
    let successor = Guiche::launcher(&database).set("LISTEN", place).start().await;
    guiche.signal(Signal::SIGTERM);
    assert_eq!(guiche.ended().await.code(), Some(0));
    successor.credit(1, 1, "x").await.balance();
}

#[tokio::test]
async fn it_does_not_wait_for_ever() {
    let database = Database::create().await;
    let mut guiche = Guiche::launcher(&database).set("DRAIN_TIMEOUT_MS", 1_000).start().await;
    let lock = database.lock(1).await;
    let mut caller = guiche.begin(&Request::transaction(1, 1, "c", "stuck")).await;
    database.until_waiting(1).await;
    let asked = Instant::now();
    guiche.signal(Signal::SIGTERM);
    let status = guiche.ended().await;
    assert_eq!(status.code(), Some(0));
    // The statement's own timeout is much longer: that is not what ended it.
    assert!(asked.elapsed() < Duration::from_secs(16), "{:?}", asked.elapsed());
    if let Ok(response) = caller.receive().await {
        response.assert_unknown();
    }
    let given_up = guiche.until_logged("a call was given up while it was out").await;
    assert_eq!(given_up["fields"]["clients"], "1", "its outcome is not known: {given_up}");
    lock.release().await;
}

/// Who balances load sees that it is to be left alone, and has time for that.
#[tokio::test]
async fn a_lame_duck_says_that_it_is_not_ready_and_serves_on() {
    let database = Database::create().await;
    let mut guiche = Guiche::launcher(&database).set("LAME_DUCK_MS", 60_000).start().await;
    let mut kept = guiche.connect().await;
    kept.ask(&Request::get("/readyz")).await.expect("it answers");
    guiche.signal(Signal::SIGTERM);
    guiche.until_logged("not ready any more").await;
    for request in [Request::get("/readyz"), Request::new("HEAD", "/readyz")] {
        let mut connection = guiche.begin(&request).await;
        assert_eq!(connection.receive_head().await.expect("an answer").status, 503);
    }
    guiche.get("/readyz").await.assert_refused("not-ready");
    assert_eq!(guiche.get("/healthz").await.status, 200, "it is alive");
    assert_eq!(guiche.credit(1, 1, "new").await.balance(), 1, "on a new connection");
    let answer = kept.ask(&Request::transaction(1, 1, "c", "kept")).await.expect("an answer");
    assert_eq!((answer.balance(), answer.header("connection")), (2, Some("close")), "on one that was kept");
    assert!(kept.is_closed().await);
    // Who is in a hurry asks twice.
    guiche.signal(Signal::SIGTERM);
    assert_eq!(guiche.ended().await.code(), Some(0));
    assert_eq!(database.balance(1).await, 2);
}

#[tokio::test]
async fn a_lame_duck_ends_by_itself() {
    let database = Database::create().await;
    let mut guiche = Guiche::launcher(&database).set("LAME_DUCK_MS", 300).start().await;
    guiche.signal(Signal::SIGTERM);
    assert_eq!(guiche.ended().await.code(), Some(0));
    let told: Vec<_> =
        ["not ready any more", "draining", "stopped"].map(|line| guiche.logged(line).len()).into();
    assert_eq!(told, [1, 1, 1]);
}

#[tokio::test]
async fn an_idle_instance_ends_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let database = Database::create().await;
        let mut guiche = Guiche::launcher(&database).set("DRAIN_TIMEOUT_MS", 60_000).start().await;
        let mut kept = guiche.connect().await;
        kept.ask(&Request::transaction(1, 1, "c", "x")).await.expect("an answer").balance();
        let asked = Instant::now();
        guiche.signal(signal);
        assert_eq!(guiche.ended().await.code(), Some(0), "{signal}");
        assert!(asked.elapsed() < Duration::from_secs(25), "{signal}: {:?}", asked.elapsed());
        assert!(kept.is_closed().await);
    }
}

#[tokio::test]
async fn it_ends_also_while_it_waits_for_its_database() {
    let mut guiche = Launcher::without_database().start_listening().await;
    guiche.until_logged("waiting for the database").await;
    guiche.signal(Signal::SIGTERM);
    assert_eq!(guiche.ended().await.code(), Some(0));
}

/// Under load: each caller gets an answer or a refusal that says what happened, and the books agree.
#[tokio::test]
async fn an_instance_that_ends_under_load_loses_nothing() {
    let database = Database::create().await;
    let (mut ending, other) = tokio::join!(Guiche::on(&database), Guiche::on(&database));
    let load = Load::start("n", &[ending.address(), other.address()], 16);
    load.until_applied(100).await;
    ending.signal(Signal::SIGTERM);
    assert_eq!(ending.ended().await.code(), Some(0));
    load.until_applied(100).await;
    let attempts = load.stop().await;
    reckon(&database, &attempts).await;
}

/// Each instance ends and is started again where it was, one after the other: nobody notices.
#[tokio::test]
async fn a_rolling_restart_behind_nginx_fails_nobody() {
    for balancing in BY_REQUEST.into_iter().chain([Balancing::Layer4]) {
        let database = Database::create().await;
        let mut front = Front::on(balancing, &database).await;
        let loads = [Load::start("k", &[&front.address], 14), Load::start_anew("n", &[&front.address], 14)];
        for index in [0, 1, 0] {
            for load in &loads {
                load.until_applied(50).await;
            }
            let place = front.instances[index].address().clone();
            front.instances[index].signal(Signal::SIGTERM);
            assert_eq!(front.instances[index].ended().await.code(), Some(0));
            front.instances[index] = Guiche::launcher(&database).set("LISTEN", place).start().await;
        }
        let mut attempts = Vec::new();
        for load in loads {
            load.until_applied(50).await;
            attempts.extend(load.stop().await);
        }
        let failed: Vec<_> = attempts.iter().filter(|attempt| attempt.fate != Fate::Applied).collect();
        assert!(failed.is_empty(), "{balancing}: of {}: {failed:?}", attempts.len());
        reckon(&database, &attempts).await;
    }
}
