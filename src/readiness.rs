//! Whether an instance can serve: the database answers, is of its profile, and has its data.

use std::cell::RefCell;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::WeakShared;
use settings::Profile;
use tokio::sync::Notify;

use crate::http::{Readiness, ReadinessProbe};
use crate::ledger::{DatabaseState, Durability, PgLedger};
use crate::mailbox::{LocalFuture, Mailboxes};

/// How long a readiness probe waits for the database: less than NGINX waits for the probe.
const PROBE_DEADLINE: Duration = Duration::from_millis(1_500);

/// The database was set up for the other profile.
#[derive(Debug, thiserror::Error)]
#[error("PROFILE is {wanted}, but the database {found}; {remedy}")]
pub struct WrongProfile {
    /// The configured profile.
    wanted: Profile,
    /// What the database is.
    found: String,
    /// What to do.
    remedy: &'static str,
}

/// Asks the database what it is until it answers, ever more slowly, and checks the answer. `away` is told when it does
/// not.
pub(crate) async fn wait_for_database(
    ledger: &PgLedger,
    profile: Profile,
    away: &Notify,
) -> Result<(), WrongProfile> {
    const LONGEST: Duration = Duration::from_secs(2);
    let mut pause = Duration::from_millis(50);
    loop {
        match ledger.state().await {
            Ok(state) => return check_profile(&state, profile),
            Err(error) => {
                tracing::warn!(%error, retry_ms = pause.as_millis() as u64, "waiting for the database");
                away.notify_one();
            }
        }
        // Sooner, if the prober gets through.
        let _ = tokio::time::timeout(pause, ledger.until_back()).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// Compares what the database is with what the instance was configured for.
pub(crate) fn check_profile(state: &DatabaseState, wanted: Profile) -> Result<(), WrongProfile> {
    let refuse = |found: &str, remedy| Err(WrongProfile { wanted, found: found.to_owned(), remedy });
    match (wanted, &state.durability) {
        (Profile::Durable, Durability::Durable) | (Profile::Contest, Durability::Unlogged) => Ok(()),
        (Profile::Durable, Durability::Unlogged) => refuse(
            "was set up for contest (its tables are UNLOGGED)",
            "set PROFILE=contest, or start on a data directory of the durable profile",
        ),
        (Profile::Durable, Durability::Weakened(settings)) => {
            refuse(&format!("server runs with {settings}"), "start the server with sql/settings/durable.conf")
        }
        (Profile::Contest, _) => refuse(
            "was set up for durable (its tables are logged)",
            "set PROFILE=durable, or start on a data directory of the contest profile",
        ),
    }
}

/// Makes what `/readyz` asks: one question at a time, whose answer everybody has who came meanwhile. Anybody may ask,
/// as often as they like, and the database's sessions are for transactions.
pub(crate) fn probe(mailboxes: Mailboxes, ledger: PgLedger, profile: Profile) -> ReadinessProbe {
    let asked = RefCell::new(None::<WeakShared<LocalFuture<'static, Readiness>>>);
    Box::new(move || {
        let mut asked = asked.borrow_mut();
        let question = asked.as_ref().and_then(WeakShared::upgrade).unwrap_or_else(|| {
            let (mailboxes, ledger) = (mailboxes.clone(), ledger.clone());
            let question: LocalFuture<'static, _> =
                Box::pin(async move { readiness(&mailboxes, &ledger, profile).await });
            question.shared()
        });
        *asked = question.downgrade();
        Box::pin(question)
    })
}

async fn readiness(mailboxes: &Mailboxes, ledger: &PgLedger, profile: Profile) -> Readiness {
    if !mailboxes.is_open() {
        return Readiness::NotReady("starting: the database has not answered yet");
    }
    let state = match tokio::time::timeout(PROBE_DEADLINE, ledger.state()).await {
        Ok(Ok(state)) => state,
        Ok(Err(_)) | Err(_) => return Readiness::NotReady("the database does not answer"),
    };
    if check_profile(&state, profile).is_err() {
        return Readiness::NotReady("the database is of another profile");
    }
    if state.moved {
        return Readiness::NotReady(
            "the database's servers are others than at the start: start this instance again",
        );
    }
    if !state.has_clients {
        return Readiness::NotReady("the data was lost: the database has no clients; set it up again");
    }
    if state.read_only {
        return Readiness::NotReady("the database is read-only");
    }
    if state.role_altered {
        return Readiness::NotReady("the database role has settings that it gave itself: see SECURITY.md");
    }
    Readiness::Ready
}
