//! A caller who has gone is skipped before the flush; what was sent runs to its end without them.

use crate::harness::{Address, Database, Guiche, MODES, Request, until};

#[tokio::test]
async fn who_leaves_the_queue_is_never_applied() {
    for mode in ["serial", "batched"] {
        let database = Database::create().await;
        let guiche = Guiche::launcher(&database).mode(mode).start().await;
        let send = |description: &str| Request::transaction(1, 1, "c", description);
        let mut queue = guiche.hold(&database, 1, &send("first")).await;
        queue.push_all(["gone", "stays", "gone"].map(send)).await;
        queue.leave(&[3, 1]);
        until_only(2, &guiche).await;
        assert_eq!(queue.balances().await, [1, 2], "{mode}");
        assert_eq!(guiche.credit(1, 1, "last").await.balance(), 3, "{mode}");
        assert_eq!(database.descriptions(1).await, ["first", "stays", "last"], "{mode}");
        assert_eq!(guiche.metric("guiche_abandoned_total").await, 2, "{mode}");
    }
}

#[tokio::test]
async fn who_leaves_while_waiting_for_a_connection_is_never_applied() {
    let database = Database::create().await;
    let launcher = Guiche::launcher(&database).mode("direct").set("POOL_SIZE", 2);
    let guiche = launcher.start().await;
    let send = |description: &str| Request::transaction(1, 1, "c", description);
    let mut holders = guiche.hold(&database, 1, &send("holds")).await;
    holders.push(&send("holds")).await;
    // Accepted and handled in turn, so the third request is known to wait once this is answered.
    let gone = guiche.begin(&send("gone")).await;
    guiche.get("/healthz").await;
    drop(gone);
    until_only(2, &guiche).await;
    assert_eq!(holders.sorted_balances().await, [1, 2]);
    until("it is skipped", async || guiche.metric("guiche_abandoned_total").await == 1).await;
    assert_eq!(database.descriptions(1).await, ["holds", "holds"]);
}

#[tokio::test]
async fn a_run_of_which_all_callers_left_costs_no_call() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    let mut queue = guiche.hold(&database, 1, &Request::transaction(1, 1, "c", "first")).await;
    queue.push_all([Request::transaction(1, 1, "c", "gone"), Request::statement(1)]).await;
    queue.leave(&[2, 1]);
    until_only(1, &guiche).await;
    assert_eq!(queue.balances().await, [1]);
    until("the queue is empty", async || guiche.depth().await == 0).await;
    guiche.credit(1, 1, "last").await.balance();
    let metrics = guiche.metrics().await;
    assert_eq!(metrics.get("guiche_flushes_total"), 2, "first and last");
    assert_eq!(metrics.get("guiche_statement_queries_total"), 0);
}

#[tokio::test]
async fn who_leaves_after_it_was_sent_is_applied_and_counted() {
    for mode in MODES {
        let database = Database::create().await;
        let guiche = Guiche::launcher(&database).mode(mode).start().await;
        let mut queue = guiche.hold(&database, 1, &Request::transaction(1, 1, "c", "sent")).await;
        queue.leave(&[0]);
        until_only(0, &guiche).await;
        assert!(queue.balances().await.is_empty(), "{mode}");
        until("its call is over", async || guiche.metric("guiche_pool_connections_in_use").await == 0).await;
        assert_eq!(database.balance(1).await, 1, "{mode}");
        let metrics = guiche.metrics().await;
        assert_eq!(metrics.with("guiche_transactions_total", "applied"), 1, "{mode}");
        assert_eq!(metrics.get("guiche_abandoned_total"), 0, "{mode}");
    }
}

/// Waits until the instance has only `left` connections open: it has seen the others go.
async fn until_only(left: usize, guiche: &Guiche) {
    let Address::Tcp(address) = guiche.address() else { panic!("it listens on TCP") };
    until("it has closed what its callers left", async || open_sockets(address.port()) == left).await;
}

/// The sockets of a local port that this side has not closed, see proc(5) on /proc/net/tcp.
fn open_sockets(port: u16) -> usize {
    const ESTABLISHED: &str = "01";
    const CLOSE_WAIT: &str = "08";
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table of sockets");
    let local = format!(":{port:04X}");
    let open = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[1].ends_with(&local) && [ESTABLISHED, CLOSE_WAIT].contains(&fields[3])
    };
    table.lines().skip(1).filter(open).count()
}
