//! The mailboxes against a ledger that is held, failed and watched by the test.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tracing::Span;

use super::*;
use crate::domain::{Amount, Description, Kind};

/// What the test and its ledgers, on whichever threads, share.
#[derive(Clone)]
struct World {
    /// A call goes on once it has a permit, and uses it up.
    gate: Arc<Semaphore>,
    state: Arc<Mutex<WorldState>>,
}

#[derive(Default)]
struct WorldState {
    /// Every batch that was sent, as (client, amounts).
    batches: Vec<Vec<(i32, Vec<i64>)>>,
    statements_read: Vec<i32>,
    balances: HashMap<i32, i64>,
    in_flight: HashSet<i32>,
    next_failure: Option<LedgerError>,
    refuse_connections: bool,
    panic_next: bool,
}

impl World {
    /// A ledger that waits for the test's permission, call by call.
    fn held() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), state: Arc::default() }
    }

    /// A ledger that answers as soon as it can.
    fn open() -> Self {
        Self { gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)), state: Arc::default() }
    }

    fn let_calls_through(&self, calls: usize) {
        self.gate.add_permits(calls);
    }

    fn batches(&self) -> Vec<Vec<(i32, Vec<i64>)>> {
        self.with(|state| state.batches.clone())
    }

    fn with<T>(&self, look: impl FnOnce(&mut WorldState) -> T) -> T {
        look(&mut self.state.lock().expect("no test panics while it looks"))
    }
}

struct FakeLedger(World);

impl Ledger for FakeLedger {
    fn connect(&self) -> LocalFuture<'_, Result<Box<dyn LedgerConnection>, LedgerError>> {
        Box::pin(async {
            if self.0.with(|state| state.refuse_connections) {
                return Err(LedgerError::NotSent("refused by the test".into()));
            }
            let connection =
                FakeConnection { world: self.0.clone(), pipeline: tokio::sync::Mutex::default() };
            Ok(Box::new(connection) as Box<dyn LedgerConnection>)
        })
    }
}

/// As on a real one, calls are answered in the order in which they were sent.
struct FakeConnection {
    world: World,
    pipeline: tokio::sync::Mutex<()>,
}

impl LedgerConnection for FakeConnection {
    fn apply<'a>(&'a self, runs: &'a [Run]) -> LocalFuture<'a, Result<Applied, LedgerError>> {
        Box::pin(async move {
            let _turn = self.pipeline.lock().await;
            self.world.with(|state| {
                let amounts = |run: &Run| run.transactions.iter().map(|t| t.amount.cents()).collect();
                state.batches.push(runs.iter().map(|run| (run.client.get(), amounts(run))).collect());
                for run in runs {
                    let alone = state.in_flight.insert(run.client.get());
                    assert!(alone, "two runs of client {} are in flight at once", run.client);
                }
            });
            self.world.gate.acquire().await.expect("the gate is never closed").forget();
            tokio::task::yield_now().await;
            self.world.with(|state| {
                for run in runs {
                    state.in_flight.remove(&run.client.get());
                }
                assert!(!std::mem::take(&mut state.panic_next), "the ledger panics, as the test wants");
                match state.next_failure.take() {
                    Some(failure) => Err(failure),
                    None => Ok(apply_all(state, runs)),
                }
            })
        })
    }

    fn statement(&self, client: ClientId) -> LocalFuture<'_, Result<Option<BankStatement>, LedgerError>> {
        Box::pin(async move {
            let _turn = self.pipeline.lock().await;
            self.world.gate.acquire().await.expect("the gate is never closed").forget();
            self.world.with(|state| {
                state.statements_read.push(client.get());
                let statement = |balance| BankStatement {
                    balance,
                    credit_limit: 0,
                    issued_at: time::OffsetDateTime::UNIX_EPOCH,
                    latest: Vec::new(),
                };
                let exists = client.get() < UNKNOWN;
                Ok(exists.then(|| statement(state.balances.get(&client.get()).copied().unwrap_or(0))))
            })
        })
    }
}

/// Clients from here on do not exist.
const UNKNOWN: i32 = 1_000_000;

