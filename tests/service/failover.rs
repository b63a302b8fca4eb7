//! A database server that dies for good while its synchronous standby lives: an instance that was told of both goes on.

use testbed::{Cluster, Profile};

use crate::harness::{Database, Fate, Launcher, Load, own_cluster, reckon, standby_of, until};

/// Both servers, in libpq's words; whoever may write is the one to go to.
fn either(database: &Database, servers: [&Cluster; 2]) -> String {
    let [one, two] = servers.map(Cluster::socket_dir);
    let (one, two, [first, second]) = (one.display(), two.display(), servers.map(Cluster::port));
    let server = format!("host={one},{two} port={first},{second} target_session_attrs=read-write");
    format!("{server} user=guiche password=guiche dbname={}", database.name())
}

#[tokio::test]
async fn what_was_acknowledged_is_there_once_when_the_standby_takes_over() {
    let mut primary = own_cluster(Profile::Durable, &[]).await;
    let database = Database::create_in(&primary).await;
    let standby = standby_of(&primary).await;
    let copy = database.copied_to(&standby);
    database.alter_system("SET synchronous_standby_names = 'standby'").await;
    let synchronous = "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
    until("commits wait for the standby", async || database.value(synchronous).await).await;

    let guiche = Launcher::on(&either(&database, [&standby, &primary])).start().await;
    let load = Load::start("n", &[guiche.address()], 8);
    load.until_applied(200).await;
    primary.kill().await.expect("it is gone");
    assert!(copy.value::<bool>("SELECT pg_promote()").await, "the standby takes over");
    load.until_applied(200).await;
    let attempts = load.stop().await;

    assert!(attempts.iter().any(|attempt| attempt.fate != Fate::Applied), "it was noticed");
    reckon(&copy, &attempts).await;
    assert_eq!(guiche.get("/readyz").await.status, 200);
}

/// The server has committed and waits for its copy: that it is not told so is no reason to say that nothing was done.
#[tokio::test]
async fn while_the_standby_is_missing_an_outcome_is_unknown() {
    let cluster = own_cluster(Profile::Durable, &[]).await;
    let database = Database::create_in(&cluster).await;
    let guiche = Launcher::on(database.api_url()).deadlines(3_000, 4_000, 10_000).start().await;
    database.have_commits_wait().await;
    guiche.credit(1, 1, "waits").await.assert_unknown();
    database.have_commits_go_on().await;
    until("it is there", async || database.descriptions(1).await == ["waits"]).await;
    assert_eq!(guiche.book(1, 1, "goes").await, 2);
}
