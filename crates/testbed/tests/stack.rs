//! The whole topology, and what NGINX makes of an instance that dies.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use testbed::check::Books;
use testbed::cluster::connect;
use testbed::http::Endpoint;
use testbed::nginx::Balancing;
use testbed::scrape::{Counts, Work};
use testbed::split::Service;
use testbed::stack::Engine;
use testbed::{Stack, StackOptions, Transport};
use tokio::task::JoinSet;

const CREDIT: &str = r#"{"valor": 1, "tipo": "c", "descricao": "test"}"#;

/// What callers were told, by what it means to them.
#[derive(Default)]
struct Tally {
    stop: AtomicBool,
    read: AtomicU64,
    applied: AtomicU64,
    refused: Mutex<Vec<String>>,
    unknown: AtomicU64,
    wrong: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn wrong(&self, what: String) {
        *self.wrong.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    }

    /// Callers noticed nothing but POSTs whose answer was lost: each of 16 can lose one with each
    /// of the two instances.
    fn assert_smooth(self) {
        assert_eq!(self.wrong.into_inner().unwrap_or_else(PoisonError::into_inner), BTreeMap::new());
        let refused = self.refused.into_inner().unwrap_or_else(PoisonError::into_inner);
        assert!(refused.is_empty(), "{refused:?}");
        assert!(self.unknown.into_inner() <= 32);
    }

    fn answered(&self) -> u64 {
        self.read.load(Ordering::Relaxed) + self.applied.load(Ordering::Relaxed)
    }