fn apply_all(state: &mut WorldState, runs: &[Run]) -> Applied {
    let mut applied = Applied::default();
    for run in runs {
        for transaction in &run.transactions {
            applied.outcomes.push(if run.client.get() >= UNKNOWN {
                Outcome::UnknownClient
            } else {
                let balance = state.balances.entry(run.client.get()).or_default();
                *balance += transaction.amount.cents();
                Outcome::Applied { balance: *balance, credit_limit: 0 }
            });
        }
    }
    applied
}

fn options() -> MailboxOptions {
    MailboxOptions {
        direct: false,
        queue_per_client: 100,
        live_actors: 100,
        requests_in_flight: 1_000,
        answer_deadline: Duration::from_secs(10),
        passivate_after: Duration::from_secs(60),
    }
}

fn shard() -> ShardOptions {
    ShardOptions {
        clients_per_call: 64,
        batch_max: 256,
        calls_in_flight: 1,
        overlap_calls: 1,
        overlap_below: 0,
        alone: false,
    }
}

fn mailboxes(world: &World, options: MailboxOptions, shard: ShardOptions) -> Mailboxes {
    let mailboxes = Mailboxes::new(options, MailboxMetrics::unregistered());
    mailboxes.install_shard(shard, Box::new(FakeLedger(world.clone())));
    mailboxes.open();
    mailboxes
}

fn client(id: i32) -> ClientId {
    id.to_string().parse().expect("digits")
}

fn credit(cents: i64) -> Transaction {
    Transaction {
        amount: Amount::try_from(cents).expect("positive"),
        kind: Kind::Credit,
        description: Description::try_from("x").expect("one character"),
    }
}

type Asked = JoinHandle<Result<Outcome, Refusal>>;

/// Sends a transaction without waiting for its outcome.
fn ask(mailboxes: &Mailboxes, id: i32, cents: i64) -> Asked {
    let mailboxes = mailboxes.clone();
    actix_rt::spawn(async move {
        let answer = mailboxes.apply(client(id), credit(cents), Span::none()).await;
        answer.map(|timed| timed.value)
    })
}

fn ask_statement(mailboxes: &Mailboxes, id: i32) -> JoinHandle<Result<Option<i64>, Refusal>> {
    let mailboxes = mailboxes.clone();
    actix_rt::spawn(async move {
        let answer = mailboxes.statement(client(id), Span::none()).await?;
        Ok(answer.value.map(|statement| statement.balance))
    })
}

/// Lets everything run that can, until `done` says so.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never happened: {what}");
}

/// Lets requests that were just spawned reach their queues: everything here is on one thread,
/// and nothing waits for anything but the ledger.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn applied(balance: i64) -> Result<Outcome, Refusal> {
    Ok(Outcome::Applied { balance, credit_limit: 0 })
}

#[actix_rt::test]
async fn what_queues_while_a_call_is_out_goes_into_the_next_one_in_order() {
    let world = World::held();
    let mailboxes = mailboxes(&world, options(), shard());
    let first = ask(&mailboxes, 1, 1);
    until("the first is sent", || world.batches().len() == 1).await;
    let queued: Vec<Asked> = (2..=5).map(|cents| ask(&mailboxes, 1, cents)).collect();
    let other = ask(&mailboxes, 2, 10);
    settle().await;
    assert_eq!(world.batches().len(), 1, "nothing is sent while a call is in flight");
    world.let_calls_through(2);
    assert_eq!(first.await.expect("no panic"), applied(1));
    let mut balance = 1;
    for (asked, cents) in queued.into_iter().zip(2..) {
        balance += cents;
        assert_eq!(asked.await.expect("no panic"), applied(balance));
    }
    assert_eq!(other.await.expect("no panic"), applied(10));
    let expected = vec![vec![(1, vec![1])], vec![(2, vec![10]), (1, vec![2, 3, 4, 5])]];
    assert_eq!(world.batches(), expected);
}

#[actix_rt::test]
async fn nobody_is_answered_before_the_call_is() {
    let world = World::held();
    let mailboxes = mailboxes(&world, options(), shard());
    let asked = ask(&mailboxes, 1, 1);
    until("it is sent", || world.batches().len() == 1).await;
    settle().await;
    assert!(!asked.is_finished());
    world.let_calls_through(1);
    assert_eq!(asked.await.expect("no panic"), applied(1));
}

