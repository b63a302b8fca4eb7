//! An outage of the ledger in the log: a line when it begins, one when it ends with its counts, and at most one
//! a minute between. Now and then a call may get through in the middle of it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::LedgerError;

/// The outage is over once no call has failed for so long.
const QUIET: Duration = Duration::from_secs(1);

/// How long nothing is said while it goes on.
const SILENCE: Duration = Duration::from_secs(60);

/// One thread's.
#[derive(Default)]
pub(super) struct OutageLog(Cell<Option<Outage>>);

#[derive(Clone, Copy)]
struct Outage {
    began: Instant,
    last_failure: Instant,
    last_told: Instant,
    failures: u64,
}

/// What there is to tell.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Began,
    GoesOn,
    Ended,
}

impl OutageLog {
    /// A call has failed.
    pub(super) fn failed(&self, error: &LedgerError) {
        let (news, outage) = self.note_failure(Instant::now());
        let (failures, seconds) = (outage.failures, outage.began.elapsed().as_secs());
        match news {
            Some(News::Began) => {
                tracing::error!(%error, "a database call failed; others are counted until they get through again");
            }
            Some(_) => tracing::error!(%error, failures, seconds, "database calls go on failing"),
            None => tracing::debug!(%error, "a database call failed again"),
        }
    }

    /// A call has succeeded.
    pub(super) fn succeeded(&self) {
        if self.0.get().is_some()
            && let (Some(News::Ended), outage) = self.note_success(Instant::now())
        {
            let seconds = outage.last_failure.duration_since(outage.began).as_secs_f64();
            tracing::info!(failures = outage.failures, seconds, "the database answers again");
        }
    }

    fn note_failure(&self, now: Instant) -> (Option<News>, Outage) {
        let known = self.0.get();
        let mut outage =
            known.unwrap_or(Outage { began: now, last_failure: now, last_told: now, failures: 0 });
        let news = match known {
            None => Some(News::Began),
            Some(_) if now.duration_since(outage.last_told) >= SILENCE => Some(News::GoesOn),
            Some(_) => None,
        };
        outage.failures += 1;
        outage.last_failure = now;
        if news.is_some() {
            outage.last_told = now;
        }
        self.0.set(Some(outage));
        (news, outage)
    }

    fn note_success(&self, now: Instant) -> (Option<News>, Outage) {
        let began = Outage { began: now, last_failure: now, last_told: now, failures: 0 };
        let outage = self.0.get().unwrap_or(began);
        if now.duration_since(outage.last_failure) < QUIET {
            return (None, outage);
        }
        self.0.set(None);
        (Some(News::Ended), outage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_when_it_begins_once_a_minute_and_when_it_ends() {
        let (log, start) = (OutageLog::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(log.note_failure(start).0, Some(News::Began));
        // A call that gets through now and then is not its end.
        for second in 1..60 {
            assert_eq!(log.note_failure(after(second)).0, None);
            assert_eq!(log.note_success(after(second)).0, None);
        }
        assert_eq!(log.note_failure(after(60)).0, Some(News::GoesOn));
        assert_eq!(log.note_failure(after(61)).0, None);
        let (news, outage) = log.note_success(after(62));
        assert_eq!((news, outage.failures), (Some(News::Ended), 62));
        assert_eq!(log.note_failure(after(63)).0, Some(News::Began), "another one");
    }
}
