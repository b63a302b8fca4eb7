//! The database and the instances die under load: no transaction is lost or doubled, what is
//! refused is refused clearly, and all goes on by itself.

use std::time::{Duration, Instant};

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

/// One prober asks for the database while it is away; callers, who are refused, start no connection each.
#[tokio::test]
async fn a_database_that_is_away_is_left_alone() {
    const POOL: usize = 16;
    let mut cluster = own_cluster(Profile::Durable, &[]).await;
    let database = Database::create_in(&cluster).await;
    let proxy = database.proxy();
    let launcher = Guiche::behind(&proxy, &database).mode("direct").set("POOL_SIZE", POOL);
    let guiche = launcher.start().await;
    let load = Load::start("n", &[guiche.address()], CALLERS);
    load.until_applied(100).await;
    cluster.kill().await.expect("it dies");
    let (before, since, failed) = (proxy.accepted(), Instant::now(), load.failed());
    until("many are refused", async || load.failed() >= failed + 1_000).await;
    let (tried, took) = (proxy.accepted() - before, since.elapsed());
    // Each that was open may be tried once, then one by one: ever more slowly, at most each 12 ms.
    let most = 2 * POOL + took.as_millis() as usize / 100 + 10;
    assert!(tried <= most, "{tried} connections were tried in {took:?}");

    cluster.start_again().await.expect("it starts again");
    load.until_applied(100).await;
    // The outage is over once no call has failed for a second.
    let told = guiche.until_logged("the database answers again").await;
    assert!(told["fields"]["failures"].as_u64() >= Some(1_000), "{told}");
    let attempts = load.stop().await;
    reckon(&database, &attempts).await;
    let errors = guiche.events().into_iter().filter(|event| event["level"] == "ERROR").count();
    assert_eq!(errors, 1, "an outage is one line when it begins");
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

/// A server that lets sessions in and then says nothing is away, like one that cannot be reached.
#[tokio::test]
async fn a_server_that_lets_in_and_is_silent_is_not_waited_for() {
    let cluster = own_cluster(Profile::Durable, &[]).await;
    let database = Database::create_in(&cluster).await;
    let guiche = Guiche::launcher(&database).deadlines(60_000, 62_000, 65_000).start().await;
    let (silence, name) = (database.admin().await, database.name());
    let ended = format!(
        "BEGIN; LOCK TABLE pg_proc IN ACCESS EXCLUSIVE MODE;
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND usename = 'guiche'"
    );
    silence.batch_execute(&ended).await.expect("nobody calls a function any more");
    until("nobody is connected any more", async || guiche.metric("guiche_pool_connections_open").await == 0)
        .await;
    guiche.credit(1, 1, "refused").await.assert_refused("unavailable");
    silence.batch_execute("COMMIT").await.expect("it goes on");
    guiche.until_ready().await;
    assert_eq!(guiche.book(1, 1, "again").await, 1);
}