#[actix_rt::test]
async fn a_batch_is_bounded_and_takes_the_longest_ready_first() {
    let world = World::held();
    let shard = ShardOptions { batch_max: 3, clients_per_call: 2, ..shard() };
    let mailboxes = mailboxes(&world, options(), shard);
    let mut all = vec![ask(&mailboxes, 9, 1)];
    until("the first is sent", || world.batches().len() == 1).await;
    for id in 1..=3 {
        all.push(ask(&mailboxes, id, 1));
        all.push(ask(&mailboxes, id, 2));
    }
    settle().await;
    world.let_calls_through(10);
    for asked in all {
        asked.await.expect("no panic").expect("applied");
    }
    let expected =
        vec![vec![(9, vec![1])], vec![(1, vec![1, 2]), (2, vec![1])], vec![(3, vec![1, 2]), (2, vec![2])]];
    assert_eq!(world.batches(), expected);
}

#[actix_rt::test]
async fn serial_sends_one_by_one_and_clients_side_by_side() {
    let world = World::held();
    let shard =
        ShardOptions { alone: true, clients_per_call: 1, batch_max: 1, calls_in_flight: 8, ..shard() };
    let mailboxes = mailboxes(&world, options(), shard);
    let all: Vec<Asked> = [(1, 1), (1, 2), (2, 3)].map(|(id, cents)| ask(&mailboxes, id, cents)).into();
    until("each client has one out", || world.batches().len() == 2).await;
    settle().await;
    assert_eq!(world.batches(), [[(1, vec![1])], [(2, vec![3])]]);
    world.let_calls_through(3);
    for asked in all {
        asked.await.expect("no panic").expect("applied");
    }
    assert_eq!(world.batches().last(), Some(&vec![(1, vec![2])]));
}

#[actix_rt::test]
async fn direct_goes_past_the_mailboxes() {
    let world = World::open();
    let mailboxes = mailboxes(&world, MailboxOptions { direct: true, ..options() }, shard());
    assert_eq!(ask(&mailboxes, 1, 5).await.expect("no panic"), applied(5));
    assert_eq!(ask_statement(&mailboxes, 1).await.expect("no panic"), Ok(Some(5)));
    assert_eq!(mailboxes.live_actors(), 0);
}

#[actix_rt::test]
async fn statements_side_by_side_share_a_query_that_follows_the_transactions() {
    let world = World::held();
    let mailboxes = mailboxes(&world, options(), shard());
    let first = ask(&mailboxes, 1, 1);
    until("the first is sent", || world.batches().len() == 1).await;
    let before: Vec<_> = (0..3).map(|_| ask_statement(&mailboxes, 1)).collect();
    let second = ask(&mailboxes, 1, 10);
    settle().await;
    world.let_calls_through(3);
    first.await.expect("no panic").expect("applied");
    second.await.expect("no panic").expect("applied");
    for asked in before {
        assert_eq!(asked.await.expect("no panic"), Ok(Some(11)));
    }
    assert_eq!(world.with(|state| state.statements_read.clone()), [1]);
}

#[actix_rt::test]
async fn a_statement_never_joins_a_query_already_sent() {
    let world = World::held();
    let mailboxes = mailboxes(&world, options(), shard());
    let early = ask_statement(&mailboxes, 1);
    settle().await;
    let late = ask_statement(&mailboxes, 1);
    settle().await;
    world.let_calls_through(1);
    assert_eq!(early.await.expect("no panic"), Ok(Some(0)));
    settle().await;
    assert!(!late.is_finished(), "it has a query of its own");
    world.let_calls_through(1);
    assert_eq!(late.await.expect("no panic"), Ok(Some(0)));
}

#[actix_rt::test]
async fn a_full_queue_sheds_at_once() {
    let world = World::held();
    let mailboxes = mailboxes(&world, MailboxOptions { queue_per_client: 2, ..options() }, shard());
    let held = [ask(&mailboxes, 1, 1), ask(&mailboxes, 1, 2)];
    until("the first is sent", || world.batches().len() == 1).await;
    let refused = ask(&mailboxes, 1, 3).await.expect("no panic");
    assert_eq!(refused, Err(Refusal::Shed(Bound::ClientQueue)));
    let other = ask(&mailboxes, 2, 1);
    world.let_calls_through(5);
    other.await.expect("no panic").expect("another client has a queue of its own");
    for asked in held {
        asked.await.expect("no panic").expect("applied");
    }
    ask(&mailboxes, 1, 4).await.expect("no panic").expect("there is room again");
}

