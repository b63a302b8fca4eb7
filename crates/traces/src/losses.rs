//! What requests' time was lost to: the parts of it, of all requests together, of each run and of each client.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;

use super::format::{CallRecord, Line, RequestRecord};
use super::holders::Key;

/// Clients that are told apart; at most about 60 kB each. All that come after them count as one.
pub(super) const CLIENTS_MAX: usize = 1_024;

/// Calls that are remembered for requests whose lines come behind them, and calls that requests wait to see.
const CALLS_MAX: usize = 65_536;

/// Microseconds of requests' time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Losses {
    /// Until the body had arrived.
    pub arrival: u64,
    /// In mailboxes.
    pub mailbox: u64,
    /// Waiting for a connection.
    pub connection: u64,
    /// Waiting for rows.
    pub row: u64,
    /// In the stored functions, with the rows.
    pub work: u64,
    /// Commit, the way there and back.
    pub rest: u64,
    /// Of requests that no call has carried, or whose call is not in the files.
    pub unknown: u64,
}

/// A call's part in its requests' time.
#[derive(Clone, Copy)]
struct Call {
    at: u64,
    connection: u64,
    row: u64,
    work: u64,
}

struct Request {
    client: Option<i32>,
    at: u64,
    queued: u64,
    took: u64,
}

/// Losses in the making.
#[derive(Default)]
pub(super) struct Losing {
    calls: HashMap<Key, Call>,
    order: VecDeque<Key>,
    waiting: HashMap<Key, Vec<Request>>,
    waiting_order: VecDeque<Key>,
    lost: Lost,
}

/// What was lost, where.
#[derive(Debug, Default)]
pub(super) struct Lost {
    pub(super) total: Losses,
    /// By the run's position.
    pub(super) runs: HashMap<usize, Losses>,
    /// Of clients as far as they are told apart.
    pub(super) clients: HashMap<i32, Losses>,
}

impl Losses {
    /// The names of its parts, as the page's style sheet has them, and in words.
    pub(super) const PARTS: [(&'static str, &'static str); 7] = [
        ("arrival", "arrival"),
        ("waiting", "mailbox"),
        ("connection", "connection"),
        ("lock", "row"),
        ("work", "work"),
        ("rest", "commit, way"),
        ("back", "no call"),
    ];

    /// Returns its parts in the order of [`Losses::PARTS`].
    pub(super) fn values(&self) -> [u64; 7] {
        let Self { arrival, mailbox, connection, row, work, rest, unknown } = *self;
        [arrival, mailbox, connection, row, work, rest, unknown]
    }

    /// Returns each part's words and its share of the whole, the largest first.
    pub(super) fn shares(&self) -> Vec<(&'static str, f64)> {
        let whole = self.values().iter().fold(0, |sum: u64, part| sum.saturating_add(*part)).max(1) as f64;
        let parts = Self::PARTS.iter().zip(self.values());
        let mut shares: Vec<_> = parts.map(|((_, words), part)| (*words, part as f64 / whole)).collect();
        shares.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        shares
    }

    fn add(&mut self, other: &Self) {
        let sum = |own: &mut u64, more: u64| *own = own.saturating_add(more);
        sum(&mut self.arrival, other.arrival);
        sum(&mut self.mailbox, other.mailbox);
        sum(&mut self.connection, other.connection);
        sum(&mut self.row, other.row);
        sum(&mut self.work, other.work);
        sum(&mut self.rest, other.rest);
        sum(&mut self.unknown, other.unknown);
    }
}

impl Losing {
    /// Adds a line of the run.
    pub(super) fn add(&mut self, run: usize, line: &Line<'_>) {
        match line {
            Line::Request(request) => self.add_request(run, request),
            Line::Call(call) => self.add_call((run, call.id), call),
            _ => {}
        }
    }

