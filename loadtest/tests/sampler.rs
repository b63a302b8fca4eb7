//! The sampler sees who waits for a row that another holds, and what others wait for.

use std::time::{Duration, Instant};

use loadtest::measure::sampler::{Sampler, Waits};
use testbed::cluster::connect;
use testbed::{Cluster, ClusterOptions};

const TAKE: &str = "UPDATE clientes SET saldo = saldo + 1 WHERE id = 1";

#[tokio::test]
async fn waits_are_seen_while_they_last() {
    let cluster = Cluster::start(&ClusterOptions::default()).await.expect("PostgreSQL starts");
    cluster.create_database("waits").await.expect("a database");
    let url = cluster.admin_url("waits");
    let waits = async || {
        let sampler = Sampler::start(&url, Duration::from_millis(5)).await.expect("it connects");
        Waits::of(&sampler.stop().await.expect("it looks"))
    };
    assert_eq!(waits().await.active_mean, 0.0, "its own session does not count");

    let (holder, waiter) = (connect(&url).await.expect("it runs"), connect(&url).await.expect("it runs"));
    holder.batch_execute(&format!("BEGIN; {TAKE}")).await.expect("the row is free");
    let waiting = tokio::spawn(async move { waiter.batch_execute(TAKE).await });
    let until = async |waiting: fn(&Waits) -> bool| {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let seen = waits().await;
            if waiting(&seen) {
                break seen;
            }
            assert!(Instant::now() < deadline, "nobody waits: {seen:?}");
        }
    };
    let seen = until(|seen| seen.row_lock_max > 0).await;
    assert_eq!((seen.row_lock_max, seen.other_mean), (1, 0.0));

    let sleeper = connect(&url).await.expect("it runs");
    let asleep = tokio::spawn(async move { sleeper.batch_execute("SELECT pg_sleep(3600)").await });
    let seen = until(|seen| seen.other_mean > 0.0).await;
    assert_eq!(seen.other_events.keys().collect::<Vec<_>>(), ["Timeout:PgSleep"]);
    asleep.abort();

    holder.batch_execute("COMMIT").await.expect("it holds nothing any more");
    waiting.await.expect("it did not panic").expect("the row is free again");
    assert_eq!(waits().await.row_lock_max, 0);
}