#[actix_rt::test]
async fn requests_in_flight_are_bounded_and_the_refused_leave_no_trace() {
    let world = World::held();
    let mailboxes = mailboxes(&world, MailboxOptions { requests_in_flight: 1, ..options() }, shard());
    let held = ask(&mailboxes, 1, 1);
    until("it is sent", || world.batches().len() == 1).await;
    for _ in 0..3 {
        let refused = ask(&mailboxes, 2, 1).await.expect("no panic");
        assert_eq!(refused, Err(Refusal::Shed(Bound::RequestsInFlight)));
    }
    world.let_calls_through(2);
    held.await.expect("no panic").expect("applied");
    ask(&mailboxes, 2, 1).await.expect("no panic").expect("there is room again");
}

#[actix_rt::test]
async fn at_the_bound_of_live_actors_the_longest_idle_makes_room_and_the_busy_do_not() {
    let world = World::held();
    let mailboxes = mailboxes(&world, MailboxOptions { live_actors: 2, ..options() }, shard());
    world.let_calls_through(3);
    for id in [1, 2, 3] {
        ask(&mailboxes, id, 1).await.expect("no panic").expect("an idle actor makes room");
    }
    assert_eq!(mailboxes.live_actors(), 2);
    let held = [ask(&mailboxes, 2, 1), ask(&mailboxes, 3, 1)];
    settle().await;
    let refused = ask(&mailboxes, 4, 1).await.expect("no panic");
    assert_eq!(refused, Err(Refusal::Shed(Bound::LiveActors)));
    world.let_calls_through(9);
    for asked in held {
        asked.await.expect("no panic").expect("applied");
    }
}

/// Client 1 lives on another thread, 2 and 4 on this one, where nobody idles.
#[actix_rt::test]
async fn an_idle_actor_of_another_thread_makes_room() {
    let world = World::held();
    let mailboxes = mailboxes(&world, MailboxOptions { live_actors: 2, ..options() }, shard());
    let elsewhere = actix_rt::Arbiter::new();
    let (its_mailboxes, its_world) = (mailboxes.clone(), world.clone());
    on(&elsewhere, move || its_mailboxes.install_shard(shard(), Box::new(FakeLedger(its_world)))).await;
    world.let_calls_through(1);
    ask(&mailboxes, 1, 1).await.expect("no panic").expect("applied");
    on(&elsewhere, || ()).await;
    let busy = ask(&mailboxes, 2, 1);
    until("it is sent", || world.batches().len() == 2).await;
    let admitted = ask(&mailboxes, 4, 1);
    settle().await;
    assert_eq!(mailboxes.live_actors(), 2);
    world.let_calls_through(9);
    assert_eq!(busy.await.expect("no panic"), applied(1));
    assert_eq!(admitted.await.expect("no panic"), applied(1));
    assert_eq!(ask(&mailboxes, 1, 1).await.expect("no panic"), applied(2), "it comes back");
    elsewhere.stop();
    elsewhere.join().expect("no panic elsewhere");
}

#[actix_rt::test]
async fn callers_who_have_gone_are_skipped() {
    let world = World::held();
    let mailboxes = mailboxes(&world, options(), shard());
    let first = ask(&mailboxes, 1, 1);
    until("the first is sent", || world.batches().len() == 1).await;
    let gone = ask(&mailboxes, 1, 100);
    let stays = ask(&mailboxes, 1, 2);
    settle().await;
    gone.abort();
    settle().await;
    world.let_calls_through(2);
    first.await.expect("no panic").expect("applied");
    assert_eq!(stays.await.expect("no panic"), applied(3));
    assert_eq!(world.batches().last(), Some(&vec![(1, vec![2])]));
    assert_eq!(mailboxes.inner.metrics.abandoned.get(), 1);
}

#[actix_rt::test]
async fn past_the_answer_deadline_what_was_sent_is_unknown_and_what_was_not_is_refused() {
    let world = World::held();
    let options = MailboxOptions { answer_deadline: Duration::from_millis(50), ..options() };
    let mailboxes = mailboxes(&world, options, shard());
    let sent = ask(&mailboxes, 1, 1);
    until("it is sent", || world.batches().len() == 1).await;
    let queued = ask(&mailboxes, 1, 2);
    assert_eq!(sent.await.expect("no panic"), Err(Refusal::OutcomeUnknown));
    assert_eq!(queued.await.expect("no panic"), Err(Refusal::TimedOut));
    world.let_calls_through(5);
    until("the call is over", || world.with(|state| state.in_flight.is_empty())).await;
    ask(&mailboxes, 1, 4).await.expect("no panic").expect("applied");
    assert_eq!(world.with(|state| state.balances[&1]), 5, "what was refused is never applied");
}

