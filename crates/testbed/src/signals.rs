//! Being asked to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Waits until this process is asked to stop: Ctrl-C, `SIGTERM`, or its terminal has gone. Returns
/// the signal's name. From the first call on, these signals end the process no more by themselves.
pub async fn interrupted() -> &'static str {
    let received = |kind: SignalKind| async move {
        match signal(kind) {
            Ok(mut stream) => drop(stream.recv().await),
            // Without a handler the signal ends the process, and its children with it.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = received(SignalKind::interrupt()) => "SIGINT",
        () = received(SignalKind::terminate()) => "SIGTERM",
        () = received(SignalKind::hangup()) => "SIGHUP",
    }
}
