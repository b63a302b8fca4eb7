//! The mailboxes against a ledger that is held, failed and watched by the test.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tracing::Span;

use super::*;
use crate::domain::{Amount, Applied, Description, Kind, Rejection};

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
    statements_sent: usize,
    statements_read: Vec<i32>,
    balances: HashMap<i32, i64>,
    in_flight: HashSet<i32>,
    next_failure: Option<LedgerError>,
    /// Clients whose rows somebody holds, and how long calls waited for them in vain.
    rows_held: HashSet<i32>,
    waits: Vec<RowWait>,
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
    fn apply<'a>(
        &'a self,
        runs: &'a [Run],
        row_wait: RowWait,
    ) -> LocalFuture<'a, Result<CallOutcomes, LedgerError>> {
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
                let held = runs.iter().any(|run| state.rows_held.contains(&run.client.get()));
                match state.next_failure.take() {
                    _ if held => {
                        state.waits.push(row_wait);
                        Err(LedgerError::RowHeld("held by the test".into()))
                    }
                    Some(failure) => Err(failure),
                    None => Ok(apply_all(state, runs)),
                }
            })
        })
    }

    fn held<'a>(&'a self, clients: &'a [ClientId]) -> LocalFuture<'a, Result<Vec<ClientId>, LedgerError>> {
        Box::pin(async move {
            let held = self.world.with(|state| state.rows_held.clone());
            Ok(clients.iter().copied().filter(|client| held.contains(&client.get())).collect())
        })
    }

    fn statement(&self, client: ClientId) -> LocalFuture<'_, Result<Option<BankStatement>, LedgerError>> {
        Box::pin(async move {
            let _turn = self.pipeline.lock().await;
            self.world.with(|state| state.statements_sent += 1);
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

fn apply_all(state: &mut WorldState, runs: &[Run]) -> CallOutcomes {
    let mut applied = CallOutcomes::default();
    for run in runs {
        for transaction in &run.transactions {
            applied.outcomes.push(if run.client.get() >= UNKNOWN {
                Err(Rejection::UnknownClient)
            } else {
                let balance = state.balances.entry(run.client.get()).or_default();
                *balance += transaction.amount.cents();
                Ok(Applied { balance: *balance, credit_limit: 0 })
            });
        }
    }
    applied
}

fn options() -> MailboxOptions {
    MailboxOptions {
        mode: Mode::Batched,
        queue_per_client: 100,
        live_actors: 100,
        requests_in_flight: 1_000,
        answer_deadline: Duration::from_secs(10),
        passivate_after: Duration::from_secs(60),
    }
}

fn gathering() -> GathererOptions {
    GathererOptions {
        mode: Mode::Batched,
        clients_per_call: 64,
        batch_max: 256,
        calls_in_flight: 1,
        overlap_calls: 1,
        overlap_below: 0,
        row_waits: 2,
    }
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

/// Waits until `done` says so, while everything else runs.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never happened: {what}");
}

/// The mailboxes on this thread, and the ledger behind them.
struct Bank {
    world: World,
    mailboxes: Mailboxes,
}

impl Bank {
    /// One whose ledger waits for the test's permission, call by call.
    fn held() -> Self {
        Self::new(World::held(), options(), gathering())
    }

    /// One whose ledger answers as soon as it can.
    fn open() -> Self {
        Self::new(World::open(), options(), gathering())
    }

    fn new(world: World, options: MailboxOptions, gatherer: GathererOptions) -> Self {
        let mailboxes = Mailboxes::new(options, Observer::unheard());
        mailboxes.serve_here(gatherer, Box::new(FakeLedger(world.clone())));
        mailboxes.open();
        Self { world, mailboxes }
    }

    /// Sends a transaction without waiting for its outcome.
    fn credit(&self, id: i32, cents: i64) -> Asked<Outcome> {
        let mailboxes = self.mailboxes.clone();
        Asked(actix_rt::spawn(async move {
            let answer = mailboxes.apply(client(id), credit(cents), Ticket::new(Span::none())).await;
            answer.map(|timed| timed.value)
        }))
    }

    /// Asks for a statement without waiting for it.
    fn statement(&self, id: i32) -> Asked<Option<i64>> {
        let mailboxes = self.mailboxes.clone();
        Asked(actix_rt::spawn(async move {
            let answer = mailboxes.statement(client(id), Ticket::new(Span::none())).await?;
            Ok(answer.value.map(|statement| statement.balance))
        }))
    }

    /// Sends a transaction and waits until the ledger has it.
    async fn credit_sent(&self, id: i32, cents: i64) -> Asked<Outcome> {
        let sent = self.world.batches().len() + 1;
        let asked = self.credit(id, cents);
        until("it is sent", || self.world.batches().len() == sent).await;
        asked
    }

    /// Waits until so many requests wait in mailboxes.
    async fn queued(&self, requests: i64) {
        until("they wait", || self.metrics().depth.get() == requests).await;
    }

    /// Waits until the ledger has so many questions for statements.
    async fn statements_sent(&self, statements: usize) {
        until("it is asked", || self.world.with(|state| state.statements_sent) == statements).await;
    }

    fn let_calls_through(&self, calls: usize) {
        self.world.gate.add_permits(calls);
    }

    fn metrics(&self) -> &crate::observing::metrics::MailboxMetrics {
        &self.mailboxes.inner.observer.mailbox
    }
}

/// A request whose answer is waited for later.
struct Asked<T>(JoinHandle<Result<T, Refusal>>);

impl<T: std::fmt::Debug> Asked<T> {
    async fn answer(self) -> Result<T, Refusal> {
        self.0.await.expect("no panic")
    }

    async fn refusal(self) -> Refusal {
        self.answer().await.expect_err("a refusal")
    }
}

impl Asked<Outcome> {
    /// The balance once it is applied.
    async fn balance(self) -> i64 {
        self.answer().await.expect("an answer").expect("it is applied").balance
    }
}

#[actix_rt::test]
async fn what_queues_while_a_call_is_out_goes_into_the_next_one_in_order() {
    let bank = Bank::held();
    let first = bank.credit_sent(1, 1).await;
    let queued: Vec<_> = (2..=5).map(|cents| bank.credit(1, cents)).collect();
    let other = bank.credit(2, 10);
    bank.queued(5).await;
    assert_eq!(bank.world.batches().len(), 1, "nothing is sent while a call is in flight");
    bank.let_calls_through(2);
    assert_eq!(first.balance().await, 1);
    for (asked, balance) in queued.into_iter().zip([3, 6, 10, 15]) {
        assert_eq!(asked.balance().await, balance);
    }
    assert_eq!(other.balance().await, 10);
    let expected = vec![vec![(1, vec![1])], vec![(2, vec![10]), (1, vec![2, 3, 4, 5])]];
    assert_eq!(bank.world.batches(), expected);
}

#[actix_rt::test]
async fn nobody_is_answered_before_the_call_is() {
    let bank = Bank::held();
    let asked = bank.credit_sent(1, 1).await;
    let later = bank.credit(2, 1);
    bank.queued(1).await;
    assert!(!asked.0.is_finished());
    bank.let_calls_through(2);
    assert_eq!(asked.balance().await, 1);
    assert_eq!(later.balance().await, 1);
}

#[actix_rt::test]
async fn a_batch_is_bounded_and_takes_the_longest_ready_first() {
    let gatherer = GathererOptions { batch_max: 3, clients_per_call: 2, ..gathering() };
    let bank = Bank::new(World::held(), options(), gatherer);
    let mut all = vec![bank.credit_sent(9, 1).await];
    all.extend([1, 2, 3].into_iter().flat_map(|id| [bank.credit(id, 1), bank.credit(id, 2)]));
    bank.queued(6).await;
    bank.let_calls_through(10);
    for asked in all {
        asked.balance().await;
    }
    let expected =
        vec![vec![(9, vec![1])], vec![(1, vec![1, 2]), (2, vec![1])], vec![(3, vec![1, 2]), (2, vec![2])]];
    assert_eq!(bank.world.batches(), expected);
}

#[actix_rt::test]
async fn serial_sends_one_by_one_and_clients_side_by_side() {
    let mode = Mode::Serial;
    let gatherer =
        GathererOptions { mode, clients_per_call: 1, batch_max: 1, calls_in_flight: 8, ..gathering() };
    let bank = Bank::new(World::held(), MailboxOptions { mode, ..options() }, gatherer);
    let all = [(1, 1), (1, 2), (2, 3)].map(|(id, cents)| bank.credit(id, cents));
    until("each client has one out", || bank.world.batches().len() == 2).await;
    bank.queued(1).await;
    assert_eq!(bank.world.batches(), [[(1, vec![1])], [(2, vec![3])]]);
    bank.let_calls_through(3);
    for asked in all {
        asked.balance().await;
    }
    assert_eq!(bank.world.batches().last(), Some(&vec![(1, vec![2])]));
}

#[actix_rt::test]
async fn direct_goes_past_the_mailboxes() {
    let mode = Mode::Direct;
    let gatherer = GathererOptions { mode, ..gathering() };
    let bank = Bank::new(World::open(), MailboxOptions { mode, ..options() }, gatherer);
    assert_eq!(bank.credit(1, 5).balance().await, 5);
    assert_eq!(bank.statement(1).answer().await, Ok(Some(5)));
    assert_eq!(bank.mailboxes.live_actors(), 0);
}

#[actix_rt::test]
async fn statements_side_by_side_share_a_query_that_follows_the_transactions() {
    let bank = Bank::held();
    let first = bank.credit_sent(1, 1).await;
    let before: Vec<_> = (0..3).map(|_| bank.statement(1)).collect();
    let second = bank.credit(1, 10);
    bank.queued(4).await;
    bank.let_calls_through(3);
    assert_eq!((first.balance().await, second.balance().await), (1, 11));
    for asked in before {
        assert_eq!(asked.answer().await, Ok(Some(11)));
    }
    assert_eq!(bank.world.with(|state| state.statements_read.clone()), [1]);
}

#[actix_rt::test]
async fn a_statement_never_joins_a_query_already_sent() {
    let bank = Bank::held();
    let early = bank.statement(1);
    bank.statements_sent(1).await;
    let late = bank.statement(1);
    bank.queued(1).await;
    bank.let_calls_through(1);
    assert_eq!(early.answer().await, Ok(Some(0)));
    bank.statements_sent(2).await;
    assert!(!late.0.is_finished(), "it has a query of its own");
    bank.let_calls_through(1);
    assert_eq!(late.answer().await, Ok(Some(0)));
}

#[actix_rt::test]
async fn a_full_queue_sheds_at_once() {
    let options = MailboxOptions { queue_per_client: 2, ..options() };
    let bank = Bank::new(World::held(), options, gathering());
    let held = [bank.credit_sent(1, 1).await, bank.credit(1, 2)];
    bank.queued(1).await;
    assert_eq!(bank.credit(1, 3).refusal().await, Refusal::Shed(Bound::ClientQueue));
    let other = bank.credit(2, 1);
    bank.let_calls_through(5);
    assert_eq!(other.balance().await, 1, "another client has a queue of its own");
    for asked in held {
        asked.balance().await;
    }
    assert_eq!(bank.credit(1, 4).balance().await, 7, "there is room again");
}

#[actix_rt::test]
async fn requests_in_flight_are_bounded_and_the_refused_leave_no_trace() {
    let options = MailboxOptions { requests_in_flight: 1, ..options() };
    let bank = Bank::new(World::held(), options, gathering());
    let held = bank.credit_sent(1, 1).await;
    for _ in 0..3 {
        assert_eq!(bank.credit(2, 1).refusal().await, Refusal::Shed(Bound::RequestsInFlight));
    }
    bank.let_calls_through(2);
    held.balance().await;
    assert_eq!(bank.credit(2, 1).balance().await, 1, "there is room again");
}

#[actix_rt::test]
async fn at_the_bound_of_live_actors_the_longest_idle_makes_room_and_the_busy_do_not() {
    let options = MailboxOptions { live_actors: 2, ..options() };
    let bank = Bank::new(World::held(), options, gathering());
    bank.let_calls_through(3);
    for id in [1, 2, 3] {
        assert_eq!(bank.credit(id, 1).balance().await, 1, "an idle actor makes room");
    }
    assert_eq!(bank.mailboxes.live_actors(), 2);
    let held = [bank.credit_sent(2, 1).await, bank.credit(3, 1)];
    bank.queued(1).await;
    assert_eq!(bank.credit(4, 1).refusal().await, Refusal::Shed(Bound::LiveActors));
    bank.let_calls_through(9);
    for asked in held {
        asked.balance().await;
    }
}

/// Client 1 lives on another thread, 2 and 4 on this one, where nobody idles.
#[actix_rt::test]
async fn an_idle_actor_of_another_thread_makes_room() {
    let options = MailboxOptions { live_actors: 2, ..options() };
    let bank = Bank::new(World::held(), options, gathering());
    let elsewhere = actix_rt::Arbiter::new();
    let (its_mailboxes, its_world) = (bank.mailboxes.clone(), bank.world.clone());
    on(&elsewhere, move || its_mailboxes.serve_here(gathering(), Box::new(FakeLedger(its_world)))).await;
    bank.let_calls_through(1);
    bank.credit(1, 1).balance().await;
    on(&elsewhere, || ()).await;
    let busy = bank.credit_sent(2, 1).await;
    let admitted = bank.credit(4, 1);
    bank.queued(1).await;
    assert_eq!(bank.mailboxes.live_actors(), 2);
    bank.let_calls_through(9);
    assert_eq!(busy.balance().await, 1);
    assert_eq!(admitted.balance().await, 1);
    assert_eq!(bank.credit(1, 1).balance().await, 2, "it comes back");
    elsewhere.stop();
    elsewhere.join().expect("no panic elsewhere");
}

#[actix_rt::test]
async fn callers_who_have_gone_are_skipped() {
    let bank = Bank::held();
    let first = bank.credit_sent(1, 1).await;
    let gone = bank.credit(1, 100);
    let stays = bank.credit(1, 2);
    bank.queued(2).await;
    gone.0.abort();
    until("it has gone", || gone.0.is_finished()).await;
    bank.let_calls_through(2);
    first.balance().await;
    assert_eq!(stays.balance().await, 3);
    assert_eq!(bank.world.batches().last(), Some(&vec![(1, vec![2])]));
    assert_eq!(bank.metrics().abandoned.get(), 1);
}

#[actix_rt::test]
async fn past_the_answer_deadline_what_was_sent_is_unknown_and_what_was_not_is_refused() {
    let options = MailboxOptions { answer_deadline: Duration::from_millis(50), ..options() };
    let bank = Bank::new(World::held(), options, gathering());
    let sent = bank.credit_sent(1, 1).await;
    let queued = bank.credit(1, 2);
    assert_eq!(sent.refusal().await, Refusal::OutcomeUnknown);
    assert_eq!(queued.refusal().await, Refusal::TimedOut);
    bank.let_calls_through(5);
    until("the call is over", || bank.world.with(|state| state.in_flight.is_empty())).await;
    bank.credit(1, 4).balance().await;
    assert_eq!(bank.world.with(|state| state.balances[&1]), 5, "what was refused is never applied");
}

#[actix_rt::test]
async fn failures_reach_the_callers_as_what_they_may_do_next() {
    let bank = Bank::open();
    for (failure, refusal) in [
        (LedgerError::NotSent("x".into()), Refusal::Unavailable),
        (LedgerError::RolledBack("x".into()), Refusal::Unavailable),
        (LedgerError::OutcomeUnknown("x".into()), Refusal::OutcomeUnknown),
    ] {
        bank.world.with(|state| state.next_failure = Some(failure));
        assert_eq!(bank.credit(1, 1).refusal().await, refusal);
    }
    bank.world.with(|state| state.refuse_connections = true);
    assert_eq!(bank.credit(1, 1).refusal().await, Refusal::Unavailable);
    assert_eq!(bank.statement(1).refusal().await, Refusal::Unavailable);
    bank.world.with(|state| state.refuse_connections = false);
    assert_eq!(bank.credit(1, 7).balance().await, 7, "it goes on by itself");
}

#[actix_rt::test]
async fn an_unknown_client_leaves_nothing_behind() {
    let bank = Bank::open();
    assert_eq!(bank.credit(UNKNOWN, 1).answer().await, Ok(Err(Rejection::UnknownClient)));
    assert_eq!(bank.mailboxes.live_actors(), 0);
    assert_eq!(bank.statement(UNKNOWN).answer().await, Ok(None));
    assert_eq!(bank.mailboxes.live_actors(), 0);
}

#[actix_rt::test]
async fn idle_actors_are_forgotten_and_come_back() {
    let options = MailboxOptions { passivate_after: Duration::from_millis(20), ..options() };
    let bank = Bank::new(World::open(), options, gathering());
    bank.credit(1, 1).balance().await;
    assert_eq!(bank.mailboxes.live_actors(), 1);
    let forgotten = async {
        while bank.mailboxes.live_actors() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), forgotten).await.expect("it is forgotten");
    assert_eq!(bank.credit(1, 1).balance().await, 2);
}

#[actix_rt::test]
async fn a_panicking_actor_costs_its_own_callers_a_refusal_and_nobody_else() {
    let bank = Bank::held();
    let in_flight = bank.credit_sent(1, 1).await;
    let (queued, other) = (bank.credit(1, 2), bank.credit(2, 5));
    bank.queued(2).await;
    bank.mailboxes.inner.registry.panic_in(client(1));
    assert_eq!(queued.refusal().await, Refusal::MailboxLost);
    let meanwhile = bank.credit(1, 3).refusal().await;
    assert_eq!(meanwhile, Refusal::MailboxLost, "no second run while the first is out");
    bank.let_calls_through(5);
    assert_eq!(in_flight.balance().await, 1, "what was sent is answered");
    assert_eq!(other.balance().await, 5);
    assert_eq!(bank.credit(1, 4).balance().await, 5, "the client has a new actor");
}

#[actix_rt::test]
async fn a_panic_in_a_call_leaves_its_callers_unsure_and_the_mailboxes_alive() {
    let bank = Bank::open();
    bank.world.with(|state| state.panic_next = true);
    assert_eq!(bank.credit(1, 1).refusal().await, Refusal::OutcomeUnknown);
    bank.world.state.clear_poison();
    bank.world.with(|state| state.in_flight.clear());
    bank.credit(1, 1).balance().await;
}

#[actix_rt::test]
async fn little_in_flight_lets_calls_overlap_and_much_does_not() {
    let gatherer = GathererOptions { overlap_calls: 2, overlap_below: 2, ..gathering() };
    let bank = Bank::new(World::held(), options(), gatherer);
    let mut all = vec![bank.credit_sent(1, 1).await, bank.credit_sent(2, 1).await];
    all.push(bank.credit(3, 1));
    bank.queued(1).await;
    assert_eq!(bank.world.batches().len(), 2, "two transactions in flight are not few any more");
    bank.let_calls_through(3);
    for asked in all {
        asked.balance().await;
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
    let mailboxes = Mailboxes::new(options, Observer::unheard());
    let system = actix_rt::System::new();
    let arbiters: Vec<_> = (0..ARBITERS).map(|_| actix_rt::Arbiter::new()).collect();
    let (ready, all_ready) = std::sync::mpsc::channel();
    for arbiter in &arbiters {
        let (mailboxes, world, ready) = (mailboxes.clone(), world.clone(), ready.clone());
        arbiter.spawn_fn(move || {
            let gatherer = GathererOptions { calls_in_flight: 3, ..gathering() };
            mailboxes.serve_here(gatherer, Box::new(FakeLedger(world)));
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
    assert!(mailboxes.inner.observer.mailbox.passivations.get() > 0, "nothing was passivated: no race");
    for arbiter in arbiters {
        arbiter.stop();
        arbiter.join().expect("no panic on an arbiter");
    }
    drop(system);
}

/// Applies one transaction, again as long as the bound on live actors refuses it.
async fn apply_until_admitted(mailboxes: &Mailboxes, id: i32, cents: i64) -> i64 {
    loop {
        match mailboxes.apply(client(id), credit(cents), Ticket::new(Span::none())).await {
            Ok(timed) => return timed.value.map(|_| cents).expect("it is applied"),
            Err(Refusal::Shed(Bound::LiveActors)) => {
                tokio::task::yield_now().await;
            }
            Err(refusal) => panic!("{refusal}"),
        }
    }
}

/// Somebody holds client 2's row: its run is taken out of the call and waits apart, the rest is sent again.
#[actix_rt::test]
async fn a_held_row_is_waited_for_apart() {
    let bank = Bank::held();
    bank.world.with(|state| state.rows_held.insert(2));
    let first = bank.credit_sent(1, 1).await;
    let held = [bank.credit(2, 1), bank.credit(2, 2)];
    let beside = bank.credit(3, 1);
    bank.queued(3).await;
    bank.let_calls_through(3);
    assert_eq!(first.balance().await, 1);
    assert_eq!(beside.balance().await, 1);
    until("it waits apart", || bank.world.batches().len() == 4).await;
    let shared = vec![(2, vec![1, 2]), (3, vec![1])];
    let expected = [vec![(1, vec![1])], shared, vec![(3, vec![1])], vec![(2, vec![1, 2])]];
    assert_eq!(bank.world.batches(), expected);

    // Meanwhile others are served, and what comes for the held client waits in its mailbox.
    let later = bank.credit(2, 3);
    let other = bank.credit_sent(3, 1).await;
    bank.world.with(|state| state.rows_held.clear());
    bank.let_calls_through(3);
    assert_eq!(other.balance().await, 2);
    for (asked, balance) in held.into_iter().zip([1, 3]) {
        assert_eq!(asked.balance().await, balance);
    }
    assert_eq!(later.balance().await, 6);
}

/// A client that waited in vain goes apart at once the next time, until its row was had.
#[actix_rt::test]
async fn who_waited_in_vain_waits_apart_until_the_row_was_had() {
    let bank = Bank::open();
    bank.world.with(|state| state.rows_held.insert(2));
    for sent in [2, 3] {
        assert_eq!(bank.credit(2, 1).refusal().await, Refusal::Unavailable);
        assert_eq!(bank.world.batches().len(), sent, "briefly and long, then long alone");
    }
    assert_eq!(bank.world.with(|state| state.waits.clone()), [RowWait::Brief, RowWait::Long, RowWait::Long]);
    bank.world.with(|state| state.rows_held.clear());
    assert_eq!(bank.credit(2, 1).balance().await, 1);
    bank.world.with(|state| state.rows_held.insert(2));
    assert_eq!(bank.credit(2, 1).refusal().await, Refusal::Unavailable);
    let waits = bank.world.with(|state| state.waits.clone());
    assert_eq!(waits[3..], [RowWait::Brief, RowWait::Long], "it was in shared calls again");
}

/// Where the service's own calls hold the row, all wait together.
#[actix_rt::test]
async fn what_nobody_else_holds_is_waited_for_together() {
    let bank = Bank::open();
    bank.world.with(|state| state.next_failure = Some(LedgerError::RowHeld("by a commit".into())));
    assert_eq!(bank.credit(2, 1).balance().await, 1);
    assert_eq!(bank.world.batches(), [vec![(2, vec![1])], vec![(2, vec![1])]]);
}