#[actix_rt::test]
async fn failures_reach_the_callers_as_what_they_may_do_next() {
    let world = World::open();
    let mailboxes = mailboxes(&world, options(), shard());
    for (failure, refusal) in [
        (LedgerError::NotSent("x".into()), Refusal::Unavailable),
        (LedgerError::RolledBack("x".into()), Refusal::Unavailable),
        (LedgerError::OutcomeUnknown("x".into()), Refusal::OutcomeUnknown),
    ] {
        world.with(|state| state.next_failure = Some(failure));
        assert_eq!(ask(&mailboxes, 1, 1).await.expect("no panic"), Err(refusal));
    }
    world.with(|state| state.refuse_connections = true);
    assert_eq!(ask(&mailboxes, 1, 1).await.expect("no panic"), Err(Refusal::Unavailable));
    assert_eq!(ask_statement(&mailboxes, 1).await.expect("no panic"), Err(Refusal::Unavailable));
    world.with(|state| state.refuse_connections = false);
    assert_eq!(ask(&mailboxes, 1, 7).await.expect("no panic"), applied(7), "it goes on by itself");
}

#[actix_rt::test]
async fn an_unknown_client_leaves_nothing_behind() {
    let world = World::open();
    let mailboxes = mailboxes(&world, options(), shard());
    assert_eq!(ask(&mailboxes, UNKNOWN, 1).await.expect("no panic"), Ok(Outcome::UnknownClient));
    assert_eq!(mailboxes.live_actors(), 0);
    assert_eq!(ask_statement(&mailboxes, UNKNOWN).await.expect("no panic"), Ok(None));
    assert_eq!(mailboxes.live_actors(), 0);
}

#[actix_rt::test]
async fn idle_actors_are_forgotten_and_come_back() {
    let world = World::open();
    let options = MailboxOptions { passivate_after: Duration::from_millis(20), ..options() };
    let mailboxes = mailboxes(&world, options, shard());
    ask(&mailboxes, 1, 1).await.expect("no panic").expect("applied");
    assert_eq!(mailboxes.live_actors(), 1);
    let forgotten = async {
        while mailboxes.live_actors() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), forgotten).await.expect("it is forgotten");
    assert_eq!(ask(&mailboxes, 1, 1).await.expect("no panic"), applied(2));
}

#[actix_rt::test]
async fn a_panicking_actor_costs_its_own_callers_a_refusal_and_nobody_else() {
    let world = World::held();
    let mailboxes = mailboxes(&world, options(), shard());
    let in_flight = ask(&mailboxes, 1, 1);
    until("it is sent", || world.batches().len() == 1).await;
    let queued = ask(&mailboxes, 1, 2);
    let other = ask(&mailboxes, 2, 5);
    settle().await;
    mailboxes.inner.registry.panic_in(client(1));
    assert_eq!(queued.await.expect("no panic"), Err(Refusal::MailboxLost));
    let meanwhile = ask(&mailboxes, 1, 3).await.expect("no panic");
    assert_eq!(meanwhile, Err(Refusal::MailboxLost), "no second run while the first is out");
    world.let_calls_through(5);
    assert_eq!(in_flight.await.expect("no panic"), applied(1), "what was sent is answered");
    assert_eq!(other.await.expect("no panic"), applied(5));
    assert_eq!(ask(&mailboxes, 1, 4).await.expect("no panic"), applied(5), "the client has a new actor");
}

#[actix_rt::test]
async fn a_panic_in_a_call_leaves_its_callers_unsure_and_the_mailboxes_alive() {
    let world = World::open();
    let mailboxes = mailboxes(&world, options(), shard());
    world.with(|state| state.panic_next = true);
    assert_eq!(ask(&mailboxes, 1, 1).await.expect("no panic"), Err(Refusal::OutcomeUnknown));
    world.state.clear_poison();
    world.with(|state| state.in_flight.clear());
    ask(&mailboxes, 1, 1).await.expect("no panic").expect("applied");
}

