//! The plain model: what each request was told, against what the ledger did with it.

use std::collections::{HashMap, HashSet};

use super::super::{Bound, MailboxOptions, Refusal};
use crate::domain::{Applied, Outcome, Rejection};

/// Clients from here on do not exist.
pub(super) const UNKNOWN: i32 = 1_000;

/// Requests of a schedule at most: each is a bit of its client's balance.
pub(super) const MOST: usize = 60;

/// What the ledger says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Say {
    Yes,
    NotSent,
    RolledBack,
    RowHeld,
    /// The answer is lost: of what is not committed, it never will be.
    Unknown,
    Panic,
}

/// What is known of a request.
#[derive(Default)]
struct Request {
    client: i32,
    statement: bool,
    /// Told something, or its caller has left.
    over: bool,
    /// Certainly counted out of its mailbox: that is when all of its call is over, others' statements too.
    released: bool,
    /// How often it was sent, and how often that is known to have come to nothing.
    sent: usize,
    undone: usize,
    /// The balance with it, once it is applied.
    applied: Option<i64>,
    refused: Option<Refusal>,
    /// What its client's balance must have, as its 200 was seen before this arrived.
    seen: i64,
}

/// What a caller is told: a transaction's outcome, or a statement's balance.
pub(super) type Told = Result<Result<Outcome, Option<i64>>, Refusal>;

/// Watches a schedule.
pub(super) struct Judge {
    options: MailboxOptions,
    requests: Vec<Request>,
    waiting: usize,
    balances: HashMap<i32, i64>,
    seen: HashMap<i32, i64>,
    /// The last request of each client that has been in a call which is over, and is not to be sent again.
    floor: HashMap<i32, usize>,
    in_flight: HashSet<i32>,
    row_was_held: bool,
    /// How often what was told.
    pub(super) tally: HashMap<&'static str, u64>,
    /// What is wrong, first of all.
    pub(super) wrong: Option<String>,
}

impl Judge {
    pub(super) fn new(options: MailboxOptions) -> Self {
        Self {
            options,
            requests: Vec::new(),
            waiting: 0,
            balances: HashMap::new(),
            seen: HashMap::new(),
            floor: HashMap::new(),
            in_flight: HashSet::new(),
            row_was_held: false,
            tally: HashMap::new(),
            wrong: None,
        }
    }

    pub(super) fn wrong(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }

    fn check(&mut self, right: bool, what: impl FnOnce() -> String) {
        if !right {
            self.wrong(what());
        }
    }

    /// Returns the balance of a client that exists.
    pub(super) fn balance(&self, client: i32) -> Option<i64> {
        (client < UNKNOWN).then(|| self.balances.get(&client).copied().unwrap_or(0))
    }

    /// Requests whose callers wait, and how many those are.
    pub(super) fn waiting(&self) -> Vec<usize> {
        (0..self.requests.len()).filter(|id| !self.requests[*id].over).collect()
    }

    /// A request arrives; returns its number.
    pub(super) fn arrives(&mut self, client: i32, statement: bool) -> usize {
        let seen = self.seen.get(&client).copied().unwrap_or(0);
        self.requests.push(Request { client, statement, seen, ..Request::default() });
        self.waiting += 1;
        let bound = self.options.requests_in_flight;
        // The one that has just come may be refused yet.
        self.check(self.waiting <= bound + 1, || format!("{bound} are in flight already"));
        self.requests.len() - 1
    }

    /// Its caller leaves.
    pub(super) fn leaves(&mut self, id: usize) {
        self.requests[id].over = true;
        self.waiting -= 1;
        *self.tally.entry("left").or_default() += 1;
    }

    /// These are handed to the ledger.
    pub(super) fn is_sent(&mut self, runs: &[(i32, Vec<usize>)]) {
        for (client, ids) in runs {
            let alone = self.in_flight.insert(*client);
            self.check(alone, || format!("two runs of client {client} are in flight"));
            let floor = self.floor.get(client).copied();
            let ordered = ids.is_sorted() && ids.first().copied() > floor;
            self.check(ordered, || format!("client {client}: {ids:?} are sent after {floor:?}"));
            for id in ids {
                let request = &mut self.requests[*id];
                let (right, mine) = (request.sent > 0 || !request.over, request.client == *client);
                request.sent += 1;
                self.check(right, || format!("{id} is sent, whose caller had gone"));
                self.check(mine, || format!("{id} is sent as one of client {client}"));
            }
        }
    }

    /// They are committed.
    pub(super) fn applies(&mut self, runs: &[(i32, Vec<usize>)]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for (client, id) in runs.iter().flat_map(|(client, ids)| ids.iter().map(move |id| (*client, *id))) {
            if client >= UNKNOWN {
                outcomes.push(Err(Rejection::UnknownClient));
                continue;
            }
            let balance = self.balances.entry(client).or_default();
            *balance += 1 << id;
            let balance = *balance;
            let before = self.requests[id].applied.replace(balance);
            self.check(before.is_none(), || format!("{id} is applied twice"));
            outcomes.push(Ok(Applied { balance, credit_limit: 0 }));
        }
        outcomes
    }

