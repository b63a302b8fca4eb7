//! The database and the instances die under load: no transaction is lost or doubled, what is
//! refused is refused clearly, and all goes on by itself.

use std::time::Duration;

use testbed::{Profile, StopMode};

use crate::harness::{Database, Fate, Guiche, Load, own_cluster, reckon, until};

/// Callers at once: enough for batches to be out when something dies.
const CALLERS: usize = 16;

/// No answer may take longer: the answer's deadline, and some for a busy machine.
const LONGEST: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug)]
enum Disaster {
    StoppedAtOnce,
    StoppedInOrder,
    Killed,
}

#[tokio::test]
async fn the_database_goes_and_comes_back_under_load() {
    let mut cluster = own_cluster(Profile::Durable, &[]).await;
    let database = Database::create_in(&cluster).await;
    let (one, two) = tokio::join!(
        Guiche::launcher(&database).default_deadlines().start(),
        Guiche::launcher(&database).default_deadlines().mode("direct").start()
    );
    let load = Load::start("n", &[one.address(), two.address()], CALLERS);
    for disaster in [Disaster::StoppedAtOnce, Disaster::Killed, Disaster::StoppedInOrder] {
        load.until_applied(150).await;
        let failed = load.failed();
        match disaster {
            Disaster::StoppedAtOnce => cluster.stop(StopMode::Immediate).await.expect("it stops"),
            Disaster::StoppedInOrder => cluster.stop(StopMode::Fast).await.expect("it stops"),
            Disaster::Killed => cluster.kill().await.expect("it dies"),
        }
        until("callers are refused", async || load.failed() >= failed + CALLERS).await;
        let not_ready = one.get("/readyz").await;
        not_ready.assert_refused("not-ready");
        assert_eq!(not_ready.json()["detail"], "the database does not answer", "{disaster:?}");
        assert_eq!(one.get("/healthz").await.text(), "Healthy", "{disaster:?}");
        one.credit(1, 1, "refused").await.assert_refused("unavailable");
        one.statement(1).await.assert_refused("unavailable");
        cluster.start_again().await.expect("it starts again");
        load.until_applied(50).await;
        one.until_ready().await;
        two.until_ready().await;
    }
    let attempts = load.stop().await;
    for fate in [Fate::Applied, Fate::Refused] {
        assert!(attempts.iter().any(|attempt| attempt.fate == fate), "none was {fate:?}");
    }
    let slowest = attempts.iter().map(|attempt| attempt.took).max();
    assert!(slowest < Some(LONGEST), "{slowest:?}");
    reckon(&database, &attempts).await;
    for event in one.events() {
        let text = event.to_string();
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[tokio::test]
async fn an_instance_is_killed_under_load() {
    let database = Database::create().await;
    let (mut doomed, other) = tokio::join!(Guiche::on(&database), Guiche::on(&database));
    let load = Load::start("n", &[doomed.address(), other.address()], CALLERS);
    load.until_applied(100).await;
    doomed.kill().await;
    load.until_applied(100).await;
    let successor = Guiche::on(&database).await;
    let more = Load::start("m", &[successor.address()], 4);
    more.until_applied(50).await;
    let (attempts, more) = tokio::join!(load.stop(), more.stop());
    assert!(more.iter().all(|attempt| attempt.fate == Fate::Applied));
    reckon(&database, &[attempts, more].concat()).await;
}
