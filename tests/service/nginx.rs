//! NGINX in front of two instances, by each of the files in `nginx/`: when an instance dies, what
//! was only asked for is asked of the other, and what was sent to be applied is not sent again.

use std::pin::pin;

use futures_util::future::{Either, select};
use nix::sys::signal::Signal;
use settings::Config;
use testbed::Flow;
use testbed::nginx::Balancing;
use tokio::sync::oneshot;

use crate::harness::{
    Address, BY_REQUEST, Connection, Database, Fate, Front, Guiche, Load, Request, at_a_socket, reckon,
    two_instances, until,
};

/// Callers write and read while an instance is killed, and started again where it was.
#[tokio::test]
async fn an_instance_dies_under_load() {
    for balancing in BY_REQUEST {
        let database = Database::create().await;
        let mut front = Front::on(balancing, &database).await;
        let address = front.address.clone();
        let load = Load::start("n", &[&address], 12);
        let (stop, told) = oneshot::channel();
        let reading = tokio::spawn(read_until(told, address.clone()));
        load.until_applied(100).await;
        let place = front.instances[0].address().clone();
        front.instances[0].kill().await;
        load.until_applied(100).await;
        front.instances[0] = Guiche::launcher(&database).set("LISTEN", place).start().await;
        until("it is asked again", async || front.requests().await[0] > 0).await;
        let attempts = load.stop().await;
        stop.send(()).expect("the reader reads");
        let statuses = reading.await.expect("the reader ends");
        assert!(statuses.iter().all(|status| *status == 200), "{balancing}: {statuses:?}");
        assert!(!attempts.iter().any(|attempt| matches!(attempt.fate, Fate::Wrong(_))), "{balancing}");
        reckon(&database, &attempts).await;
    }
}

/// Asks for statements until it is told to stop, and returns the answers' statuses.
async fn read_until(mut told: oneshot::Receiver<()>, address: Address) -> Vec<u16> {
    let mut connection = Connection::open(&address).await.expect("NGINX takes connections");
    let mut statuses = Vec::new();
    for client in (1..=5).cycle() {
        let answer = connection.ask(&Request::statement(client)).await;
        statuses.push(answer.expect("NGINX keeps its connections").status);
        if told.try_recv().is_ok() {
            break;
        }
    }
    statuses
}

#[tokio::test]
async fn a_transaction_that_was_sent_is_not_sent_again() {
    for balancing in BY_REQUEST {
        let database = Database::create().await;
        let mut front = Front::on(balancing, &database).await;
        let lock = database.lock(1).await;
        let mut caller = front.begin(&Request::transaction(1, 1, "c", "once")).await;
        database.until_waiting(1).await;
        front.kill_the_busy_one().await;
        caller.receive().await.expect("an answer").assert_unknown();
        // The server applies it even though nobody waits any more.
        lock.release().await;
        until("it is applied", async || database.balance(1).await > 0).await;
        assert_eq!(database.descriptions(1).await, ["once"], "{balancing}");
        let mut next = front.begin(&Request::transaction(1, 1, "c", "next")).await;
        assert_eq!(next.receive().await.expect("an answer").balance(), 2, "{balancing}: by the other one");
    }
}