    /// The ledger answers the call that has them.
    pub(super) fn answers(&mut self, runs: &[(i32, Vec<usize>)], say: Say) {
        self.row_was_held |= say == Say::RowHeld;
        for (client, ids) in runs {
            for id in ids {
                self.requests[*id].undone += usize::from(matches!(say, Say::RowHeld | Say::RolledBack));
            }
            if say != Say::RowHeld
                && let Some(last) = ids.last()
            {
                self.floor.insert(*client, *last);
            }
        }
    }

    /// The call that had these clients' runs is over.
    pub(super) fn is_over(&mut self, clients: &[i32]) {
        for client in clients {
            self.in_flight.remove(client);
        }
    }

    /// A caller is told.
    pub(super) fn is_told(&mut self, id: usize, told: Told) {
        let waiting = self.waiting;
        self.waiting -= 1;
        let held: Vec<i32> =
            self.requests[..id].iter().filter(|it| !it.released).map(|it| it.client).collect();
        let (request, may_be_held) = (&self.requests[id], held.len());
        let of_client = held.iter().filter(|client| **client == request.client).count();
        let busy: HashSet<i32> = held.into_iter().collect();
        let sent = request.sent > 0;
        let (name, right) = match &told {
            Ok(Ok(Ok(applied))) => ("applied", request.applied == Some(applied.balance)),
            Ok(Ok(Err(Rejection::UnknownClient))) => ("unknown client", request.client >= UNKNOWN && sent),
            Ok(Ok(Err(_))) => ("rejected", false),
            Ok(Err(None)) => ("no statement", request.client >= UNKNOWN),
            Ok(Err(Some(balance))) => {
                ("statement", request.client < UNKNOWN && balance & request.seen == request.seen)
            }
            Err(Refusal::Shed(Bound::RequestsInFlight)) => {
                let bound = self.options.requests_in_flight;
                // What those asked for who have left may be held as well.
                ("shed: requests", !sent && (waiting == bound + 1 || may_be_held >= bound))
            }
            Err(Refusal::Shed(Bound::ClientQueue)) => {
                ("shed: queue", !sent && of_client >= self.options.queue_per_client)
            }
            Err(Refusal::Shed(Bound::LiveActors)) => {
                ("shed: actors", !sent && busy.len() >= self.options.live_actors)
            }
            Err(Refusal::Shed(Bound::RowWaits)) => {
                ("shed: rows", self.row_was_held && request.sent == request.undone)
            }
            Err(Refusal::Unavailable) => (
                "unavailable",
                request.statement || (request.sent == request.undone && request.applied.is_none()),
            ),
            Err(Refusal::MailboxLost) => ("lost", !sent),
            Err(Refusal::TimedOut) => ("timed out", !sent),
            Err(Refusal::OutcomeUnknown) => ("outcome unknown", sent && !request.statement),
        };
        let known =
            format!("sent {}, undone {}, applied {:?}", request.sent, request.undone, request.applied);
        self.check(right, || format!("{id} is told {told:?}: {known}"));
        let request = &mut self.requests[id];
        let twice = std::mem::replace(&mut request.over, true);
        request.released = matches!(told, Err(Refusal::Shed(_))) && !sent;
        request.refused = told.err().filter(|refusal| *refusal != Refusal::OutcomeUnknown);
        if let Ok(Ok(Ok(_))) = told {
            *self.seen.entry(request.client).or_default() |= 1 << id;
        }
        self.check(!twice, || format!("{id} is told twice"));
        *self.tally.entry(name).or_default() += 1;
    }

    /// No task has anything to do; `no_answer` says that the ledger owes none, so that nobody may wait.
    pub(super) fn rests(&mut self, no_answer: bool) {
        let bound = self.options.queue_per_client;
        let mut queued: HashMap<i32, usize> = HashMap::new();
        for request in self.requests.iter().filter(|request| !request.over) {
            *queued.entry(request.client).or_default() += 1;
        }
        let most = queued.into_values().max().unwrap_or(0);
        self.check(most <= bound, || format!("{most} requests of a client wait, of {bound}"));
        if no_answer {
            let waiting = self.waiting();
            self.check(waiting.is_empty(), || format!("{waiting:?} wait for ever"));
            self.requests.iter_mut().for_each(|request| request.released = true);
        }
    }

    /// All is over.
    pub(super) fn ends(&mut self) {
        for id in 0..self.requests.len() {
            let Request { refused, applied, over, .. } = self.requests[id];
            self.check(over, || format!("{id} is never answered"));
            self.check(refused.is_none() || applied.is_none(), || {
                format!("{id} is applied, and told {refused:?}")
            });
        }
        self.check(self.in_flight.is_empty(), || "a run is still in flight".into());
    }
}
