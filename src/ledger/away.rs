//! While the database cannot be reached, one prober asks for it, ever more slowly; everybody else is
//! refused at once. Each connection that is tried costs a server that recovers a process of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{HookError, Pool, PoolError, TimeoutType};
use tokio::sync::Notify;

use super::SILENT;

/// Pauses of the prober: each is drawn from the upper half of a time that doubles up to the longest.
const SHORTEST: Duration = Duration::from_millis(25);
const LONGEST: Duration = Duration::from_millis(300);

/// Whether the database is away, as all pools of an instance know it.
#[derive(Clone, Debug, Default)]
pub(super) struct Away(Arc<State>);

#[derive(Debug, Default)]
struct State {
    away: AtomicBool,
    /// Tells whoever waits that the prober has ended.
    back: Notify,
}

impl Away {
    /// Returns whether it is, so that only connections which are there already may be tried.
    pub(super) fn is_away(&self) -> bool {
        self.0.away.load(Ordering::Acquire)
    }

    /// Waits until the prober gets through.
    pub(super) async fn until_back(&self) {
        self.0.back.notified().await;
    }

    /// Notes that a connection could not be had. If none could be opened, the prober starts, unless there is
    /// one.
    pub(super) fn note(&self, error: &PoolError, pool: &Pool) {
        let unreachable = match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                error.as_db_error().is_none_or(|db| db.code().code().starts_with("57"))
            }
            PoolError::PostCreateHook(HookError::Message(why)) => why == SILENT,
            PoolError::Timeout(timeout) => matches!(timeout, TimeoutType::Create),
            _ => false,
        };
        if unreachable && !self.0.away.swap(true, Ordering::AcqRel) {
            let (probing, pool) = (Probing(self.clone()), pool.clone());
            tokio::task::spawn_local(probing.probe(pool));
        }
    }
}

/// The prober. However it ends, the next failure starts another.
struct Probing(Away);

impl Probing {
    async fn probe(self, pool: Pool) {
        let mut pause = SHORTEST;
        loop {
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            match pool.get().await {
                Ok(_) => return,
                Err(error) => tracing::debug!(%error, "the database is still away"),
            }
            pause = (pause * 2).min(LONGEST);
        }
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        let Away(state) = &self.0;
        state.away.store(false, Ordering::Release);
        state.back.notify_waiters();
    }
}
