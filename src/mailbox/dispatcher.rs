//! What a call needs of its thread to be made: the ledger, the observer, and how answers are judged and handed out.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use traces::format::CallRecord;

use super::job::{Reply, StatementReply, Timing};
use super::outage::OutageLog;
use super::{CallOutcomes, Ledger, LedgerConnection, LedgerError, Refusal, RowWait, Run};
use crate::domain::{ClientId, Outcome, Rejection};
use crate::observing::Observer;
use crate::observing::metrics::Gauge;

/// A run that waits apart, with its callers.
pub(super) type Apart = (Run, Vec<Reply<Outcome>>);

/// Makes the calls of one thread to one server.
pub(super) struct Dispatcher {
    pub(super) observer: Observer,
    pub(super) ledger: Rc<dyn Ledger>,
    pub(super) server: usize,
    outage: OutageLog,
}

impl Dispatcher {
    pub(super) fn new(ledger: Rc<dyn Ledger>, server: usize, observer: Observer) -> Self {
        Self { observer, ledger, server, outage: OutageLog::default() }
    }

    /// Applies the runs. Those whose rows somebody else holds are taken out, with their replies, and the
    /// rest is sent again; nothing is returned where no run is left.
    pub(super) async fn apply(
        &self,
        connection: &dyn LedgerConnection,
        runs: &mut Vec<Run>,
        replies: &mut Vec<Reply<Outcome>>,
        mut row_wait: RowWait,
    ) -> (Option<Result<CallOutcomes, LedgerError>>, Vec<Apart>) {
        let mut apart = Vec::new();
        while !runs.is_empty() {
            let applied = connection.apply(runs, row_wait).await;
            if !matches!(applied, Err(LedgerError::RowHeld(_))) || row_wait != RowWait::Brief {
                return (Some(applied), apart);
            }
            let clients: Vec<ClientId> = runs.iter().map(|run| run.client).collect();
            match connection.held(&clients).await {
                // The service's own calls take long, each of which others may join.
                Ok(held) if held.is_empty() => row_wait = RowWait::Long,
                Ok(held) => take_out(&held, runs, replies, &mut apart),
                Err(_) => return (Some(applied), apart),
            }
        }
        (None, apart)
    }

    /// Notes how a call went, in the log and in its record.
    pub(super) fn judge(
        &self,
        mut applied: Result<CallOutcomes, LedgerError>,
        record: &mut CallRecord<'_>,
    ) -> Result<CallOutcomes, Refusal> {
        match &mut applied {
            Ok(applied) => {
                self.outage.succeeded();
                record.report = applied.report;
                record.locks = applied.locks.take();
                if let Some(locks) = &mut record.locks {
                    locks.server = self.server as u64;
                }
                applied.outcomes.iter().for_each(|outcome| count(record, *outcome));
                record.applied -= applied.repeated;
                record.repeated = applied.repeated;
            }
            Err(error) => {
                self.note_failure(error);
                record.failure = Some(error.fate().into());
            }
        }
        applied.map_err(Refusal::from)
    }

    /// Hands out the outcomes of one call; returns the clients that do not exist.
    pub(super) fn answer(
        &self,
        runs: &[Run],
        replies: Vec<Reply<Outcome>>,
        applied: CallOutcomes,
        timing: Timing,
        cut_at: Instant,
    ) -> Vec<ClientId> {
        let mut unknown = Vec::new();
        let clients = runs.iter().flat_map(|run| std::iter::repeat_n(run.client, run.transactions.len()));
        for ((client, reply), outcome) in clients.zip(replies).zip(applied.outcomes) {
            if outcome == Err(Rejection::UnknownClient) && unknown.last() != Some(&client) {
                unknown.push(client);
            }
            let queued = cut_at.saturating_duration_since(reply.arrived);
            self.observer.mailbox.waited(queued);
            reply.answer(outcome, Timing { queued, ..timing });
        }
        unknown
    }

    /// Reads the clients' statements in one query, each once for all who wait for it; returns the clients that do not
    /// exist, and the fate of the query if it failed.
    pub(super) async fn read_statements(
        &self,
        connection: &dyn LedgerConnection,
        clients: &[ClientId],
        replies: Vec<Vec<StatementReply>>,
        timing: Timing,
        cut_at: Instant,
    ) -> (Vec<ClientId>, Option<&'static str>) {
        if clients.is_empty() {
            return (Vec::new(), None);
        }
        let sent_at = Instant::now();
        let statements = connection.statements(clients).await;
        let timing = Timing { database: sent_at.elapsed(), ..timing };
        let statements = match statements {
            Ok(statements) => statements,
            Err(error) => {
                self.note_failure(&error);
                let (fate, refusal) = (error.fate(), Refusal::from(error));
                replies.into_iter().flatten().for_each(|reply| reply.refuse(refusal));
                return (Vec::new(), Some(fate));
            }
        };
        self.observer.mailbox.statements.inc_by(replies.iter().map(|waiting| waiting.len() as u64).sum());
        let mut unknown = Vec::new();
        for ((client, statement), waiting) in clients.iter().zip(statements).zip(replies) {
            if statement.is_none() {
                unknown.push(*client);
            }
            let statement = statement.map(Arc::new);
            for reply in waiting {
                let queued = cut_at.saturating_duration_since(reply.arrived);
                reply.answer(statement.clone(), Timing { queued, ..timing });
            }
        }
        (unknown, None)
    }

    /// Counts a call for as long as it is out: what is returned.
    pub(super) fn out(&self, apart: bool) -> Out {
        let metrics = &self.observer.mailbox;
        let gauge = if apart { &metrics.row_waits } else { &metrics.calls };
        gauge.inc();
        Out(gauge.clone())
    }

    /// Counts and logs a failure; that one client waited in vain for its row is no outage.
    pub(super) fn note_failure(&self, error: &LedgerError) {
        self.observer.mailbox.failures.inc(error.fate());
        if matches!(error, LedgerError::RowHeld(_)) {
            tracing::debug!(%error, "a client waited in vain");
        } else {
            self.outage.failed(error);
        }
    }
}

/// A call that is out. Dropped, it is no longer.
pub(super) struct Out(Gauge);

impl Drop for Out {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Moves the runs of the held clients, with their replies, from `runs` and `replies` to `apart`.
fn take_out(
    held: &[ClientId],
    runs: &mut Vec<Run>,
    replies: &mut Vec<Reply<Outcome>>,
    apart: &mut Vec<Apart>,
) {
    let mut callers = std::mem::take(replies).into_iter();
    for run in std::mem::take(runs) {
        let of_run = callers.by_ref().take(run.transactions.len());
        if held.contains(&run.client) {
            apart.push((run, of_run.collect()));
        } else {
            replies.extend(of_run);
            runs.push(run);
        }
    }
}

fn count(record: &mut CallRecord<'_>, outcome: Outcome) {
    *match outcome {
        Ok(_) => &mut record.applied,
        Err(Rejection::LimitExceeded) => &mut record.limit_exceeded,
        Err(Rejection::BalanceOverflow) => &mut record.balance_overflow,
        Err(Rejection::UnknownClient) => &mut record.unknown_client,
        Err(Rejection::KeyReused) => &mut record.key_reused,
    } += 1;
}