#[actix_rt::test]
async fn little_in_flight_lets_calls_overlap_and_much_does_not() {
    let world = World::held();
    let shard = ShardOptions { overlap_calls: 2, overlap_below: 2, ..shard() };
    let mailboxes = mailboxes(&world, options(), shard);
    let mut all = vec![ask(&mailboxes, 1, 1)];
    until("the first is sent", || world.batches().len() == 1).await;
    all.push(ask(&mailboxes, 2, 1));
    until("another goes beside it", || world.batches().len() == 2).await;
    all.push(ask(&mailboxes, 3, 1));
    settle().await;
    assert_eq!(world.batches().len(), 2, "two transactions in flight are not few any more");
    world.let_calls_through(3);
    for asked in all {
        asked.await.expect("no panic").expect("applied");
    }
}

/// Runs something on another thread, after all that it has to do already.
async fn on(arbiter: &actix_rt::Arbiter, what: impl FnOnce() + Send + 'static) {
    let (done, is_done) = tokio::sync::oneshot::channel();
    arbiter.spawn_fn(move || {
        what();
        let _ = done.send(());
    });
    is_done.await.expect("the arbiter runs");
}

/// Actors on several threads come and go under load; the ledger watches that no client ever has
/// two runs in flight, and each client's transactions arrive in the order in which they were sent.
#[test]
fn passivation_races_with_new_requests_on_several_arbiters() {
    const ARBITERS: usize = 3;
    const CLIENTS: i32 = 12;
    const ROUNDS: i64 = 300;
    let world = World::open();
    let options = MailboxOptions {
        live_actors: CLIENTS as usize / 2,
        passivate_after: Duration::from_millis(1),
        ..options()
    };
    let mailboxes = Mailboxes::new(options, MailboxMetrics::unregistered());
    let system = actix_rt::System::new();
    let arbiters: Vec<_> = (0..ARBITERS).map(|_| actix_rt::Arbiter::new()).collect();
    let (ready, all_ready) = std::sync::mpsc::channel();
    for arbiter in &arbiters {
        let (mailboxes, world, ready) = (mailboxes.clone(), world.clone(), ready.clone());
        arbiter.spawn_fn(move || {
            let shard = ShardOptions { calls_in_flight: 3, ..shard() };
            mailboxes.install_shard(shard, Box::new(FakeLedger(world)));
            ready.send(()).expect("the test waits");
        });
    }
    (0..ARBITERS).for_each(|_| all_ready.recv().expect("every arbiter starts"));
    mailboxes.open();
    let (done, all_done) = std::sync::mpsc::channel();
    for id in 1..=CLIENTS {
        let (mailboxes, done) = (mailboxes.clone(), done.clone());
        // The sender sits on another arbiter than the actor.
        arbiters[(id as usize + 1) % ARBITERS].spawn(async move {
            let mut sum = 0;
            for cents in 1..=ROUNDS {
                sum += apply_until_admitted(&mailboxes, id, cents).await;
            }
            done.send((id, sum)).expect("the test waits");
        });
    }
    let sums: HashMap<i32, i64> =
        (0..CLIENTS).map(|_| all_done.recv_timeout(Duration::from_secs(60)).expect("all finish")).collect();
    world.with(|state| assert_eq!(state.balances, sums));
    let mut order: HashMap<i32, Vec<i64>> = HashMap::new();
    for (id, amounts) in world.batches().into_iter().flatten() {
        order.entry(id).or_default().extend(amounts);
    }
    for (id, amounts) in order {
        assert!(amounts.is_sorted(), "client {id}: {amounts:?}");
    }
    assert!(mailboxes.inner.metrics.passivations.get() > 0, "nothing was passivated: no race");
    for arbiter in arbiters {
        arbiter.stop();
        arbiter.join().expect("no panic on an arbiter");
    }
    drop(system);
}

/// Applies one transaction, again as long as the bound on live actors refuses it.
async fn apply_until_admitted(mailboxes: &Mailboxes, id: i32, cents: i64) -> i64 {
    loop {
        match mailboxes.apply(client(id), credit(cents), Span::none()).await {
            Ok(_) => return cents,
            Err(Refusal::Shed(Bound::LiveActors)) => {
                tokio::task::yield_now().await;
            }
            Err(refusal) => panic!("{refusal}"),
        }
    }
}
