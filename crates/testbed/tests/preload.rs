//! A server whose fsync is slower on purpose takes longer to commit, and one whose clock is wrong tells another
//! time; both are right all the same.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use testbed::cluster::connect;
use testbed::{Cluster, ClusterOptions};

const DELAY: Duration = Duration::from_millis(40);

#[tokio::test]
async fn a_commit_takes_at_least_the_delay() {
    let mut cluster = Cluster::start(&ClusterOptions::default()).await.expect("PostgreSQL starts");
    cluster.create_database("slow").await.expect("a database");
    let begin = Instant::now();
    cluster.delay_fsync(DELAY).await.expect("it starts again");
    assert!(begin.elapsed() < Duration::from_secs(25), "{:?} to start", begin.elapsed());

    let client = connect(&cluster.admin_url("slow")).await.expect("it answers");
    let quickest = async |sql: &str| {
        let mut quickest = Duration::MAX;
        for _ in 0..3 {
            let begin = Instant::now();
            client.batch_execute(sql).await.expect("it runs");
            quickest = quickest.min(begin.elapsed());
        }
        quickest
    };
    let commit = quickest("UPDATE clientes SET saldo = saldo + 1 WHERE id = 1").await;
    assert!(commit >= DELAY, "{commit:?}");
    let read = quickest("SELECT saldo FROM clientes WHERE id = 1").await;
    assert!(read < DELAY, "what syncs nothing is not delayed: {read:?}");
    let row = client.query_one("SELECT saldo FROM clientes WHERE id = 1", &[]).await.expect("a row");
    assert_eq!(row.get::<_, i64>(0), 3);
}

#[tokio::test]
async fn the_time_is_what_it_is_set_to() {
    let mut cluster = Cluster::start(&ClusterOptions::default()).await.expect("PostgreSQL starts");
    cluster.create_database("clock").await.expect("a database");
    for hours in [1, -1, 0] {
        cluster.shift_clock(3_600 * hours).await.expect("it is told");
        let client = connect(&cluster.admin_url("clock")).await.expect("it answers");
        let sql = "SELECT extract(epoch FROM clock_timestamp())::float8";
        let told: f64 = client.query_one(sql, &[]).await.expect("a time").get(0);
        let here = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
        let away = told - here - 3_600.0 * hours as f64;
        assert!(away.abs() < 60.0, "{away} s from {hours} h");
    }
}
