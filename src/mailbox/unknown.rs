//! Outcomes that nobody knows, in the log: which calls, which clients, which requests.
//!
//! A line for each call, and for each caller who was told so while a call was still out; so many a second and
//! thread, and a line that counts those left out.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::Instant;

use super::job::Reply;
use super::{LedgerError, Run, Ticket};
use crate::domain::{ClientId, Outcome};
use crate::observing::Place;

/// Lines of a second. A thread has fewer connections by default, each of which has to be opened again.
const LINES: u32 = 32;

/// How long those lines last.
const SECOND: Duration = Duration::from_secs(1);

/// Requests that a line names.
const NAMED: usize = 64;

thread_local! {
    static LOG: RefCell<UnknownLog> = const { RefCell::new(UnknownLog { second: None, left_out: None }) };
}

/// One thread's.
struct UnknownLog {
    /// When the current second began, and its lines.
    second: Option<(Instant, u32)>,
    left_out: Option<LeftOut>,
}

/// What there was no line for: so many, of calls with numbers from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LeftOut {
    count: u32,
    first: u64,
    last: u64,
}

/// Tells of a call that was sent and whose answer was lost.
pub(super) fn tell_call(
    call: u64,
    place: Option<Place>,
    error: &LedgerError,
    runs: &[Run],
    replies: &[Reply<Outcome>],
) {
    if !may_tell(call) {
        return;
    }
    let clients: Vec<String> = runs.iter().map(|run| run.client.to_string()).collect();
    let ids: Vec<&str> = replies.iter().take(NAMED).map(|reply| reply.ticket.id().as_str()).collect();
    tracing::warn!(
        flush = call,
        clients = clients.join(" "),
        request_ids = ids.join(" "),
        not_named = replies.len() - ids.len(),
        trace_id = place.map(|place| place.trace_id()),
        %error,
        "what became of a call is not known"
    );
}

/// Tells of a call that was given up while it was out: its thread ends, or panicked. There are no more of those
/// than connections.
pub(super) fn tell_abandoned(call: u64, place: Option<Place>, clients: impl Iterator<Item = ClientId>) {
    let clients: Vec<String> = clients.map(|client| client.to_string()).collect();
    let trace_id = place.map(|place| place.trace_id());
    tracing::warn!(
        flush = call,
        clients = clients.join(" "),
        trace_id,
        "a call was given up while it was out"
    );
}

/// Tells of a caller who was told that the outcome is not known before its call was over.
pub(super) fn tell_caller(client: ClientId, ticket: &Ticket) {
    let call = ticket.call().unwrap_or_default();
    if may_tell(call) {
        tracing::warn!(
            flush = call,
            client = client.get(),
            request_id = ticket.id().as_str(),
            trace_id = ticket.place().map(Place::trace_id),
            "a caller was told that the outcome is not known, while its call was out"
        );
    }
}

/// Says whether there is a line left in this second; else the call is among those left out, who are told of
/// once it is over.
fn may_tell(call: u64) -> bool {
    let now = Instant::now();
    LOG.with_borrow_mut(|log| {
        let may = log.admit(now, call);
        if !may && log.left_out.is_some_and(|left_out| left_out.count == 1) {
            tokio::task::spawn_local(tell_left_out());
        }
        may
    })
}

async fn tell_left_out() {
    tokio::time::sleep(SECOND).await;
    if let Some(LeftOut { count, first, last }) = LOG.with_borrow_mut(|log| log.left_out.take()) {
        tracing::warn!(
            left_out = count,
            first_flush = first,
            last_flush = last,
            "more outcomes are not known than there are lines for"
        );
    }
}

impl UnknownLog {
    fn admit(&mut self, now: Instant, call: u64) -> bool {
        let current = self.second.filter(|(began, _)| now.duration_since(*began) < SECOND);
        let (began, lines) = current.unwrap_or((now, 0));
        if lines < LINES {
            self.second = Some((began, lines + 1));
            return true;
        }
        let LeftOut { count, first, last } =
            self.left_out.unwrap_or(LeftOut { count: 0, first: call, last: call });
        self.left_out = Some(LeftOut { count: count + 1, first: first.min(call), last: last.max(call) });
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_lines_and_what_is_left_out_is_counted() {
        let (mut log, start) = (UnknownLog { second: None, left_out: None }, Instant::now());
        let calls = 1..=u64::from(LINES);
        assert!(calls.clone().all(|call| log.admit(start, call)));
        assert_eq!(log.left_out, None);
        assert!(!log.admit(start, 99) && !log.admit(start + SECOND / 2, 98));
        assert_eq!(log.left_out, Some(LeftOut { count: 2, first: 98, last: 99 }));
        assert!(log.admit(start + SECOND, 100), "another second");
    }
}
