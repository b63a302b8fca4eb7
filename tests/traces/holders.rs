//! Who held the row: what traces say, against what a real PostgreSQL says of its sessions meanwhile.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use testbed::rundir::RunDir;
use tokio::task::JoinSet;
use tokio_postgres::Statement as Prepared;
use traces::format::{Line, Locks, Xid};

use crate::harness::{Address, Connection, Database, Guiche, PATIENCE, Request};
use crate::sample::{directory, printed, text};

/// Which session waits for the end of whose database transaction. The locks are looked at all at once. (Who waits
/// behind others for a row's version is not told by their order: the next version is had by whoever comes first.)
const WAITING: &str = "
    WITH locks AS MATERIALIZED (SELECT * FROM pg_locks)
    SELECT w.pid, h.pid FROM locks w JOIN locks h USING (locktype, transactionid)
    WHERE locktype = 'transactionid' AND NOT w.granted AND h.granted AND h.mode = 'ExclusiveLock'";

/// Since when each of the service's sessions has been in its statement, in microseconds.
const SESSIONS: &str = "
    SELECT pid, (extract(epoch FROM xact_start) * 1000000)::bigint FROM pg_stat_activity
    WHERE datname = current_database() AND usename = 'guiche' AND xact_start IS NOT NULL";

/// A call: its instance, and its number there.
type Call = (String, u64);

/// Two instances that trace.
struct Pair {
    database: Database,
    directory: RunDir,
    instances: [Guiche; 2],
}

impl Pair {
    async fn start(mode: &str) -> Self {
        let (database, directory) = (Database::create().await, directory());
        // A commit takes some milliseconds, with the row locked: long enough to be looked at.
        let slow = ["commit_delay = 5000", "commit_siblings = 0"];
        for setting in slow {
            database.execute(&format!("ALTER DATABASE {} SET {setting}", database.name())).await;
        }
        let path = directory.path().join("{instance}.jsonl");
        let start = |name: &'static str| {
            let launcher = Guiche::launcher(&database).mode(mode).set("INSTANCE", name);
            launcher.set("TRACE", path.display()).start()
        };
        let instances = [start("api1").await, start("api2").await];
        Self { database, directory, instances }
    }

    /// Ends them; returns what `guiche traces --json` says, and the calls.
    async fn ended(mut self) -> (Value, Vec<(Call, Locks)>) {
        for instance in &mut self.instances {
            instance.signal(Signal::SIGTERM);
            assert!(instance.ended().await.success());
        }
        let files = ["api1", "api2"].map(|name| self.directory.path().join(format!("{name}.jsonl")));
        let said = printed(&[text(&files[0]), text(&files[1]), "--json", "--slowest", "10000"]);
        let calls = ["api1", "api2"].iter().zip(&files).flat_map(|(name, file)| calls(name, file)).collect();
        (serde_json::from_str(&said).expect("it is JSON"), calls)
    }
}

fn calls(instance: &str, file: &Path) -> Vec<(Call, Locks)> {
    let file = std::fs::read_to_string(file).expect("it was written");
    let call = |line: &str| match serde_json::from_str(line).expect("a line") {
        Line::Call(call) => Some(((instance.to_owned(), call.id), *call.locks?)),
        _ => None,
    };
    file.lines().filter_map(call).collect()
}

/// A session in a statement that it began at that time, in microseconds.
type Statement = (i64, u64);

/// Looks which statement waits for which. What has come to its end meanwhile is left out. The three looks are sent at
/// once: on a busy machine a wait would be over before the second was on its way.
async fn look(
    session: &tokio_postgres::Client,
    [sessions, waiting]: &[Prepared; 2],
) -> Vec<(Statement, Statement)> {
    let (before, rows, after) =
        tokio::join!(session.query(sessions, &[]), session.query(waiting, &[]), session.query(sessions, &[]));
    let [before, after] = [before, after].map(|rows| -> HashMap<i64, u64> {
        let rows = rows.expect("sessions are looked at");
        rows.iter().map(|row| (row.get::<_, i32>(0).into(), row.get::<_, i64>(1) as u64)).collect()
    });
    let rows = rows.expect("locks are looked at");
    let statement = |pid: i32| {
        let pid = i64::from(pid);
        before.get(&pid).filter(|began| after.get(&pid) == Some(began)).map(|began| (pid, *began))
    };
    rows.iter().filter_map(|row| Some((statement(row.get(0))?, statement(row.get(1))?))).collect()
}

/// Callers of one client, some of whose debits are refused: those hold the row, and change nothing.
fn load(addresses: [Address; 2], stop: &Arc<AtomicBool>) -> JoinSet<()> {
    let mut callers = JoinSet::new();
    for number in 0..12 {
        let (address, stop) = (addresses[number % 2].clone(), Arc::clone(stop));
        callers.spawn(async move {
            let mut connection = Connection::open(&address).await.expect("it listens");
            let (amount, kind) = if number % 4 == 3 { (1 << 40, "d") } else { (1, "c") };
            while !stop.load(Ordering::Relaxed) {
                let answer =
                    connection.ask(&Request::transaction(1, amount, kind, "x")).await.expect("an answer");
                assert!([200, 422].contains(&answer.status), "{}", answer.text());
            }
        });
    }
    callers
}