/// NGINX learns from a kept connection, too late, that its instance has gone.
/// But one whose body was still to come when that was found out: its caller is told that nothing was applied.
#[tokio::test]
async fn a_transaction_that_reached_nobody_goes_to_the_other_instance() {
    for (balancing, with_body) in BY_REQUEST.into_iter().flat_map(|one| [(one, true), (one, false)]) {
        let database = Database::create().await;
        let mut front = Front::on(balancing, &database).await;
        let credits = [1, 2].map(|client| Request::transaction(client, 1, "c", "x"));
        let mut callers = Vec::new();
        for credit in &credits {
            callers.push(front.begin(credit).await);
        }
        for caller in &mut callers {
            caller.receive().await.expect("an answer").balance();
        }
        until("NGINX keeps a connection to each", async || {
            for (caller, credit) in callers.iter_mut().zip(&credits) {
                caller.ask(credit).await.expect("an answer").balance();
            }
            front.requests().await.iter().all(|count| *count > 0)
        })
        .await;
        let before = database.balance(1).await + database.balance(2).await;

        // The requests come before the news.
        front.signal_worker(Signal::SIGSTOP);
        let sent = credits.each_ref().map(|credit| {
            let bytes = credit.bytes();
            let cut = if with_body { bytes.len() } else { credit.head_len() };
            (bytes, cut)
        });
        for (caller, (bytes, cut)) in callers.iter_mut().zip(&sent) {
            caller.send_bytes(&bytes[..*cut]).await.expect("the kernel takes it");
        }
        front.instances[0].kill().await;
        front.signal_worker(Signal::SIGCONT);
        let mut answers = Vec::new();
        if !with_body {
            // One waits for its body; the other is told before it has sent it.
            let [one, two] = &mut callers[..] else { panic!("two callers") };
            let (told, refused) = match select(pin!(one.receive()), pin!(two.receive())).await {
                Either::Left((told, _)) => (told, 0),
                Either::Right((told, _)) => (told, 1),
            };
            answers.push(told.expect("an answer"));
            drop(callers.remove(refused));
            let (bytes, cut) = &sent[1 - refused];
            callers[0].send_bytes(&bytes[*cut..]).await.expect("it is waited for");
        }
        for caller in &mut callers {
            answers.push(caller.receive().await.expect("an answer"));
        }
        let refused = answers.iter().filter(|answer| answer.status != 200);
        let applied = answers.len() - refused.inspect(|answer| answer.assert_refused("unavailable")).count();
        assert_eq!(applied, if with_body { 2 } else { 1 }, "{balancing}");
        let after = database.balance(1).await + database.balance(2).await;
        assert_eq!(after, before + applied as i64, "{balancing}: each was applied once");
    }
}

#[tokio::test]
async fn a_statement_whose_instance_died_is_asked_of_the_other() {
    for balancing in BY_REQUEST {
        let database = Database::create().await;
        let proxy = database.proxy();
        let instances = tokio::join!(
            at_a_socket(Guiche::behind(&proxy, &database)).start(),
            at_a_socket(Guiche::behind(&proxy, &database)).start()
        );
        let mut front = Front::start(balancing, instances.into()).await;
        for instance in &front.instances {
            assert_eq!(instance.statement(1).await.status, 200, "each has its connection");
        }
        proxy.answers(Flow::Stalled);
        let held = proxy.stalled_answers();
        let mut caller = front.begin(&Request::statement(1)).await;
        until("the query is answered", async || proxy.stalled_answers() > held).await;
        front.kill_the_busy_one().await;
        proxy.answers(Flow::Free);
        let response = caller.receive().await.expect("an answer");
        assert_eq!((response.status, &response.json()["saldo"]["total"]), (200, &0.into()), "{balancing}");
    }
}

#[tokio::test]
async fn without_any_instance_callers_are_refused() {
    for balancing in BY_REQUEST {
        let mut front = Front::on(balancing, &Database::create().await).await;
        for instance in &mut front.instances {
            instance.kill().await;
        }
        for request in [Request::transaction(1, 1, "c", "x"), Request::statement(1)] {
            let mut caller = front.begin(&request).await;
            caller.receive().await.expect("an answer").assert_refused("unavailable");
        }
    }
}

/// The bounds on an instance's requests, those of its backups left out, become 1.
fn narrow(file: String) -> String {
    let narrowed = file.replace("max_conns=100;", "max_conns=1;").replace("max_conns=90;", "max_conns=1;");
    assert_ne!(file, narrowed, "the file has no bound");
    narrowed.replace(" backup;", " backup down;")
}

#[tokio::test]
async fn more_requests_than_nginx_has_room_for_are_refused() {
    for balancing in BY_REQUEST {
        let database = Database::create().await;
        let front = Front::start_edited(balancing, two_instances(&database).await, narrow).await;
        let locks = (database.lock(1).await, database.lock(2).await);
        let held = [1, 2].map(|client| Request::transaction(client, 1, "c", "held"));
        let mut callers = [front.begin(&held[0]).await, front.begin(&held[1]).await];
        let ask = async || front.begin(&Request::statement(4)).await.receive().await.expect("an answer");
        let mut refused = ask().await;
        until("there is no room", async || {
            refused = ask().await;
            refused.status != 200
        })
        .await;
        refused.assert_refused("unavailable");
        locks.0.release().await;
        locks.1.release().await;
        for caller in &mut callers {
            caller.receive().await.expect("an answer").balance();
        }
        until("there is room again", async || ask().await.status == 200).await;
        assert_eq!(database.balance(1).await + database.balance(2).await, 2, "{balancing}");
    }
}

