//! The slowest requests, each with the call that carried it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use serde::Serialize;

use super::format::{CallRecord, CallReport, Line, RequestRecord};

/// Calls that are remembered for requests that come behind them in the file. A request's line is
/// never far from its call's.
const RECENT_MAX: usize = 65_536;

/// A call of a run.
type Key = (usize, u64);

/// Keeps the slowest requests seen.
pub(super) struct Slowest {
    wanted: usize,
    /// The fastest of them on top.
    heap: BinaryHeap<Reverse<Candidate>>,
    calls: Calls,
}

/// A slow request, ordered by how long it took, then by its arrival: the earlier counts as slower.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    took: u64,
    at: Reverse<u64>,
    run: usize,
    id: String,
    client: Option<i32>,
    kind: String,
    outcome: String,
    status: Option<u16>,
    queued: Option<u64>,
    call: Option<u64>,
}

/// One of the slowest requests. Its parts, in microseconds, add up to what it took; those that
/// are not known are absent, and then so is `rest`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SlowRequest {
    /// Its id.
    pub id: String,
    /// Where it was.
    pub instance: String,
    /// Whose it was.
    pub client: Option<i32>,
    /// What it was.
    pub kind: String,
    /// What became of it.
    pub outcome: String,
    /// Its status.
    pub status: Option<u16>,
    /// When it arrived.
    pub at: u64,
    /// From its arrival to its answer.
    pub took: u64,
    /// The call that carried it.
    #[serde(rename = "flush")]
    pub call: Option<u64>,
    /// From its head to the mailbox: its body arrived meanwhile.
    pub body: Option<u64>,
    /// In the mailbox.
    pub queued: Option<u64>,
    /// Waiting for a connection.
    pub connection: Option<u64>,
    /// What the database says of the call.
    #[serde(flatten)]
    pub report: Option<CallReport>,
    /// The rest: the commit, the way there and back.
    pub rest: Option<u64>,
}

#[derive(Clone, Copy)]
struct Call {
    at: u64,
    connection: u64,
    report: CallReport,
}

/// Calls that have gone by lately, and those that slow requests are waiting to see.
#[derive(Default)]
struct Calls {
    recent: HashMap<Key, Call>,
    order: VecDeque<Key>,
    kept: HashMap<Key, Option<Call>>,
}

impl Slowest {
    pub(super) fn new(wanted: usize) -> Self {
        Self { wanted, heap: BinaryHeap::new(), calls: Calls::default() }
    }

    pub(super) fn add(&mut self, run: usize, line: &Line<'_>) {
        match line {
            Line::Request(request) => self.add_request(run, request),
            Line::Call(call) if self.wanted > 0 => self.calls.add((run, call.id), Call::of(call)),
            _ => {}
        }
    }

    fn add_request(&mut self, run: usize, request: &RequestRecord<'_>) {
        let Some(took) = request.took else { return };
        let rank = (took, Reverse(request.at));
        let least = self.heap.peek().map(|Reverse(least)| (least.took, least.at));
        let full = self.heap.len() >= self.wanted;
        if full && least.is_none_or(|least| rank <= least) {
            return;
        }
        if full {
            self.heap.pop();
        }
        if let Some(call) = request.call {
            self.calls.keep((run, call));
        }
        self.heap.push(Reverse(Candidate::of(run, took, request)));
        if self.calls.kept.len() > 4 * self.wanted + 64 {
            self.forget_others();
        }
    }

    /// Calls of requests that others were slower than are no longer of interest.
    fn forget_others(&mut self) {
        let keys: std::collections::HashSet<Key> =
            self.heap.iter().filter_map(|Reverse(candidate)| candidate.key()).collect();
        self.calls.kept.retain(|key, _| keys.contains(key));
    }

    /// Returns the slowest first; `instance` names a run's instance.
    pub(super) fn finish(self, instance: impl Fn(usize) -> String) -> Vec<SlowRequest> {
        let mut slowest: Vec<Candidate> = self.heap.into_iter().map(|Reverse(candidate)| candidate).collect();
        slowest.sort_by(|a, b| b.cmp(a));
        let kept = &self.calls.kept;
        let call = |candidate: &Candidate| candidate.key().and_then(|key| *kept.get(&key)?);
        slowest
            .into_iter()
            .map(|candidate| {
                let (instance, call) = (instance(candidate.run), call(&candidate));
                candidate.finish(instance, call)
            })
            .collect()
    }
}

impl Candidate {
    fn of(run: usize, took: u64, request: &RequestRecord<'_>) -> Self {
        Self {
            took,
            at: Reverse(request.at),
            run,
            id: request.id.to_string(),
            client: request.client,
            kind: request.kind.to_string(),
            outcome: request.outcome.to_string(),
            status: request.status,
            queued: request.queued,
            call: request.call,
        }
    }

    fn key(&self) -> Option<Key> {
        Some((self.run, self.call?))
    }

    fn finish(self, instance: String, call: Option<Call>) -> SlowRequest {
        let Reverse(at) = self.at;
        let queued = self.queued;
        let body = call.zip(queued).map(|(call, queued)| call.at.saturating_sub(queued).saturating_sub(at));
        let rest = call.zip(queued).zip(body).map(|((call, queued), body)| {
            let parts = call.report.parts().map(|(_, micros)| micros);
            [body, queued, call.connection].into_iter().chain(parts).fold(self.took, u64::saturating_sub)
        });
        SlowRequest {
            id: self.id,
            instance,
            client: self.client,
            kind: self.kind,
            outcome: self.outcome,
            status: self.status,
            at,
            took: self.took,
            call: self.call,
            body,
            queued,
            connection: call.map(|call| call.connection),
            report: call.map(|call| call.report),
            rest,
        }
    }
}

impl Call {
    fn of(call: &CallRecord<'_>) -> Self {
        let CallRecord { at, connection, report, .. } = *call;
        Self { at, connection, report }
    }
}

impl Calls {
    fn add(&mut self, key: Key, call: Call) {
        if let Some(waited_for) = self.kept.get_mut(&key) {
            *waited_for = Some(call);
        }
        if self.recent.insert(key, call).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.recent.remove(&oldest);
        }
    }

    fn keep(&mut self, key: Key) {
        let seen = self.recent.get(&key).copied();
        let kept = self.kept.entry(key).or_default();
        *kept = kept.or(seen);
    }
}
