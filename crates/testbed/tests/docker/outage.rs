//! Each container is killed under load, comes back by itself, and nothing is lost.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::Service;
use testbed::check::Books;
use testbed::cluster::connect;
use testbed::docker::DockerStack;
use testbed::docker::compose::docker;

use crate::load::{Fate, Load};

/// Transactions that must get through before a kill, and again after it.
const FLOW: u64 = 200;
const FLOW_DEADLINE: Duration = Duration::from_secs(60);

/// A container is back, and healthy, within this.
const RECOVERY_DEADLINE: Duration = Duration::from_secs(60);

/// The profile is `durable`: what was answered 200 is there, whoever dies.
#[tokio::test]
#[ignore = "needs Docker: make containers"]
async fn a_kill_of_each_container_loses_nothing() {
    let Some(_alone) = crate::docker().await else { return };
    let stack = crate::start(crate::options()).await;
    let load = Load::start(stack.options.stack.port);
    println!("  killed          no 200 for   healthy after   refused   unknown");
    for service in [Service::Api(0), Service::Api(1), Service::Nginx, Service::Database] {
        load.flows(FLOW, FLOW_DEADLINE).await;
        let (before, _) = (load.counts(), load.longest_gap());
        let begin = Instant::now();
        crash(&stack, service).await;
        load.flows(FLOW, FLOW_DEADLINE).await;
        healthy(&stack, service).await;
        let recovered = begin.elapsed();
        load.flows(FLOW, FLOW_DEADLINE).await;
        let after = load.counts();
        let more = |fate| after.get(&fate).unwrap_or(&0) - before.get(&fate).unwrap_or(&0);
        println!(
            "  {:<14}  {:8.2} s  {:12.1} s  {:8}  {:8}",
            service.name(),
            load.longest_gap().as_secs_f64(),
            recovered.as_secs_f64(),
            more(Fate::NotApplied),
            more(Fate::Unknown)
        );
    }
    let fates = load.stop().await;
    let url = stack.admin_url().await.expect("the database runs");
    verify(&url, &fates).await;
    stack.stop().await.expect("it is removed");
}

/// Ends a container's first process as a crash would. `docker kill` would count as a wish of the
/// user's, after which Docker does not start it again: only where this process may not signal it
/// is that done, with a start by hand.
async fn crash(stack: &DockerStack, service: Service) {
    let state = stack.state(service).await.expect("the engine answers");
    assert!(state.running && state.pid > 1, "{service:?} runs: {state:?}");
    if kill(Pid::from_raw(state.pid), Signal::SIGKILL).is_ok() {
        return;
    }
    println!("  (no permission to signal {}: docker kill, then docker start)", service.name());
    for verb in ["kill", "start"] {
        docker(&[verb, stack.container(service)]).await.expect("Docker does it");
    }
}

/// Waits until the container runs again and its health check says so.
async fn healthy(stack: &DockerStack, service: Service) {
    let begin = Instant::now();
    loop {
        let state = stack.state(service).await.expect("the engine answers");
        if state.running && state.health.as_deref() == Some("healthy") {
            return;
        }
        assert!(begin.elapsed() < RECOVERY_DEADLINE, "{service:?} did not recover: {state:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every transaction is where its caller was told that it is, once, and the books are right.
async fn verify(url: &str, fates: &HashMap<String, Fate>) {
    let database = connect(url).await.expect("the database answers");
    let rows = database
        .query("SELECT descricao, count(*) FROM transacoes GROUP BY 1", &[])
        .await
        .expect("it is read");
    let stored: HashMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut counts: HashMap<(Fate, i64), u64> = HashMap::new();
    for (description, fate) in fates {
        let times = stored.get(description).copied().unwrap_or_default();
        *counts.entry((*fate, times)).or_default() += 1;
    }
    let strangers = stored.keys().filter(|description| !fates.contains_key(*description)).count();
    println!("  (what the caller knows, times that it is stored) → transactions: {counts:?}");
    for (fate, times) in counts.keys() {
        let right = match fate {
            Fate::Acknowledged => *times == 1,
            Fate::NotApplied => *times == 0,
            Fate::Unknown => *times <= 1,
        };
        assert!(right, "{fate:?} and stored {times} times");
    }
    assert_eq!(strangers, 0, "rows that nobody sent");
    let books = Books::read(url).await.expect("the books can be read");
    assert_eq!((books.clients, books.problems()), (5, Vec::new()));
    println!("  {} rows; each client's balance is the sum of its own", books.rows);
}
