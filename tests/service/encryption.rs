//! TLS to PostgreSQL: spoken where `sslmode` asks for it, and with whom it may be.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use futures_util::future::join_all;
use testbed::{Cluster, Profile};

use crate::harness::{Certificate, Database, Guiche, Launcher, own_cluster, run_directory, until};

/// Has a running server show a certificate to whoever asks for TLS from now on.
async fn install(own: &Certificate, cluster: &Cluster, database: &Database) {
    let owner = fs::metadata(cluster.data_dir()).expect("the server has data");
    for (from, to) in [(&own.certificate, "server.crt"), (&own.key, "server.key")] {
        let to = cluster.data_dir().join(to);
        fs::copy(from, &to).expect("it is copied");
        fs::set_permissions(&to, Permissions::from_mode(0o600)).expect("it is the server's alone");
        chown(&to, Some(owner.uid()), Some(owner.gid())).expect("it is given to the server");
    }
    database.alter_system("SET ssl = on").await;
}

/// Whether all sessions of the service are encrypted; none that are in part.
async fn encrypted(database: &Database) -> bool {
    let sql = format!(
        "SELECT array_agg(DISTINCT ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE usename = 'guiche' AND datname = '{}'",
        database.name()
    );
    let all: Vec<bool> = database.value(&sql).await;
    assert_eq!(all.len(), 1, "they are alike");
    all[0]
}

/// Starts one that cannot reach its database, and says `why`, and no password.
async fn unready(url: &str, why: &str) -> Guiche {
    let guiche = Launcher::on(url).start_listening().await;
    let waiting = guiche.until_logged("waiting for the database").await;
    let error = waiting["fields"]["error"].as_str().expect("it says why");
    assert!(error.contains(why) && !error.contains("guiche:guiche"), "{url}: {error}");
    guiche.get("/readyz").await.assert_refused("not-ready");
    guiche
}

/// Ends one, and its sessions.
async fn end(mut guiche: Guiche, database: &Database) {
    guiche.kill().await;
    until("its sessions are gone", async || database.sessions("").await == 0).await;
}

#[tokio::test]
async fn it_is_spoken_as_sslmode_asks() {
    let cluster = own_cluster(Profile::Durable, &[]).await;
    let database = Database::create_in(&cluster).await;
    let (own, other) = (Certificate::make("own").await, Certificate::make("other").await);
    let tcp = cluster.api_url_tcp(database.name());
    let localhost = tcp.replace("127.0.0.1", "localhost");
    let trusting = |url: &str, mode, root: &Certificate| {
        format!("{url}?sslmode={mode}&sslrootcert={}", root.certificate.display())
    };

    let waiting = unready(&format!("{tcp}?sslmode=require"), "server does not support TLS").await;
    install(&own, &cluster, &database).await;
    waiting.until_ready().await;
    assert_eq!(waiting.credit(1, 5, "sealed").await.balance(), 5);
    assert!(encrypted(&database).await);
    end(waiting, &database).await;

    let socket = database.api_url();
    for (url, sealed) in [
        (tcp.clone(), false),
        (format!("{tcp}?sslmode=disable"), false),
        (format!("{tcp}?sslmode=prefer"), true),
        (trusting(&tcp, "verify-ca", &own), true),
        (trusting(&localhost, "verify-full", &own), true),
        (format!("{localhost}?sslmode=verify-full"), true),
        (socket.to_owned(), false),
        (format!("{socket} sslmode=verify-full sslrootcert='{}'", own.certificate.display()), false),
    ] {
        let guiche = Launcher::on(&url).set("SSL_CERT_FILE", own.certificate.display()).start().await;
        guiche.credit(1, 5, "x").await;
        assert_eq!(encrypted(&database).await, sealed, "{url}");
        end(guiche, &database).await;
    }

    let refused = [
        (trusting(&localhost, "verify-full", &other), "UnknownIssuer"),
        (trusting(&localhost, "require", &other), "UnknownIssuer"),
        (trusting(&tcp, "verify-full", &own), "not valid for name"),
    ];
    let refused = refused.iter().map(async |(url, why)| unready(url, why).await.kill().await);
    join_all(refused).await;
}

#[tokio::test]
async fn what_cannot_be_had_is_refused_at_the_start() {
    let empty = run_directory().join("empty.crt");
    fs::write(&empty, "").expect("a file is written");
    let empty = empty.display();
    for (parameters, expected) in [
        ("sslmode=allow".to_owned(), "sslmode is none of disable, prefer"),
        ("sslmode=verify-full&sslrootcert=/no/such.crt".to_owned(), "cannot be read: "),
        (format!("sslmode=require&sslrootcert={empty}"), "without a certificate"),
        (format!("sslrootcert={empty}"), "with disable no certificate is checked"),
        ("sslmode=require&sslcert=/a.crt".to_owned(), "sslcert is not supported"),
        ("sslmode=verify-ca".to_owned(), "sslmode=verify-ca needs sslrootcert=PATH"),
    ] {
        let url = format!("postgresql://guiche:hunter2@127.0.0.1:1/rinha?{parameters}");
        let (status, log) = Launcher::on(&url).run_to_end().await;
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.starts_with("guiche: DATABASE_URL: ssl") && log.contains(expected), "{log}");
        assert!(log.lines().count() == 1 && !log.contains("hunter2"), "{log}");
    }
}
