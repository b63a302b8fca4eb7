//! Where an instance listens: addresses and unix sockets.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use crate::harness::{Address, Database, Guiche, Launcher, run_directory};

fn socket(name: &str) -> (PathBuf, String) {
    let path = run_directory().join(name);
    let listen = format!("unix:{}", path.display());
    (path, listen)
}

#[tokio::test]
async fn a_unix_socket_serves_like_an_address() {
    let database = Database::create().await;
    let (path, listen) = socket("serves.sock");
    let guiche = Guiche::launcher(&database).set("LISTEN", &listen).start().await;
    assert!(matches!(guiche.address(), Address::Unix(at) if *at == path));
    assert_eq!(guiche.credit(1, 7, "x").await.balance(), 7);
    assert_eq!(guiche.statement(1).await.json()["saldo"]["total"], 7);
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o666, 0o660, "NGINX connects as another user of its group, and nobody else does");
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced() {
    let database = Database::create().await;
    let (path, listen) = socket("stale.sock");
    drop(UnixListener::bind(&path).expect("a socket that nobody serves any more"));
    assert!(path.exists());
    let mut killed = Guiche::launcher(&database).set("LISTEN", &listen).start().await;
    assert_eq!(killed.credit(1, 1, "x").await.balance(), 1);
    killed.kill().await;
    assert!(path.exists());
    let successor = Guiche::launcher(&database).set("LISTEN", &listen).start().await;
    assert_eq!(successor.credit(1, 1, "x").await.balance(), 2);
}

#[tokio::test]
async fn a_socket_that_somebody_serves_is_left_alone() {
    let database = Database::create().await;
    let (path, listen) = socket("live.sock");
    let guiche = Guiche::launcher(&database).set("LISTEN", &listen).start().await;
    let (status, log) = Guiche::launcher(&database).set("LISTEN", &listen).run_to_end().await;
    assert_eq!(status.code(), Some(1), "{log}");
    let expected = format!("guiche: cannot listen on unix:{}: another process serves it", path.display());
    assert!(log.lines().any(|line| line == expected), "{log}");
    assert_eq!(guiche.credit(1, 1, "x").await.balance(), 1, "the first one still serves");
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let (path, listen) = socket("precious");
    std::fs::write(&path, "precious").expect("a file");
    let launcher = Launcher::without_database().set("LISTEN", &listen);
    let (status, log) = launcher.run_to_end().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("it exists and is not a socket"), "{log}");
    assert_eq!(std::fs::read_to_string(&path).expect("it is still there"), "precious");
}

/// `guiche health` asks the instance that listens where its own `LISTEN` says.
#[tokio::test]
async fn an_instance_asks_another_how_it_is() {
    let database = Database::create().await;
    for listen in [None, Some(socket("health.sock").1)] {
        let listen = |launcher: Launcher| match &listen {
            Some(listen) => launcher.set("LISTEN", listen),
            None => launcher,
        };
        let (well, waiting) = tokio::join!(
            listen(Guiche::launcher(&database)).start(),
            Launcher::without_database().start_listening()
        );
        for (instance, arguments, expected) in [
            (&well, &["health"][..], Some(0)),
            (&well, &["health", "--live"], Some(0)),
            (&waiting, &["health"], Some(1)),
            (&waiting, &["health", "--live"], Some(0)),
        ] {
            let asking = Launcher::bare().set("LISTEN", instance.address());
            let asking = arguments.iter().fold(asking, |launcher, argument| launcher.argument(argument));
            let (status, log) = asking.run_to_end().await;
            assert_eq!(status.code(), expected, "{arguments:?}: {log}");
        }
        let gone = well.address().to_string();
        drop(well);
        let (status, log) = Launcher::bare().set("LISTEN", &gone).argument("health").run_to_end().await;
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.starts_with("guiche: no answer from "), "{log}");
    }
}
