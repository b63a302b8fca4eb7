//! Signals that change what an instance tells, and none of which ends it.

use nix::sys::signal::Signal;

use crate::harness::{Database, Guiche, Launcher, Request, until};

#[tokio::test]
async fn the_log_tells_more_and_less_while_it_runs() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    let credit = |id: &str| Request::transaction(1, 1, "c", "x").header("X-Request-Id", id);
    let is_told = |id: &str| guiche.log().contains(&format!("\"request_id\":\"{id}\""));
    guiche.ask(&credit("before")).await.balance();

    guiche.signal(Signal::SIGUSR1);
    guiche.until_logged("the log tells more from here on").await;
    guiche.ask(&credit("debug")).await.balance();
    until("requests are told of", async || is_told("debug")).await;
    assert!(!is_told("before"));

    guiche.signal(Signal::SIGUSR2);
    guiche.until_logged("the log tells less from here on").await;
    guiche.ask(&credit("after")).await.balance();
    // What tells of the next step comes behind whatever was told of the request.
    guiche.signal(Signal::SIGUSR2);
    until("it steps again", async || guiche.logged("the log tells less from here on").len() == 2).await;
    assert!(!is_told("after"));
    guiche.signal(Signal::SIGUSR2);
    guiche.signal(Signal::SIGUSR1);
    assert_eq!(guiche.credit(1, 1, "x").await.balance(), 4, "it serves on");
}

#[tokio::test]
async fn a_hangup_ends_nothing() {
    let database = Database::create().await;
    let mut guiche = Guiche::on(&database).await;
    for balance in 1..=3 {
        guiche.signal(Signal::SIGHUP);
        assert_eq!(guiche.credit(1, 1, "x").await.balance(), balance);
    }
    guiche.signal(Signal::SIGTERM);
    assert_eq!(guiche.ended().await.code(), Some(0));
}

#[tokio::test]
async fn help_says_what_each_signal_does() {
    let (status, help) = Launcher::bare().argument("--help").run_to_end().await;
    assert!(status.success());
    for signal in ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"] {
        assert!(help.contains(signal), "{signal} in {help}");
    }
}
