//! A client's queue and how a run is cut from it: synchronous and pure.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};

use settings::Mode;

use super::job::{Job, Reply, StatementReply};
use crate::domain::{Outcome, Transaction};

/// How many requests a mailbox holds: on their way to its queue, in it, or in flight.
///
/// It grows only under the guard of the registry's entry, so that "nothing is held" can be
/// relied on there; it shrinks anywhere.
#[derive(Debug, Default)]
pub(super) struct Load(AtomicU32);

impl Load {
    /// Counts one more, unless `bound` are held already.
    pub(super) fn try_enter(&self, bound: usize) -> bool {
        let add = |held: u32| if (held as usize) < bound { held.checked_add(1) } else { None };
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).is_ok()
    }

    /// Counts `jobs` out.
    pub(super) fn leave(&self, jobs: usize) {
        let jobs = u32::try_from(jobs).expect("no more leave than have entered");
        self.0.fetch_sub(jobs, Ordering::AcqRel);
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

/// Requests of one client in arrival order. What bounds it is its [`Load`]. Of most clients nothing waits, so it is
/// no larger than a pointer then.
#[derive(Default)]
#[expect(clippy::box_collection, reason = "an idle mailbox is a third smaller")]
pub(super) struct Queue(Option<Box<VecDeque<Job>>>);

/// What was cut from a queue: the transactions in arrival order, and the statements to be read
/// once those are committed.
#[derive(Default)]
pub(super) struct Cut {
    pub(super) transactions: Vec<(Transaction, Reply<Outcome>)>,
    pub(super) statements: Vec<StatementReply>,
}

impl Cut {
    /// Cuts one request that never queued.
    pub(super) fn of(job: Job) -> Self {
        let mut cut = Self::default();
        cut.add(job);
        cut
    }

    fn add(&mut self, job: Job) {
        match job {
            Job::Transaction(transaction, reply) => self.transactions.push((transaction, reply)),
            Job::Statement(reply) => self.statements.push(reply),
        }
    }

    /// Requests of both kinds.
    pub(super) fn len(&self) -> usize {
        self.transactions.len() + self.statements.len()
    }
}

impl Queue {
    /// Adds to the end.
    pub(super) fn push(&mut self, job: Job) {
        #[cfg(test)]
        if super::simulation::Fault::QueueJumper.is_seeded() {
            return self.jobs().push_front(job);
        }
        self.jobs().push_back(job);
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|jobs| jobs.is_empty())
    }

    /// Whether a transaction waits.
    pub(super) fn has_transactions(&self) -> bool {
        self.0.iter().flat_map(|jobs| jobs.iter()).any(|job| matches!(job, Job::Transaction(..)))
    }

    fn jobs(&mut self) -> &mut VecDeque<Job> {
        self.0.get_or_insert_default()
    }

    /// Takes the longest front that has at most `room` transactions. Statements take no room:
    /// all that are cut share one query.
    ///
    /// In mode `serial` at most one request is taken, of whichever kind.
    pub(super) fn cut(&mut self, room: usize, mode: Mode) -> Cut {
        let mut cut = Cut::default();
        let Some(jobs) = &mut self.0 else { return cut };
        while let Some(job) = jobs.pop_front() {
            match job {
                Job::Transaction(..) if cut.transactions.len() == room => {
                    jobs.push_front(job);
                    break;
                }
                job => cut.add(job),
            }
            if mode == Mode::Serial {
                break;
            }
        }
        cut
    }

    /// Takes the statements out, past the transactions before them: none of those is answered yet.
    pub(super) fn take_statements(&mut self) -> Cut {
        let mut cut = Cut::default();
        let Some(jobs) = &mut self.0 else { return cut };
        let (statements, others) =
            std::mem::take(&mut **jobs).into_iter().partition(|job| matches!(job, Job::Statement(_)));
        **jobs = others;
        VecDeque::into_iter(statements).for_each(|job| cut.add(job));
        cut
    }

    /// Lets go of everything that waits, unanswered: their callers are told so.
    pub(super) fn clear(&mut self) -> usize {
        self.0.take().map_or(0, |jobs| jobs.len())
    }

    /// Gives the buffer back: most clients idle most of the time, and a request is larger than
    /// everything else that an idle mailbox has.
    pub(super) fn release_memory(&mut self) {
        debug_assert!(self.is_empty(), "nothing may wait");
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::job::{self, Ticket};
    use super::*;
    use crate::domain::{Amount, Description, Kind};
    use crate::observing::RequestId;

    fn transaction(cents: i64) -> Job {
        let transaction = Transaction {
            amount: Amount::try_from(cents).expect("positive"),
            kind: Kind::Credit,
            description: Description::try_from("x").expect("one character"),
            key: None,
        };
        job::transaction(transaction, Ticket::new(RequestId::made(), None)).0
    }

    fn statement() -> Job {
        job::statement(Ticket::new(RequestId::made(), None)).0
    }

    fn queue(jobs: Vec<Job>) -> Queue {
        let mut queue = Queue::default();
        jobs.into_iter().for_each(|job| queue.push(job));
        queue
    }

    fn cents(cut: &Cut) -> Vec<i64> {
        cut.transactions.iter().map(|(transaction, _)| transaction.amount.cents()).collect()
    }

    #[test]
    fn a_cut_keeps_the_order_and_leaves_what_does_not_fit() {
        let mut queue = queue((1..=5).map(transaction).collect());
        assert_eq!(cents(&queue.cut(3, Mode::Batched)), [1, 2, 3]);
        assert_eq!(cents(&queue.cut(3, Mode::Batched)), [4, 5]);
        assert!(queue.is_empty());
        assert_eq!(queue.cut(3, Mode::Batched).len(), 0);
    }

    #[test]
    fn statements_take_no_room_but_never_overtake_a_transaction_left_behind() {
        let jobs = vec![statement(), transaction(1), statement(), transaction(2), statement()];
        let mut queue = queue(jobs);
        let cut = queue.cut(1, Mode::Batched);
        assert_eq!((cents(&cut), cut.statements.len()), (vec![1], 2));
        let cut = queue.cut(1, Mode::Batched);
        assert_eq!((cents(&cut), cut.statements.len()), (vec![2], 1));
    }

    #[test]
    fn serial_takes_one_request_of_either_kind() {
        let mut queue = queue(vec![transaction(1), statement(), transaction(2)]);
        let sizes: Vec<_> = std::iter::repeat_with(|| queue.cut(1, Mode::Serial))
            .take(3)
            .map(|c| (c.transactions.len(), c.statements.len()))
            .collect();
        assert_eq!(sizes, [(1, 0), (0, 1), (1, 0)]);
    }

    #[test]
    fn an_idle_queue_holds_no_memory() {
        let mut queue = queue(vec![transaction(1)]);
        assert_eq!(queue.cut(1, Mode::Batched).len(), 1);
        queue.release_memory();
        assert!(queue.0.is_none());
    }

    #[test]
    fn a_load_is_bounded() {
        let load = Load::default();
        assert!(load.try_enter(2) && load.try_enter(2));
        assert!(!load.try_enter(2), "the bound is reached");
        load.leave(1);
        assert!(load.try_enter(2) && !load.is_empty());
    }
}
