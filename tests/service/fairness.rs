//! One client's flood is refused where it would take the room of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use testbed::nginx::Balancing;
use tokio::task::JoinSet;

use crate::harness::{BY_REQUEST, Connection, Database, Front, Guiche, Request, at_a_socket, until};

/// More than NGINX passes on at once.
const FLOOD: usize = 320;

/// What the settings leave to one client of one instance.
const ITS_SHARE: usize = 80;

#[tokio::test]
async fn one_clients_flood_leaves_room_for_others() {
    for balancing in BY_REQUEST.into_iter().chain([Balancing::Layer4]) {
        let database = Database::create().await;
        // A locked row holds up what the flood has sent, and with two calls nobody else.
        let instance = || at_a_socket(Guiche::launcher(&database)).set("CALLS_IN_FLIGHT", 2).start();
        let front = Front::start(balancing, tokio::join!(instance(), instance()).into()).await;
        let lock = database.lock(1).await;
        let refused = Arc::<AtomicUsize>::default();
        let mut flood = JoinSet::new();
        for _ in 0..FLOOD {
            let caller = front.begin(&Request::transaction(1, 1, "c", "flood")).await;
            flood.spawn(counted(caller, Arc::clone(&refused)));
        }
        until("the flood is refused but for its share", async || {
            refused.load(Ordering::SeqCst) >= FLOOD - 2 * ITS_SHARE
        })
        .await;
        for client in [2, 3, 4, 5, 2, 3, 4, 5] {
            let mut caller = front.begin(&Request::transaction(client, 1, "c", "other")).await;
            caller.receive().await.expect("an answer").balance();
        }
        lock.release().await;
        let applied: usize = flood.join_all().await.into_iter().map(usize::from).sum();
        assert!((1..=2 * ITS_SHARE).contains(&applied), "{balancing}: {applied}");
        assert_eq!(database.rows_of(1).await.len(), applied, "{balancing}");
    }
}

/// Waits for the answer; returns whether it was applied, and counts it if it was refused.
async fn counted(mut caller: Connection, refused: Arc<AtomicUsize>) -> bool {
    let response = caller.receive().await.expect("an answer");
    if response.status == 200 {
        return true;
    }
    // By its instance, or by NGINX while the instance has not got round to it.
    let by_whom = response.problem();
    assert!(["overloaded", "unavailable"].contains(&by_whom.as_str()), "{response:?}");
    response.assert_refused(&by_whom);
    refused.fetch_add(1, Ordering::SeqCst);
    false
}
