//! A ledger whose every answer the schedule decides.

use std::cell::RefCell;
use std::panic::resume_unwind;
use std::rc::Rc;

use tokio::sync::oneshot;

use super::super::{CallOutcomes, Ledger, LedgerConnection, LedgerError, LocalFuture, RowWait, Run};
use super::fault::Fault;
use super::judge::{Judge, Say};
use crate::domain::{BankStatement, ClientId, Outcome, Transaction};

/// What the schedule and the ledgers of all threads share.
pub(super) struct World {
    pub(super) judge: Judge,
    /// Calls that wait for their answer, in the order in which they were made.
    pub(super) pending: Vec<Pending>,
    /// Whether connections are waited for.
    pub(super) connections_wait: bool,
}

pub(super) type SharedWorld = Rc<RefCell<World>>;

/// A call that waits.
pub(super) struct Pending {
    pub(super) asked: Asked,
    /// What it brought, once it is committed.
    pub(super) committed: Option<Vec<Outcome>>,
    answer: oneshot::Sender<Said>,
}

/// What is asked of the ledger.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Connection,
    /// Of each client, which requests.
    Runs(Vec<(i32, Vec<usize>)>),
    Held,
    Statement,
}

/// How that reaches the one who asked.
struct Said(Say, Option<Vec<Outcome>>);

impl World {
    /// No task has anything to do.
    pub(super) fn rests(&mut self) {
        // A panic beside it, on the same connection, takes a call with it.
        self.pending.retain(|call| !call.answer.is_closed());
        self.judge.rests(self.pending.is_empty());
    }

    /// Commits a call whose answer is still to come.
    pub(super) fn commit(&mut self, position: usize) {
        let Asked::Runs(runs) = &self.pending[position].asked else { return };
        self.pending[position].committed = Some(self.judge.applies(runs));
    }

    /// Answers a call.
    pub(super) fn answer(&mut self, position: usize, say: Say) {
        let commits = say == Say::Yes || (say == Say::RolledBack && Fault::LostCommit.is_seeded());
        if commits && self.pending[position].committed.is_none() {
            self.commit(position);
        }
        let mut call = self.pending.remove(position);
        if let Asked::Runs(runs) = &call.asked {
            self.judge.answers(runs, say);
            if let Some(outcomes) = &mut call.committed
                && Fault::AnswersSwapped.is_seeded()
            {
                outcomes.reverse();
            }
        }
        // A panic beside it may have taken it along.
        let _ = call.answer.send(Said(say, call.committed));
    }
}

/// One thread's.
pub(super) struct SimulatedLedger(pub(super) SharedWorld);

impl Ledger for SimulatedLedger {
    fn connect(&self, _server: usize) -> LocalFuture<'_, Result<Box<dyn LedgerConnection>, LedgerError>> {
        Box::pin(async {
            if self.0.borrow().connections_wait {
                ask(&self.0, Asked::Connection).await?;
            }
            let turn = tokio::sync::Mutex::default();
            Ok(Box::new(Connection { world: Rc::clone(&self.0), turn }) as Box<dyn LedgerConnection>)
        })
    }
}

/// Calls on one are answered in the order in which they were made.
struct Connection {
    world: SharedWorld,
    turn: tokio::sync::Mutex<()>,
}

impl LedgerConnection for Connection {
    fn apply<'a>(
        &'a self,
        runs: &'a [Run],
        _: RowWait,
    ) -> LocalFuture<'a, Result<CallOutcomes, LedgerError>> {
        Box::pin(async move {
            let _turn = self.turn.lock().await;
            let number = |it: &Transaction| it.amount.cents().trailing_zeros() as usize;
            let numbers = |run: &Run| run.transactions.iter().map(number).collect();
            let sent: Vec<_> = runs.iter().map(|run| (run.client.get(), numbers(run))).collect();
            self.world.borrow_mut().judge.is_sent(&sent);
            let out = Out { world: &self.world, clients: runs.iter().map(|run| run.client.get()).collect() };
            let outcomes = ask(&self.world, Asked::Runs(sent)).await;
            drop(out);
            outcomes.map(|outcomes| CallOutcomes { outcomes, ..CallOutcomes::default() })
        })
    }

    fn held<'a>(&'a self, clients: &'a [ClientId]) -> LocalFuture<'a, Result<Vec<ClientId>, LedgerError>> {
        Box::pin(async move {
            let answer = ask_plainly(&self.world, Asked::Held).await;
            // "Committed" stands for: the last one's row is not held by others.
            let held = clients.len() - usize::from(answer.1.is_some());
            heard(answer.0).map(|()| clients[..held].to_vec())
        })
    }

    fn statements<'a>(
        &'a self,
        clients: &'a [ClientId],
    ) -> LocalFuture<'a, Result<Vec<Option<BankStatement>>, LedgerError>> {
        Box::pin(async move {
            let _turn = self.turn.lock().await;
            ask(&self.world, Asked::Statement).await?;
            let statement = |balance| BankStatement {
                balance,
                credit_limit: 0,
                issued_at: time::OffsetDateTime::UNIX_EPOCH,
                latest: Vec::new(),
            };
            let judge = &self.world.borrow().judge;
            Ok(clients.iter().map(|client| judge.balance(client.get()).map(statement)).collect())
        })
    }
}

/// Runs that are in flight until this is dropped.
struct Out<'a> {
    world: &'a SharedWorld,
    clients: Vec<i32>,
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        self.world.borrow_mut().judge.is_over(&self.clients);
    }
}

async fn ask_plainly(world: &SharedWorld, asked: Asked) -> Said {
    let (answer, said) = oneshot::channel();
    world.borrow_mut().pending.push(Pending { asked, committed: None, answer });
    said.await.expect("a call is answered")
}

async fn ask(world: &SharedWorld, asked: Asked) -> Result<Vec<Outcome>, LedgerError> {
    let Said(say, outcomes) = ask_plainly(world, asked).await;
    heard(say).map(|()| outcomes.unwrap_or_default())
}

fn heard(say: Say) -> Result<(), LedgerError> {
    let why = String::new();
    match say {
        Say::Yes => Ok(()),
        Say::NotSent => Err(LedgerError::NotSent(why)),
        Say::RolledBack => Err(LedgerError::RolledBack(why)),
        Say::RowHeld => Err(LedgerError::RowHeld(why)),
        Say::Unknown => Err(LedgerError::OutcomeUnknown(why)),
        // Unlike `panic!` this prints nothing.
        Say::Panic => resume_unwind(Box::new("simulated")),
    }
}