/// What a worker counted is gone with it: nobody is refused for the requests of the dead.
#[tokio::test]
async fn the_worker_dies_under_load() {
    for balancing in BY_REQUEST.into_iter().chain([Balancing::Layer4]) {
        let database = Database::create().await;
        let front = Front::on(balancing, &database).await;
        let load = Load::start("n", &[&front.address], 12);
        for _ in 0..3 {
            load.until_applied(50).await;
            let worker = front.worker();
            front.signal_worker(Signal::SIGKILL);
            until("there is another worker", async || front.find_worker().is_some_and(|pid| pid != worker))
                .await;
        }
        load.until_applied(50).await;
        let attempts = load.stop().await;
        reckon(&database, &attempts).await;
        let mut caller = front.begin(&Request::transaction(1, 1, "c", "later")).await;
        caller.receive().await.expect("an answer").balance();
    }
}

#[tokio::test]
async fn affinity_gives_each_client_one_instance_while_both_live() {
    let database = Database::create().await;
    let mut front = Front::on(Balancing::Affinity, &database).await;
    let credit = |client: i64| Request::transaction(client, 1, "c", "x");
    for client in [1, 3, 5, 1, 2, 4] {
        front.begin(&credit(client)).await.receive().await.expect("an answer").balance();
    }
    for nobody in [6, 11, 102] {
        let response = front.begin(&credit(nobody)).await.receive().await.expect("an answer");
        assert_eq!(response.status, 404);
    }
    assert_eq!(front.requests().await, [4 + 1, 2 + 2], "odd ids, even ids");
    front.instances[0].kill().await;
    for client in 1..=5 {
        front.begin(&credit(client)).await.receive().await.expect("an answer").balance();
    }
}

#[tokio::test]
async fn the_others_use_both_instances() {
    for balancing in [Balancing::LeastConn, Balancing::RoundRobin, Balancing::Layer4] {
        let database = Database::create().await;
        let front = Front::on(balancing, &database).await;
        let load = Load::start("n", &[&front.address], 8);
        until("both are asked", async || front.requests().await.iter().all(|count| *count > 20)).await;
        let attempts = load.stop().await;
        assert!(attempts.iter().all(|attempt| attempt.fate == Fate::Applied), "{balancing}");
        reckon(&database, &attempts).await;
    }
}

/// At layer 4 a caller's connection dies with its instance; the next one leads to the other.
#[tokio::test]
async fn at_layer_4_an_instance_dies_under_load() {
    let database = Database::create().await;
    let mut front = Front::on(Balancing::Layer4, &database).await;
    let load = Load::start("n", &[&front.address], 12);
    load.until_applied(100).await;
    front.instances[0].kill().await;
    load.until_applied(100).await;
    let attempts = load.stop().await;
    reckon(&database, &attempts).await;
}

/// Deadlines nest up to NGINX's own, and it is NGINX that closes idle connections first.
#[test]
fn nginx_waits_longer_than_an_instance_may_take() {
    let vars = [("DATABASE_URL".to_owned(), "postgresql://localhost/rinha".to_owned())];
    let config = Config::from_vars(&vars.into()).expect("the defaults");
    for balancing in BY_REQUEST {
        let file = testbed::repository_root().join(format!("nginx/{balancing}.conf"));
        let text = std::fs::read_to_string(&file).expect("it is in the repository");
        let seconds = |directive: &str| {
            let value = text.split(directive).nth(1).and_then(|rest| rest.trim().split(';').next());
            let seconds = value.and_then(|value| value.strip_suffix('s')?.parse::<u64>().ok());
            seconds.unwrap_or_else(|| panic!("{directive} in seconds in {}", file.display()))
        };
        assert!(seconds("proxy_read_timeout ") > config.deadlines.answer.as_secs(), "{balancing}");
        assert!(!text.contains("non_idempotent;"), "{balancing}: a POST that was sent is not sent again");
    }
}
