//! `durable` and `contest`: which database an instance accepts, and what a crash leaves.

use testbed::{Profile, StopMode};

use crate::harness::{Database, Fate, Guiche, Load, own_cluster, reckon};

#[tokio::test]
async fn a_contest_instance_refuses_a_durable_database() {
    let database = Database::create().await;
    let (status, log) = Guiche::launcher(&database).set("PROFILE", "contest").run_to_end().await;
    assert_eq!(status.code(), Some(1), "{log}");
    let line = last_line(&log);
    assert!(
        line.starts_with("guiche: PROFILE is contest, but the database was set up for durable"),
        "{line}"
    );
}

#[tokio::test]
async fn a_durable_instance_refuses_settings_that_lose_what_was_answered() {
    let weak = own_cluster(Profile::Durable, &[("fsync", "off")]).await;
    let database = Database::create_in(&weak).await;
    let (status, log) = Guiche::launcher(&database).run_to_end().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        last_line(&log).contains("PROFILE is durable, but the database server runs with fsync=off"),
        "{log}"
    );

    // What a session may choose for itself, its connection has chosen.
    let database = Database::create().await;
    database.execute(&format!("ALTER DATABASE {} SET synchronous_commit = off", database.name())).await;
    Guiche::on(&database).await.until_ready().await;
}

#[tokio::test]
async fn a_contest_database_serves_the_contest_and_says_when_a_crash_emptied_it() {
    let mut cluster = own_cluster(Profile::Contest, &[]).await;
    let database = Database::create_in(&cluster).await;
    let (status, log) = Guiche::launcher(&database).set("PROFILE", "durable").run_to_end().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(last_line(&log).contains("PROFILE is durable, but the database was set up for contest"), "{log}");

    let guiche = Guiche::launcher(&database).set("PROFILE", "contest").start().await;
    let load = Load::start("n", &[guiche.address()], 8);
    load.until_applied(100).await;
    let attempts = load.stop().await;
    assert!(attempts.iter().all(|attempt| attempt.fate == Fate::Applied));
    reckon(&database, &attempts).await;

    cluster.stop(StopMode::Fast).await.expect("it stops");
    cluster.start_again().await.expect("it starts again");
    guiche.until_ready().await;
    reckon(&database, &attempts).await;

    cluster.kill().await.expect("it dies");
    cluster.start_again().await.expect("it recovers");
    guiche.until_not_ready("the data was lost").await;
    assert_eq!(guiche.get("/healthz").await.text(), "Healthy");
    assert_eq!(guiche.statement(1).await.status, 404, "there is no client any more");

    let after = Guiche::launcher(&database).set("PROFILE", "contest").start().await;
    after.until_not_ready("the data was lost").await;
}

#[track_caller]
fn last_line(log: &str) -> &str {
    let plain: Vec<&str> = log.lines().filter(|line| !line.starts_with('{')).collect();
    assert_eq!(plain.len(), 1, "one line for whoever started it: {log}");
    plain[0]
}
