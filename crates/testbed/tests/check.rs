//! The books of a real database, right and wrong.

use testbed::bank;
use testbed::check::Books;
use testbed::cluster::connect;
use testbed::{Cluster, ClusterOptions};

#[tokio::test]
async fn a_balance_that_is_not_the_sum_of_its_rows_is_found() {
    let cluster = Cluster::start(&ClusterOptions::default()).await.expect("PostgreSQL starts");
    cluster.create_database("books").await.expect("a database");
    let url = cluster.admin_url("books");
    assert_eq!(books(&url).await, Books { rows: 0, clients: 5, faults: vec![] });

    let database = connect(&url).await.expect("the superuser may connect");
    let transactions = "SELECT InsertTransacao(1, 500, 'c', 'a'), InsertTransacao(1, 700, 'd', 'b')";
    database.batch_execute(transactions).await.expect("two transactions");
    assert_eq!(books(&url).await, Books { rows: 2, clients: 5, faults: vec![] });

    let tamper = "UPDATE clientes SET saldo = 7 WHERE id = 1; UPDATE clientes SET saldo = -8 WHERE id = 4";
    database.batch_execute(tamper).await.expect("the superuser may do so");
    let problems = books(&url).await.problems();
    assert_eq!(
        problems,
        [
            "client 1: the balance is 7, the sum of its rows -200",
            "client 4: the balance is -8, the sum of its rows 0"
        ]
    );

    let below = "ALTER TABLE clientes DROP CONSTRAINT saldo_dentro_do_limite;
                 UPDATE clientes SET limite = 199, saldo = -200 WHERE id = 1; UPDATE clientes SET saldo = 0 WHERE id = 4";
    database.batch_execute(below).await.expect("the superuser may do so");
    assert_eq!(books(&url).await.problems(), ["client 1: the balance -200 is below -limit (199)"]);
}

#[tokio::test]
async fn a_bank_that_is_made_larger_has_right_books() {
    let cluster = Cluster::start(&ClusterOptions::default()).await.expect("PostgreSQL starts");
    cluster.create_database("large").await.expect("a database");
    let url = cluster.admin_url("large");
    let database = connect(&url).await.expect("the superuser may connect");
    for clients in [5, 20, 10_000, 20] {
        bank::seed(&database, clients, bank::LIMIT).await.expect("clients are made");
    }
    let rows = bank::lay_down(&database, 1_000, 3_000).await.expect("a history is laid down");
    assert_eq!((rows, books(&url).await), (4_000, Books { rows: 4_000, clients: 10_000, faults: vec![] }));
    assert_eq!(bank::lay_down(&database, 1_000, 0).await.expect("nothing to do"), 0);
}

async fn books(url: &str) -> Books {
    Books::read(url).await.expect("the books can be read")
}