/// For each call that was carried, who is said to have held its row.
fn holders(said: &Value) -> HashMap<Call, HashSet<Call>> {
    let call = |value: &Value| Some((value["instance"].as_str()?.to_owned(), value["flush"].as_u64()?));
    let slowest = said["slowest"].as_array().expect("a list").iter();
    let holders = |slow: &Value| -> HashSet<Call> {
        slow["row"]["held_by"].as_array().into_iter().flatten().filter_map(call).collect()
    };
    slowest.filter_map(|slow| Some((call(slow)?, holders(slow)))).collect()
}

async fn agrees(mode: &str) {
    let pair = Pair::start(mode).await;
    let stop = Arc::default();
    let callers = load([0, 1].map(|number| pair.instances[number].address().clone()), &stop);
    let session = pair.database.admin().await;
    let [sessions, waiting] = [SESSIONS, WAITING].map(|sql| session.prepare(sql));
    let looks = [sessions.await, waiting.await].map(|look| look.expect("it is SQL"));
    let mut seen = HashSet::new();
    let started = Instant::now();
    // As many waits as are worth a figure, too: a connection's first call takes long, with nobody in the way.
    while seen.len() < 30 || started.elapsed() < Duration::from_millis(800) {
        seen.extend(look(&session, &looks).await);
        assert!(started.elapsed() < PATIENCE, "{mode}: sessions were seen to wait {} times", seen.len());
    }
    stop.store(true, Ordering::Relaxed);
    callers.join_all().await;
    let (said, calls) = pair.ended().await;
    let holders = holders(&said);
    // The call that its session began right behind the statement.
    let call = |(session, began): Statement| {
        let of_session = calls.iter().filter(|(_, locks)| locks.session == session && locks.at >= began);
        of_session.min_by_key(|(_, locks)| locks.at).map(|(call, _)| call)
    };
    let told = seen.iter().filter_map(|(waiter, holder)| {
        let (waiter, holder) = (call(*waiter)?, call(*holder)?);
        let told = holders.get(waiter)?.contains(holder);
        if !told {
            eprintln!("{mode}: {waiter:?} waited for {holder:?}, and {:?} are named", holders[waiter]);
        }
        Some(told)
    });
    let told: Vec<bool> = told.collect();
    let right = told.iter().filter(|right| **right).count();
    let waits = &said["waits"];
    let figure = |name: &str| waits[name].as_u64().expect("a count");
    let known = figure("for_calls") + figure("for_others") + figure("for_nobody");
    eprintln!("{mode}: of {} waits that the server showed {right} have that holder; {waits}", told.len());
    assert!(told.len() >= 20 && right * 100 >= told.len() * 95, "{mode}: {right} of {}", told.len());
    assert!(known * 100 >= figure("count") * 95 && figure("for_calls") > 0, "{waits}");
    assert_eq!(figure("for_others"), 0, "nobody else was there: {waits}");
}

#[tokio::test]
async fn direct_traces_name_whom_the_server_names() {
    agrees("direct").await;
}

#[tokio::test]
async fn serial_traces_name_whom_the_server_names() {
    agrees("serial").await;
}

#[tokio::test]
async fn batched_traces_name_whom_the_server_names() {
    agrees("batched").await;
}

#[tokio::test]
async fn somebody_else_is_named_by_their_transaction() {
    let pair = Pair::start("batched").await;
    let session = pair.database.admin().await;
    for sql in
        ["SELECT FROM clientes WHERE id = 1 FOR UPDATE", "UPDATE clientes SET saldo = saldo WHERE id = 1"]
    {
        session.batch_execute(&format!("BEGIN; {sql}")).await.expect("the row is had");
        let mut waiting = pair.instances[0].begin(&Request::transaction(1, 1, "c", "x")).await;
        pair.database.until_waiting(1).await;
        session.batch_execute("COMMIT").await.expect("it is let go");
        waiting.receive().await.expect("an answer").balance();
    }
    let (said, calls) = pair.ended().await;
    assert_eq!(said["waits"]["for_others"], 2, "{said}");
    let others: Vec<i64> = said["slowest"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|slow| slow["row"]["held_by"][0]["transaction"].as_i64())
        .collect();
    let is_no_call = |id: &i64| calls.iter().all(|(_, locks)| !locks.ids.contains(&Xid::of(*id)));
    assert!(others.len() == 2 && others.iter().all(is_no_call), "{others:?}");
    let worst = said["worst_holders"][0]["holder"].as_str().expect("a name");
    assert!(worst.starts_with("somebody else, transaction "), "{worst}");
}

/// A key that was used before has the call look again: the rows were locked by then.
#[tokio::test]
async fn calls_with_keys_know_whom_they_waited_for() {
    let pair = Pair::start("batched").await;
    let keyed =
        |key: &str| Request::transaction(1, 1, "c", "x").header("Idempotency-Key", &format!("\"{key}\""));
    pair.instances[0].ask(&keyed("used")).await.balance();
    let lock = pair.database.lock(1).await;
    let mut first = pair.instances[0].begin(&keyed("fresh")).await;
    pair.database.until_waiting(1).await;
    let mut second = pair.instances[1].begin(&keyed("used")).await;
    pair.database.until_waiting(2).await;
    lock.release().await;
    first.receive().await.expect("an answer").balance();
    second.receive().await.expect("an answer").balance();
    let (said, _) = pair.ended().await;
    let slow = said["slowest"].as_array().expect("a list");
    let last = slow.iter().find(|slow| slow["instance"] == "api2").expect("it is listed");
    let by = &last["row"]["held_by"];
    assert!(by[0]["transaction"].is_u64() && by[1]["instance"] == "api1", "{last}");
}
