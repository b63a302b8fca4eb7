//! Actors come and go: unknown ids leave nothing behind, idle ones are forgotten.

use futures_util::future::join_all;

use crate::harness::{Database, Guiche, Request, until};

#[tokio::test]
async fn unknown_ids_leave_no_actor_and_no_series() {
    for mode in ["serial", "batched"] {
        let database = Database::create().await;
        let launcher = Guiche::launcher(&database).mode(mode);
        let guiche = launcher.set("PASSIVATE_AFTER_MS", 3_600_000).start().await;
        let ask_for = async |ids: std::ops::Range<i64>| {
            let requests = ids.flat_map(|id| [Request::statement(id), Request::transaction(id, 1, "c", "x")]);
            let requests: Vec<Request> = requests.collect();
            let statuses =
                join_all(requests.iter().map(async |request| guiche.ask(request).await.status)).await;
            assert!(statuses.iter().all(|status| *status == 404), "{mode}: {statuses:?}");
        };
        ask_for(6..10).await;
        until("their actors are gone", async || guiche.metric("guiche_live_actors").await == 0).await;
        let before = guiche.metrics().await;
        ask_for(1_000..1_100).await;
        until("their actors are gone", async || guiche.metric("guiche_live_actors").await == 0).await;
        let after = guiche.metrics().await;
        assert_eq!(after.names(), before.names(), "{mode}: no series of one client");
        assert_eq!(after.get("guiche_mailbox_depth"), 0, "{mode}");
        assert_eq!(database.rows().await, [], "{mode}");
    }
}

#[tokio::test]
async fn malformed_requests_start_no_actor() {
    let guiche = Guiche::on(&Database::create().await).await;
    for id in ["x", "-1", "2147483648"] {
        guiche.get(&format!("/clientes/{id}/extrato")).await;
    }
    guiche.ask(&Request::post("/clientes/1/transacoes", "{}")).await;
    assert_eq!(guiche.metric("guiche_activations_total").await, 0);
}

#[tokio::test]
async fn an_idle_actor_is_forgotten_and_comes_back() {
    let database = Database::create().await;
    let guiche = Guiche::launcher(&database).set("PASSIVATE_AFTER_MS", 50).start().await;
    for round in 1..=3 {
        assert_eq!(
            guiche.credit(1, 1, &format!("n{round}")).await.balance(),
            i64::try_from(round).expect("small")
        );
        until("it is passivated", async || guiche.metric("guiche_live_actors").await == 0).await;
        assert_eq!(guiche.metric("guiche_activations_total").await, round);
        assert_eq!(guiche.metric("guiche_passivations_total").await, round);
    }
    assert_eq!(database.descriptions(1).await, ["n1", "n2", "n3"]);
}

#[tokio::test]
async fn a_busy_actor_is_not_forgotten() {
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set("PASSIVATE_AFTER_MS", 1);
    let guiche = launcher.set("CALLS_IN_FLIGHT", 2).start().await;
    let mut queue = guiche.hold(&database, 1, &Request::transaction(1, 1, "c", "first")).await;
    queue.push(&Request::transaction(1, 1, "c", "second")).await;
    // Others come and go meanwhile, so the sweeper has been there.
    guiche.credit(2, 1, "x").await.balance();
    until("the other is passivated", async || guiche.metric("guiche_passivations_total").await > 0).await;
    assert_eq!(guiche.metric("guiche_live_actors").await, 1);
    assert_eq!(database.waiting().await, 1, "a second actor would have sent the second request");
    assert_eq!(queue.balances().await, [1, 2]);
}

/// Actors are forgotten between almost any two requests; order and balances must not notice.
#[tokio::test]
async fn passivation_racing_with_requests_loses_and_reorders_nothing() {
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).set("PASSIVATE_AFTER_MS", 1).set("LIVE_ACTORS", 2);
    let guiche = launcher.set("WORKERS", 2).start().await;
    let lanes = (0..4).map(|lane| {
        let guiche = &guiche;
        async move {
            let mut connection = guiche.connect().await;
            let (mut applied, mut number) = (Vec::new(), 0);
            while applied.len() < 60 {
                let description = format!("{lane}-{number}");
                let request = Request::transaction(number % 5 + 1, 1, "c", &description);
                let response = connection.ask(&request).await.expect("an answer");
                if response.status == 200 {
                    applied.push((number % 5 + 1, description));
                } else {
                    response.assert_refused("overloaded");
                }
                number += 1;
            }
            applied
        }
    });
    let lanes = join_all(lanes).await;
    for client in 1..=5 {
        let stored = database.descriptions(i32::try_from(client).expect("a small id")).await;
        let mut count = 0;
        for (lane, applied) in lanes.iter().enumerate() {
            let sent: Vec<&String> =
                applied.iter().filter(|(of, _)| *of == client).map(|(_, text)| text).collect();
            let prefix = format!("{lane}-");
            assert!(
                stored.iter().filter(|text| text.starts_with(&prefix)).eq(sent.iter().copied()),
                "{stored:?}"
            );
            count += sent.len();
        }
        assert_eq!(stored.len(), count);
    }
    assert!(guiche.metric("guiche_passivations_total").await > 0);
    database.assert_books().await;
}
