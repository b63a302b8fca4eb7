//! A connection while a call has it: its deadlines, and whether it may be given back.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use deadpool_postgres::{Object, Pool};

use super::writing::Writing;
use super::{calls, error};
use crate::domain::{BankStatement, ClientId};
use crate::mailbox::{CallOutcomes, LedgerConnection, LedgerError, LocalFuture, RowWait, Run};
use crate::observing::metrics::PoolMetrics;

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    pub(super) call: Duration,
    /// `lock_timeout` as connections have it.
    pub(super) brief_wait: Duration,
    /// `lock_timeout` for a call that is to wait for its row.
    pub(super) long_wait: Duration,
}

/// Counts the connections of a pool into the metrics, which all pools of the instance share.
pub(super) struct Opened {
    pool: Pool,
    pub(super) metrics: PoolMetrics,
    /// Connections as last counted.
    counted: Cell<i64>,
}

impl Opened {
    pub(super) fn new(pool: Pool, metrics: PoolMetrics) -> Self {
        Self { pool, metrics, counted: Cell::new(0) }
    }

    pub(super) fn count(&self) {
        let open = self.pool.status().size as i64;
        self.metrics.open.inc_by(open - self.counted.replace(open));
    }
}

/// A connection taken from the pool. Dropping it gives it back, unless a call's outcome was lost on it, or nobody
/// waited for it any more: then a query may still run, or nobody is at its other end, and it is closed.
pub(super) struct PgConnection {
    /// `Some` until dropped.
    client: Option<Object>,
    spoilt: Cell<bool>,
    /// Calls that were begun and are not over.
    calls: Cell<usize>,
    /// Whether its `lock_timeout` is not the brief one, so that it may not be given back.
    patient: Cell<bool>,
    deadlines: Deadlines,
    writing: Writing,
    opened: Rc<Opened>,
}

impl PgConnection {
    pub(super) fn new(client: Object, deadlines: Deadlines, writing: Writing, opened: Rc<Opened>) -> Self {
        opened.metrics.in_use.inc();
        let (spoilt, calls, patient) = (Cell::new(false), Cell::new(0), Cell::new(false));
        Self { client: Some(client), spoilt, calls, patient, deadlines, writing, opened }
    }

    pub(super) fn client(&self) -> &Object {
        self.client.as_ref().expect("it is taken only when dropped")
    }

    /// Waits for a call, at most the call's deadline; past it the connection is spoilt.
    pub(super) async fn within_deadline<T>(
        &self,
        call: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        // Who stops to wait leaves it counted.
        self.calls.set(self.calls.get() + 1);
        let result = tokio::time::timeout(self.deadlines.call, call).await;
        self.calls.set(self.calls.get() - 1);
        match result {
            Ok(result) => {
                if matches!(result, Err(LedgerError::OutcomeUnknown(_))) {
                    // What broke it off may not have reached the connection itself yet.
                    self.spoilt.set(true);
                }
                result
            }
            Err(_elapsed) => {
                self.spoilt.set(true);
                Err(error::overdue(self.deadlines.call))
            }
        }
    }

    /// Applies the runs with this `lock_timeout`, and puts the brief one back.
    async fn apply_patiently(&self, runs: &[Run], wait: Duration) -> Result<CallOutcomes, LedgerError> {
        let set = |wait: Duration| {
            let sql = format!("SET lock_timeout = {}", wait.as_millis());
            async move { self.client().batch_execute(&sql).await }
        };
        self.patient.set(true);
        let (_, applied) = tokio::join!(set(wait), self.writing.apply(self.client(), runs));
        self.patient.set(set(self.deadlines.brief_wait).await.is_err());
        applied
    }
}

impl LedgerConnection for PgConnection {
    fn apply<'a>(
        &'a self,
        runs: &'a [Run],
        row_wait: RowWait,
    ) -> LocalFuture<'a, Result<CallOutcomes, LedgerError>> {
        let Deadlines { brief_wait, long_wait, .. } = self.deadlines;
        let wait = match row_wait {
            RowWait::Brief => brief_wait,
            RowWait::Long => long_wait,
        };
        match brief_wait < wait {
            true => Box::pin(self.within_deadline(self.apply_patiently(runs, wait))),
            false => Box::pin(self.within_deadline(self.writing.apply(self.client(), runs))),
        }
    }

    fn held<'a>(&'a self, clients: &'a [ClientId]) -> LocalFuture<'a, Result<Vec<ClientId>, LedgerError>> {
        Box::pin(self.within_deadline(calls::held(self.client(), clients)))
    }

    fn statements<'a>(
        &'a self,
        clients: &'a [ClientId],
    ) -> LocalFuture<'a, Result<Vec<Option<BankStatement>>, LedgerError>> {
        Box::pin(self.within_deadline(calls::statements(self.client(), clients)))
    }
}

impl Drop for PgConnection {
    fn drop(&mut self) {
        self.opened.metrics.in_use.dec();
        if let Some(client) = self.client.take()
            && (self.spoilt.get() || self.calls.get() > 0 || self.patient.get())
        {
            drop(Object::take(client));
            self.opened.count();
        }
    }
}
