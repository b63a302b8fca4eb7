//! The slowest requests, each with the call that carried it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use serde::Serialize;

use super::format::{CallRecord, CallReport, Line, RequestRecord, Xid};
use super::holders::{Hold, Holder, Key, WAIT_MIN, Wait, Waited};

/// Calls that are remembered for requests that come behind them in the file. A request's line is
/// never far from its call's.
const RECENT_MAX: usize = 65_536;

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
    /// Who held its rows while it waited, where that was for 100 µs and more.
    pub row: Option<Row>,
}

/// Who held the rows that a call waited for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Row {
    /// These, one behind the other.
    HeldBy(Vec<HeldBy>),
    /// Nobody.
    Free,
    /// It is not known.
    Unknown,
}

/// Somebody who held a row, and when, in microseconds since the wait began.
#[derive(Clone, Debug, Serialize)]
pub(super) struct HeldBy {
    /// The call's instance; absent for somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Its number.
    #[serde(rename = "flush", skip_serializing_if = "Option::is_none")]
    pub call: Option<u64>,
    /// The database transaction of somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<Xid>,
    /// From when on.
    pub from: u64,
    /// Until when.
    pub to: u64,
}

#[derive(Clone)]
struct Call {
    at: u64,
    connection: u64,
    report: CallReport,
    wait: Option<Wait>,
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

    /// Takes who held the rows that a call waited for.
    pub(super) fn add_wait(&mut self, waited: &Waited) {
        if self.wanted > 0 {
            self.calls.add_wait(waited);
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
        let call = |candidate: &Candidate| candidate.key().and_then(|key| kept.get(&key)?.clone());
        slowest
            .into_iter()
            .map(|candidate| {
                let call = call(&candidate);
                candidate.finish(&instance, call)
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

    fn finish(self, instance: &impl Fn(usize) -> String, call: Option<Call>) -> SlowRequest {
        let Reverse(at) = self.at;
        let queued = self.queued;
        let row = call.as_ref().and_then(|call| call.wait.as_ref()).map(|wait| Row::of(wait, instance));
        let call = call.as_ref();
        let body = call.zip(queued).map(|(call, queued)| call.at.saturating_sub(queued).saturating_sub(at));
        let rest = call.zip(queued).zip(body).map(|((call, queued), body)| {
            let parts = call.report.parts().map(|(_, micros)| micros);
            [body, queued, call.connection].into_iter().chain(parts).fold(self.took, u64::saturating_sub)
        });
        SlowRequest {
            id: self.id,
            instance: instance(self.run),
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
            row,
        }
    }
}

impl Row {
    fn of(wait: &Wait, instance: impl Fn(usize) -> String) -> Self {
        let held_by = |Hold { holder, from, to }: &Hold| {
            let (from, to) = (*from, *to);
            match holder {
                Holder::Call((run, call)) => {
                    HeldBy { instance: Some(instance(*run)), call: Some(*call), transaction: None, from, to }
                }
                Holder::Other(id) => HeldBy { instance: None, call: None, transaction: Some(*id), from, to },
            }
        };
        match wait {
            Wait::Held(holds) => Self::HeldBy(holds.iter().map(held_by).collect()),
            Wait::Free => Self::Free,
            Wait::Unknown => Self::Unknown,
        }
    }
}

impl Call {
    fn of(call: &CallRecord<'_>) -> Self {
        let CallRecord { at, connection, report, .. } = *call;
        // Until it is looked into.
        let wait = (report.row_wait >= WAIT_MIN).then_some(Wait::Unknown);
        Self { at, connection, report, wait }
    }
}

impl Calls {
    fn add(&mut self, key: Key, call: Call) {
        if let Some(waited_for) = self.kept.get_mut(&key) {
            *waited_for = Some(call.clone());
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
        let seen = self.recent.get(&key).cloned();
        let kept = self.kept.entry(key).or_default();
        if kept.is_none() {
            *kept = seen;
        }
    }

    fn add_wait(&mut self, waited: &Waited) {
        let kept = self.kept.get_mut(&waited.call).and_then(Option::as_mut);
        for call in self.recent.get_mut(&waited.call).into_iter().chain(kept) {
            call.wait = Some(waited.wait.clone());
        }
    }
}
