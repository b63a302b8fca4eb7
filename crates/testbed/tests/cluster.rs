//! A private cluster on this machine: databases apart from each other, and every way to go down
//! and come back.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::Path;

use testbed::cluster::connect;
use testbed::{Cluster, ClusterOptions, Profile, StopMode};

async fn count(cluster: &Cluster, database: &str, sql: &str) -> i64 {
    let client = connect(&cluster.admin_url(database)).await.expect("it runs");
    client.query_one(sql, &[]).await.expect(sql).get(0)
}

#[tokio::test]
async fn databases_are_apart_and_survive_every_stop() {
    let mut cluster = Cluster::start(&ClusterOptions::default()).await.expect("PostgreSQL starts");
    let (one, two) = tokio::join!(cluster.create_database("one"), cluster.create_database("two"));
    one.expect("a first database");
    two.expect("a second database");
    cluster.create_database("one").await.expect_err("it exists");

    let client = connect(&cluster.admin_url("one")).await.expect("it runs");
    client.batch_execute("UPDATE clientes SET saldo = -7 WHERE id = 1").await.expect("a write");
    let changed = "SELECT count(*) FROM clientes WHERE saldo <> 0";
    assert_eq!(count(&cluster, "one", changed).await, 1);
    assert_eq!(count(&cluster, "two", changed).await, 0);
    assert_eq!(count(&cluster, "two", "SELECT count(*) FROM clientes").await, 5);

    let port = cluster.port();
    for way in ["immediate", "fast", "killed"] {
        let before = cluster.pid();
        match way {
            "immediate" => cluster.stop(StopMode::Immediate).await.expect(way),
            "fast" => cluster.stop(StopMode::Fast).await.expect(way),
            _ => cluster.kill().await.expect(way),
        }
        assert_eq!(cluster.pid(), None, "{way}");
        connect(&cluster.admin_url("one")).await.expect_err("it is down");
        cluster.start_again().await.expect(way);
        assert_eq!(cluster.port(), port, "{way}");
        assert_ne!(cluster.pid(), before, "{way}");
        assert_eq!(count(&cluster, "one", changed).await, 1, "{way}");
    }

    cluster.drop_database("two").await.expect("it is there");
    assert!(!cluster.has_database("two").await.expect("it runs"));

    let (socket_dir, pid) = (cluster.socket_dir(), cluster.pid().expect("it runs"));
    drop(cluster);
    assert!(!socket_dir.parent().expect("a run directory").exists());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    UnixStream::connect(socket_dir.join(format!(".s.PGSQL.{port}"))).expect_err("it is gone");
}

#[tokio::test]
async fn a_new_database_has_room_in_the_log() {
    for profile in [Profile::Durable, Profile::Contest] {
        let options = ClusterOptions { profile, ..ClusterOptions::default() };
        let cluster = Cluster::start(&options).await.expect("PostgreSQL starts");
        cluster.create_database("rinha").await.expect("a database");
        let ready = "SELECT count(*) FROM pg_ls_waldir() WHERE name > pg_walfile_name(pg_current_wal_lsn())";
        let segments = count(&cluster, "rinha", ready).await;
        assert!(segments >= 3, "{profile}: {segments} segments that no commit has to make");
    }
}

#[tokio::test]
async fn the_service_connects_by_both_ways_and_may_not_write() {
    let cluster = Cluster::start(&ClusterOptions::default()).await.expect("PostgreSQL starts");
    cluster.create_database("rinha").await.expect("a database");
    for url in [cluster.api_url("rinha"), cluster.api_url_tcp("rinha")] {
        let client = connect(&url).await.expect(&url);
        client.batch_execute("UPDATE clientes SET saldo = 1").await.expect_err("it may not");
        client.batch_execute("CREATE TEMPORARY TABLE mine ()").await.expect_err("nor anything else");
    }
}

#[tokio::test]
async fn the_contest_profile_is_unlogged_and_a_callers_setting_wins() {
    let options = ClusterOptions {
        profile: Profile::Contest,
        settings: vec![("work_mem".into(), "123kB".into())],
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start(&options).await.expect("PostgreSQL starts");
    cluster.create_database("rinha").await.expect("a database");
    let unlogged = "SELECT count(*) FROM pg_class WHERE relname IN ('clientes', 'transacoes', 'chaves') AND relpersistence = 'u'";
    assert_eq!(count(&cluster, "rinha", unlogged).await, 3);
    let client = connect(&cluster.admin_url("rinha")).await.expect("it runs");
    for (setting, expected) in [("fsync", "off"), ("work_mem", "123kB")] {
        let value: String = client.query_one(&format!("SHOW {setting}"), &[]).await.expect(setting).get(0);
        assert_eq!(value, expected, "{setting}");
    }
}

#[tokio::test]
async fn a_data_directory_that_was_named_stays_and_can_be_used_again() {
    let home = testbed::rundir::RunDir::create().expect("a run directory");
    let options = ClusterOptions { data: Some(home.path().join("data")), ..ClusterOptions::default() };
    let cluster = Cluster::start(&options).await.expect("PostgreSQL starts");
    cluster.create_database("rinha").await.expect("a database");
    drop(cluster);
    let cluster = Cluster::start(&options).await.expect("PostgreSQL starts again");
    assert!(cluster.has_database("rinha").await.expect("it runs"));
    cluster.create_database("other").await.expect("a template made anew");
}

/// Whose directory it is may put links into it, and have root write where they lead to.
#[tokio::test]
async fn a_planted_link_in_the_data_is_refused_and_not_followed() {
    let home = testbed::rundir::RunDir::create().expect("a run directory");
    let (data, theirs) = (home.path().join("data"), home.path().join("theirs"));
    let options = |data: &Path| ClusterOptions { data: Some(data.to_owned()), ..ClusterOptions::default() };
    drop(Cluster::start(&options(&data)).await.expect("PostgreSQL starts"));
    fs::write(&theirs, "untouched").expect("writable");
    let owner = fs::metadata(&theirs).expect("it is there").uid();
    for planted in ["guiche.conf", "pg_hba.conf"] {
        let (file, aside) = (data.join(planted), data.join("aside"));
        fs::rename(&file, &aside).expect("it was written");
        symlink(&theirs, &file).expect("ours");
        let error = Cluster::start(&options(&data)).await.expect_err(planted).to_string();
        assert!(error.contains(planted) && error.contains("is a symbolic link"), "{error}");
        fs::rename(&aside, &file).expect("it takes the link's place");
    }
    let link = home.path().join("link");
    symlink(&data, &link).expect("ours");
    let error = Cluster::start(&options(&link)).await.expect_err("a link").to_string();
    assert!(error.contains("is a symbolic link"), "{error}");
    assert_eq!(fs::read_to_string(&theirs).expect("it is there"), "untouched");
    assert_eq!(fs::metadata(&theirs).expect("it is there").uid(), owner, "it was given to nobody");
    Cluster::start(&options(&data)).await.expect("without links it starts");
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let options = ClusterOptions { settings: vec![("work_mem".into(), "much".into())], ..Default::default() };
    let error = Cluster::start(&options).await.expect_err("no such size").to_string();
    assert!(error.contains("invalid value for parameter \"work_mem\""), "{error}");
}
