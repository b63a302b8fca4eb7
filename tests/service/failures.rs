//! What each failure of the database says of the transaction in it, found out on a real one: this is the
//! evidence for `docs/failures.md`, and holds the service to it.

use testbed::Profile;

use crate::harness::{Database, Guiche, Request, own_cluster};

/// Has a transaction called `fails` meet `action`, before its commit.
async fn before_commit(database: &Database, action: &str) {
    database
        .execute(&format!(
            "CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN IF NEW.descricao = 'fails' THEN {action}; END IF; RETURN NEW; END $$;
             CREATE TRIGGER fails BEFORE INSERT ON transacoes FOR EACH ROW EXECUTE FUNCTION fails()"
        ))
        .await;
}

#[tokio::test]
async fn an_error_is_rolled_back_and_only_some_are_told_so() {
    for (code, told) in [
        ("22003", 503), // numeric_value_out_of_range
        ("23514", 503), // check_violation
        ("25006", 503), // read_only_sql_transaction
        ("40001", 503), // serialization_failure
        ("40P01", 503), // deadlock_detected
        ("42501", 503), // insufficient_privilege
        ("55P03", 503), // lock_not_available
        ("08006", 504), // connection_failure, as a front tells of a server behind it
        ("25P04", 504), // transaction_timeout
        ("40003", 504), // statement_completion_unknown
        ("53100", 504), // disk_full
        ("53200", 504), // out_of_memory
        ("57014", 504), // query_canceled
        ("57P01", 504), // admin_shutdown, as a front tells of a server behind it
        ("58030", 504), // io_error
        ("P0001", 504), // raise_exception
        ("XX000", 504), // internal_error
    ] {
        let database = Database::create().await;
        before_commit(&database, &format!("RAISE SQLSTATE '{code}'")).await;
        let guiche = Guiche::on(&database).await;
        let response = guiche.credit(1, 1, "fails").await;
        match told {
            503 => response.assert_refused("unavailable"),
            _ => response.assert_unknown(),
        }
        assert_eq!(guiche.credit(1, 1, "fits").await.balance(), 1, "{code}");
        assert_eq!(database.descriptions(1).await, ["fits"], "{code}: PostgreSQL itself undid it");
    }
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_not_known_to_be_undone() {
    let database = Database::create().await;
    before_commit(&database, "PERFORM pg_sleep(60)").await;
    let guiche = Guiche::launcher(&database).deadlines(1_000, 5_000, 10_000).start().await;
    guiche.credit(1, 1, "fails").await.assert_unknown();
    assert_eq!(guiche.book(1, 1, "fits").await, 1);
    assert_eq!(database.descriptions(1).await, ["fits"], "PostgreSQL itself undid it");
}

#[tokio::test]
async fn a_read_only_database_refuses() {
    let database = Database::create().await;
    let name = database.name();
    database.execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    let guiche = Guiche::on(&database).await;
    guiche.credit(1, 1, "fails").await.assert_refused("unavailable");
    assert_eq!(database.rows().await.len(), 0);
}

/// A backend that is told to end while it waits for the row: FATAL, 57P01, and nothing was applied.
#[tokio::test]
async fn a_backend_that_ends_before_the_commit_leaves_the_outcome_unknown() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    let mut queue = guiche.hold(&database, 1, &Request::transaction(1, 1, "c", "fails")).await;
    end_sessions(&database, "terminate").await;
    queue.first_answer().await.assert_unknown();
    drop(queue);
    assert_eq!(guiche.credit(1, 1, "fits").await.balance(), 1);
}

/// The same FATAL, 57P01, while the commit waits for a standby that does not answer: here it *was* applied. A
/// cancelled wait is a success with a warning.
#[tokio::test]
async fn a_backend_that_ends_after_the_commit_leaves_the_outcome_unknown() {
    let cluster = own_cluster(Profile::Durable, &[]).await;
    let database = Database::create_in(&cluster).await;
    let guiche = Guiche::on(&database).await;
    assert_eq!(guiche.credit(1, 1, "before").await.balance(), 1);
    database.have_commits_wait().await;
    for (how, description) in [("terminate", "ended"), ("cancel", "cancelled")] {
        let mut caller = guiche.begin(&Request::transaction(1, 1, "c", description)).await;
        database.until_a_commit_waits().await;
        end_sessions(&database, how).await;
        let response = caller.receive().await.expect("an answer");
        match how {
            "cancel" => assert_eq!(response.balance(), 3),
            _ => response.assert_unknown(),
        }
    }
    assert_eq!(database.descriptions(1).await, ["before", "ended", "cancelled"]);
}

/// Terminates or cancels what waits on behalf of the service.
pub(crate) async fn end_sessions(database: &Database, how: &str) {
    let name = database.name();
    let sql = format!(
        "SELECT pg_{how}_backend(pid) FROM pg_stat_activity
         WHERE datname = '{name}' AND usename = 'guiche' AND wait_event_type IN ('Lock', 'IPC')"
    );
    database.execute(&sql).await;
}