    /// Waits until callers have had `more` good answers.
    async fn wait_for(&self, more: u64) {
        let enough = self.answered() + more;
        let wait = async {
            while self.answered() < enough {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("callers are answered");
    }

    async fn call(&self, nginx: &Endpoint, client: usize) {
        match nginx.post(&format!("/clientes/{client}/transacoes"), CREDIT).await {
            Ok(answer) if answer.status == 200 => Tally::add(&self.applied),
            Ok(answer) if answer.status == 503 && answer.body.contains("nothing was applied") => {
                self.refused.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{answer:?}"));
            }
            Ok(answer) if answer.status == 504 && answer.body.contains("outcome-unknown") => {
                Tally::add(&self.unknown)
            }
            // At layer 4 the caller is cut off together with the instance.
            Err(_) => Tally::add(&self.unknown),
            Ok(answer) => self.wrong(format!("POST: {answer:?}")),
        }
        match nginx.get(&format!("/clientes/{client}/extrato")).await {
            Ok(answer) if answer.status == 200 => Tally::add(&self.read),
            other => self.wrong(format!("GET: {other:?}")),
        }
    }
}

async fn start(balancing: Balancing, transport: Transport, instances: usize) -> Stack {
    let options =
        StackOptions { balancing, transport, instances, metrics: true, port: 0, ..StackOptions::default() };
    Stack::start(options, &|_| ()).await.expect("the stack starts")
}

/// Kills the first instance under load, brings it back, kills the second: callers notice nothing
/// but POSTs whose answer is lost.
async fn survives(balancing: Balancing, transport: Transport, instances: usize) -> Tally {
    let mut stack = start(balancing, transport, instances).await;
    let nginx = Endpoint::Tcp(stack.nginx.address);
    let tally = Arc::new(Tally::default());
    let mut callers = JoinSet::new();
    for caller in 0..16 {
        let (tally, nginx) = (Arc::clone(&tally), nginx.clone());
        callers.spawn(async move {
            while !tally.stop.load(Ordering::Relaxed) {
                tally.call(&nginx, caller % 5 + 1).await;
            }
        });
    }
    tally.wait_for(100).await;
    stack.instances[0].kill().await;
    tally.wait_for(300).await;
    stack.instances[0].start_again().await.expect("it starts again");
    tally.wait_for(100).await;
    stack.instances[1].kill().await;
    tally.wait_for(300).await;
    tally.stop.store(true, Ordering::Relaxed);
    callers.join_all().await;

    let client = connect(&stack.admin_url()).await.expect("it runs");
    let sums = "SELECT (SELECT sum(saldo) FROM clientes)::bigint, (SELECT count(*) FROM transacoes)";
    let row = client.query_one(sums, &[]).await.expect("the books");
    let (balances, rows): (i64, i64) = (row.get(0), row.get(1));
    assert_eq!(balances, rows, "each was a credit of one");
    let (applied, unknown) = (tally.applied.load(Ordering::Relaxed), tally.unknown.load(Ordering::Relaxed));
    let rows = u64::try_from(rows).expect("a count");
    assert!(
        (applied..=applied + unknown).contains(&rows),
        "{rows} rows, {applied} applied, {unknown} unknown"
    );

    let dir = stack.dir().to_owned();
    stack.stop().await.expect("it stops in good order");
    assert!(!dir.exists());
    Arc::into_inner(tally).expect("all callers have ended")
}

/// Two servers behind the one that the instances know; one of them dies and comes back.
#[tokio::test]
async fn clients_on_two_servers_are_one_bank() {
    for engine in [Engine::Plproxy, Engine::Citus] {
        one_bank_of_two(engine).await;
    }
}

async fn one_bank_of_two(engine: Engine) {
    let options = StackOptions { shards: Some(2), engine, port: 0, ..StackOptions::default() };
    let mut stack = match Stack::start(options, &|_| ()).await {
        Err(error) if error.to_string().contains(&format!("has no {engine}")) => {
            return eprintln!("{engine} is left out, because {error}");
        }
        started => started.expect("the stack starts"),
    };
    let nginx = Endpoint::Tcp(stack.nginx.address);
    let tally = Tally::default();
    for client in 1..=5 {
        tally.call(&nginx, client).await;
    }
    stack.shards.0[0].kill().await.expect("it dies");
    stack.start_again(Service::Database).await.expect("it comes back");
    for client in 1..=5 {
        tally.call(&nginx, client).await;
    }
    let books = Books::read(&stack.admin_url()).await.expect("the books of both");
    assert_eq!((books.clients, books.problems()), (5, Vec::new()));
    assert!(books.rows >= tally.applied.load(Ordering::Relaxed), "{}", books.rows);
    assert!(tally.applied.load(Ordering::Relaxed) >= 5);
    // Each session of the front finds out by a call that the server was away.
    let wrong = tally.wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(wrong.keys().all(|what| what.starts_with("GET: Ok(Answer { status: 503")), "{wrong:?}");
    stack.stop().await.expect("it stops in good order");
}

#[tokio::test]
async fn least_conn_survives_the_death_of_an_instance() {
    survives(Balancing::LeastConn, Transport::Unix, 2).await.assert_smooth();
}

#[tokio::test]
async fn affinity_survives_the_death_of_an_instance() {
    survives(Balancing::Affinity, Transport::Tcp, 2).await.assert_smooth();
}

#[tokio::test]
async fn three_instances_survive_it_too() {
    survives(Balancing::Affinity, Transport::Unix, 3).await.assert_smooth();
}

/// Each of these clients is of one instance, and all three have some.
#[tokio::test]
async fn of_three_instances_each_has_its_own_clients() {
    let stack = start(Balancing::Affinity, Transport::Unix, 3).await;
    let nginx = Endpoint::Tcp(stack.nginx.address);
    let asked = async |instance: &Endpoint| {
        let counts = Counts::read(std::slice::from_ref(instance)).await.expect("it tells its counts");
        Work::of(&counts).accepted
    };
    let mut owners = Vec::new();
    for client in [1, 2, 3, 4, 5, 1, 2, 3, 4, 5] {
        let before =
            [asked(&stack.metrics[0]).await, asked(&stack.metrics[1]).await, asked(&stack.metrics[2]).await];
        let answer = nginx.post(&format!("/clientes/{client}/transacoes"), CREDIT).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let mut found = None;
        for (index, metrics) in stack.metrics.iter().enumerate() {
            if asked(metrics).await > before[index] {
                assert_eq!(found.replace(index), None, "one instance applied it");
            }
        }
        owners.push(found.expect("one instance applied it"));
    }
    assert_eq!(owners[..5], owners[5..]);
    assert!((0..3).all(|index| owners.contains(&index)), "{owners:?}");
    stack.stop().await.expect("it stops in good order");
}

#[tokio::test]
async fn layer4_goes_on_with_the_other_instance() {
    survives(Balancing::Layer4, Transport::Unix, 2).await;
}

#[tokio::test]
async fn without_any_instance_nothing_is_applied_and_callers_may_try_again() {
    let stack = start(Balancing::RoundRobin, Transport::Unix, 2).await;
    let nginx = Endpoint::Tcp(stack.nginx.address);
    stack.instances[0].kill().await;
    stack.instances[1].kill().await;
    for _ in 0..3 {
        let answer = nginx.post("/clientes/1/transacoes", CREDIT).await.expect("NGINX answers");
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.body.contains("/problems/unavailable"), "{}", answer.body);
    }
    let answer = nginx.post("/clientes/1/transacoes", &" ".repeat(9000)).await.expect("NGINX answers");
    assert_eq!(answer.status, 413, "{}", answer.body);

    for usage in stack.usage() {
        assert_eq!(usage.used.anonymous_bytes == 0, usage.service.name().starts_with("webapi"), "{usage:?}");
    }
}
