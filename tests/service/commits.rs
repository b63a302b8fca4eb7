//! An answer is only sent after the database transaction that contains it has committed.
//!
//! A deferred constraint trigger runs at the very end, when the function has long returned its
//! rows: whoever answered on those rows would answer too early.

use crate::harness::{Database, Guiche, MODES, Request};

/// Has each commit that adds a transaction do this first.
async fn at_commit(database: &Database, action: &str) {
    database
        .execute(&format!(
            "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
             BEGIN {action}; RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON transacoes
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit()"
        ))
        .await;
}

#[tokio::test]
async fn a_commit_that_fails_is_no_200() {
    for mode in MODES {
        let database = Database::create().await;
        at_commit(&database, "IF NEW.descricao = 'fails' THEN RAISE check_violation; END IF").await;
        let guiche = Guiche::launcher(&database).mode(mode).start().await;
        guiche.credit(1, 1, "fails").await.assert_refused("unavailable");
        assert_eq!(guiche.credit(1, 1, "fits").await.balance(), 1, "{mode}");
        assert_eq!(database.descriptions(1).await, ["fits"], "{mode}");
    }
}

/// All that is in one call commits together, or not at all; each caller is told the same.
#[tokio::test]
async fn a_batch_whose_commit_fails_is_refused_whole() {
    let database = Database::create().await;
    at_commit(&database, "IF NEW.descricao = 'fails' THEN RAISE check_violation; END IF").await;
    let guiche = Guiche::launcher(&database).set("OVERLAP_BELOW", 0).start().await;
    let send = |(client, description)| Request::transaction(client, 1, "c", description);
    let mut queue = guiche.hold(&database, 1, &send((1, "first"))).await;
    queue.push_all([(1, "beside"), (2, "beside"), (3, "fails"), (2, "beside")].map(send)).await;
    let answers = queue.release().await;
    assert_eq!(answers[0].balance(), 1);
    answers[1..].iter().for_each(|answer| answer.assert_refused("unavailable"));
    assert_eq!(database.rows().await.len(), 1);
    database.assert_books().await;
}

#[tokio::test]
async fn nobody_is_answered_before_the_commit_is_done() {
    for mode in MODES {
        let database = Database::create().await;
        at_commit(&database, "PERFORM pg_advisory_xact_lock(7)").await;
        let (guiche, other) =
            tokio::join!(Guiche::launcher(&database).mode(mode).start(), Guiche::on(&database));
        let gate = database.admin().await;
        gate.batch_execute("SELECT pg_advisory_lock(7)").await.expect("the gate is shut");
        let mut caller = guiche.begin(&Request::transaction(1, 1, "c", "x")).await;
        let answer = tokio::spawn(async move { caller.receive().await });
        database.until_waiting(1).await;
        // As long as it may be undone, nobody sees it and nobody is told.
        assert_eq!(other.statement(1).await.json()["saldo"]["total"], 0, "{mode}");
        assert!(!answer.is_finished(), "{mode}");
        gate.batch_execute("SELECT pg_advisory_unlock(7)").await.expect("the gate is open");
        assert_eq!(answer.await.expect("no panic").expect("an answer").balance(), 1, "{mode}");
        assert_eq!(other.statement(1).await.json()["saldo"]["total"], 1, "{mode}");
    }
}