    fn add_request(&mut self, run: usize, record: &RequestRecord<'_>) {
        let Some(took) = record.took else { return };
        let queued = record.queued.unwrap_or(0);
        let request = Request { client: record.client, at: record.at, queued, took };
        let Some(key) = record.call.map(|call| (run, call)) else {
            self.lost.add(run, &request, None);
            return;
        };
        if let Some(call) = self.calls.get(&key) {
            self.lost.add(run, &request, Some(*call));
            return;
        }
        let waiting = self.waiting.entry(key).or_default();
        if waiting.is_empty() {
            self.waiting_order.push_back(key);
        }
        waiting.push(request);
        if self.waiting_order.len() > CALLS_MAX
            && let Some(oldest) = self.waiting_order.pop_front()
        {
            self.give_up(oldest);
        }
    }

    fn add_call(&mut self, key: Key, record: &CallRecord<'_>) {
        let CallRecord { at, connection, report, .. } = *record;
        let call = Call { at, connection, row: report.row_wait, work: report.work };
        for request in self.waiting.remove(&key).unwrap_or_default() {
            self.lost.add(key.0, &request, Some(call));
        }
        if self.calls.insert(key, call).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > CALLS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.calls.remove(&oldest);
        }
    }

    fn give_up(&mut self, key: Key) {
        for request in self.waiting.remove(&key).unwrap_or_default() {
            self.lost.add(key.0, &request, None);
        }
    }

    /// Returns what was lost.
    pub(super) fn finish(mut self) -> Lost {
        while let Some(key) = self.waiting_order.pop_front() {
            self.give_up(key);
        }
        self.lost
    }
}

impl Lost {
    fn add(&mut self, run: usize, request: &Request, call: Option<Call>) {
        let mut left = request.took;
        let mut part = |micros: u64| {
            let part = micros.min(left);
            left -= part;
            part
        };
        let losses = match call {
            Some(call) => Losses {
                arrival: part(call.at.saturating_sub(request.queued).saturating_sub(request.at)),
                mailbox: part(request.queued),
                connection: part(call.connection),
                row: part(call.row),
                work: part(call.work),
                rest: part(u64::MAX),
                unknown: 0,
            },
            None => Losses { unknown: request.took, ..Losses::default() },
        };
        self.total.add(&losses);
        self.runs.entry(run).or_default().add(&losses);
        let full = self.clients.len() >= CLIENTS_MAX;
        if let Some(client) = request.client.filter(|client| !full || self.clients.contains_key(client)) {
            self.clients.entry(client).or_default().add(&losses);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::CallReport;
    use super::*;

    fn request(at: u64, queued: Option<u64>, call: Option<u64>, took: u64) -> Line<'static> {
        Line::Request(RequestRecord {
            client: Some(1),
            at,
            queued,
            call,
            took: Some(took),
            ..RequestRecord::default()
        })
    }

    fn call(id: u64, at: u64) -> Line<'static> {
        let report = CallReport { row_wait: 300, work: 50 };
        Line::Call(CallRecord { id, at, connection: 10, report, ..CallRecord::default() })
    }

    /// Lines of requests stand before their call's, or behind it.
    #[test]
    fn the_parts_are_the_whole() {
        let mut losing = Losing::default();
        for line in [
            request(1_000, Some(150), Some(7), 900),
            call(7, 1_200),
            request(1_100, Some(100), Some(7), 800),
            request(2_000, None, None, 5),
            request(3_000, Some(1), Some(8), 40),
        ] {
            losing.add(0, &line);
        }
        let lost = losing.finish();
        let expected =
            Losses { arrival: 50, mailbox: 250, connection: 20, row: 600, work: 100, rest: 680, unknown: 45 };
        assert_eq!((lost.total, lost.runs[&0], lost.clients[&1]), (expected, expected, expected));
        assert_eq!(expected.values().iter().sum::<u64>(), 900 + 800 + 5 + 40);
        assert_eq!(expected.shares()[0].0, "commit, way");
    }
}
