//! Sums traces up: in total, per instance and per client, in bounded memory.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::clocks::Skew;
use super::format::{CallRecord, Dropped, Line, RequestRecord, Why};
use super::holders::Holder;
use super::losses::{CLIENTS_MAX, Losses, Lost};
use super::reader::Run;
use super::tally::{ClientSummary, InstanceSummary, InstanceTally, Tally, busy};
use super::waiting::{Waits, Worst};

/// Different words (outcomes, kinds …) that are told apart; a real trace has about twenty.
const WORDS_MAX: usize = 64;

/// Counts by word.
pub(super) type Words = BTreeMap<String, u64>;

/// Everything that a summary says. Times are microseconds, `at` and `from` since the epoch.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// The earliest and the latest moment that a line tells of; zeros when there is no line.
    pub from: u64,
    /// See [`Summary::from`].
    pub to: u64,
    /// What each run of an instance traced.
    pub instances: Vec<InstanceSummary>,
    /// All clients together.
    pub total: ClientSummary,
    /// Requests by kind.
    pub kinds: Words,
    /// Requests by outcome.
    pub outcomes: Words,
    /// Requests shed, by bound.
    pub sheds: Words,
    /// Calls by why they were cut.
    pub cuts: Words,
    /// Calls that failed, by fate.
    pub failures: Words,
    /// What happened to actors.
    pub actors: Words,
    /// Lines that the writers dropped.
    pub dropped: u64,
    /// Those by why they were.
    pub dropped_why: BTreeMap<Why, u64>,
    /// What requests' time was lost to.
    pub lost: Losses,
    /// Waits for rows.
    pub waits: Waits,
    /// For whom others waited longest, the worst first.
    pub worst_holders: Vec<WorstHolder>,
    /// Each client, the one with the most requests first.
    pub clients: Vec<(i32, ClientSummary)>,
    /// Clients beyond [`CLIENTS_MAX`], together, and those whose request named none.
    pub others: Option<ClientSummary>,
}

/// A call, or a database transaction of somebody else, for which others waited.
#[derive(Debug, Serialize)]
pub(super) struct WorstHolder {
    /// Who it is, in words.
    pub holder: String,
    /// Where the page has it.
    #[serde(skip)]
    pub hash: Option<String>,
    /// How many waits.
    pub waits: u64,
    /// All of them together, in microseconds.
    pub micros: u64,
}

/// A summary in the making.
#[derive(Default)]
pub(super) struct Summing {
    instances: Vec<InstanceTally>,
    total: Tally,
    clients: HashMap<i32, Tally>,
    others: Option<Tally>,
    words: [Words; 6],
    dropped_why: BTreeMap<Why, u64>,
}

/// Which of [`Summing::words`] is what.
#[derive(Clone, Copy)]
enum Word {
    Kind,
    Outcome,
    Shed,
    Cut,
    Failure,
    Actor,
}

impl Summing {
    /// Counts a line of `run`.
    pub(super) fn add(&mut self, position: usize, run: &Run, line: &Line<'_>, client: Option<i32>) {
        let instance = self.instance(position, run);
        match line {
            Line::Request(request) => self.add_request(instance, request),
            Line::Call(call) => self.add_call(instance, call, client),
            Line::Actor(change) => self.count(Word::Actor, &change.state),
            Line::Dropped(Dropped { count, why, .. }) => {
                let told = self.dropped_why.entry(*why).or_default();
                *told = told.saturating_add(*count);
                self.instances[instance].dropped = self.instances[instance].dropped.saturating_add(*count);
            }
            Line::End(end) => {
                let tally = &mut self.instances[instance];
                // It counts what could not even be noted, and what was noted in files that are gone.
                (tally.ended, tally.dropped) = (true, tally.dropped.max(end.dropped));
            }
            Line::Trace(_) => {}
        }
    }

    /// Returns the run's position among those that have any line.
    fn instance(&mut self, run: usize, Run { instance, mode, started, .. }: &Run) -> usize {
        let known = self.instances.iter().position(|tally| tally.run == run);
        known.unwrap_or_else(|| {
            let (name, mode, started) = (instance.clone(), mode.clone(), *started);
            self.instances.push(InstanceTally { run, name, mode, started, ..InstanceTally::default() });
            self.instances.len() - 1
        })
    }

    fn add_request(&mut self, instance: usize, request: &RequestRecord<'_>) {
        self.instances[instance].requests += 1;
        self.instances[instance].saw(request.at, request.took.unwrap_or(0));
        self.count(Word::Kind, &request.kind);
        self.count(Word::Outcome, &request.outcome);
        if let Some(bound) = &request.shed {
            self.count(Word::Shed, bound);
        }
        self.total.add_request(request);
        self.client(request.client).add_request(request);
    }

    fn add_call(&mut self, instance: usize, call: &CallRecord<'_>, only: Option<i32>) {
        self.instances[instance].calls += 1;
        self.instances[instance].saw(call.at, call.total);
        self.count(Word::Cut, &call.cut);
        if let Some(fate) = &call.failure {
            self.count(Word::Failure, fate);
        }
        let mut size = 0;
        for (client, transactions, statements) in call.runs(only) {
            let run = u64::from(transactions) + u64::from(statements);
            size += run;
            self.client(Some(client)).add_call(instance, call, run);
        }
        self.total.add_call(instance, call, size);
    }

    fn client(&mut self, client: Option<i32>) -> &mut Tally {
        let full = self.clients.len() >= CLIENTS_MAX;
        match client {
            Some(client) if !full || self.clients.contains_key(&client) => {
                self.clients.entry(client).or_default()
            }
            _ => self.others.get_or_insert_default(),
        }
    }

    fn count(&mut self, word: Word, text: &str) {
        let words = &mut self.words[word as usize];
        if let Some(count) = words.get_mut(text) {
            *count += 1;
        } else if words.len() < WORDS_MAX {
            words.insert(text.to_owned(), 1);
        } else {
            *words.entry("(other)".to_owned()).or_default() += 1;
        }
    }

    /// Returns the summary of what was added.
    pub(super) fn finish(mut self) -> Summary {
        let [kinds, outcomes, sheds, cuts, failures, actors] = self.words;
        let direct = cuts.keys().any(|cut| cut == "direct");
        let spans: Vec<u64> = self.instances.iter().map(InstanceTally::span).collect();
        let busy = |tally: &Tally| (!direct).then(|| busy(&tally.busy, &spans)).flatten();
        let mut clients: Vec<(i32, ClientSummary)> = self
            .clients
            .iter()
            .map(|(client, tally)| (*client, ClientSummary { busy: busy(tally), ..tally.finish() }))
            .collect();
        clients.sort_by_key(|(client, summary)| (std::cmp::Reverse(summary.requests), *client));
        let dropped = self.instances.iter().fold(0, |sum: u64, tally| sum.saturating_add(tally.dropped));
        let told = self.dropped_why.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
        if dropped > told {
            let not_noted = self.dropped_why.entry(Why::NotNoted).or_default();
            *not_noted = not_noted.saturating_add(dropped - told);
        }
        Summary {
            from: self.instances.iter().filter_map(|tally| tally.from).min().unwrap_or(0),
            to: self.instances.iter().map(|tally| tally.to).max().unwrap_or(0),
            instances: self.instances.into_iter().map(InstanceTally::finish).collect(),
            total: self.total.finish(),
            kinds,
            outcomes,
            sheds,
            cuts,
            failures,
            actors,
            dropped,
            dropped_why: self.dropped_why,
            lost: Losses::default(),
            waits: Waits::default(),
            worst_holders: Vec::new(),
            clients,
            others: self.others.as_ref().map(Tally::finish),
        }
    }
}

impl Summary {
    /// Takes what is known of waits; `names` are the runs'.
    pub(super) fn add_waits(&mut self, waits: Waits, worst: &[Worst], names: &[String]) {
        let named = |worst: &Worst| WorstHolder {
            holder: match worst.holder {
                Holder::Call((run, call)) => format!("call {call} of {}", names[run]),
                Holder::Other(id) => format!("somebody else, transaction {}", id.0),
            },
            hash: match worst.holder {
                Holder::Call((run, call)) => Some(format!("#call={}/{call}", names[run])),
                Holder::Other(_) => None,
            },
            waits: worst.waits,
            micros: worst.micros,
        };
        self.waits = waits;
        self.worst_holders = worst.iter().map(named).collect();
    }

    /// Takes what requests' time was lost to.
    pub(super) fn add_losses(&mut self, lost: &Lost) {
        self.lost = lost.total;
        for instance in &mut self.instances {
            instance.lost = lost.runs.get(&instance.run).copied().unwrap_or_default();
        }
        for (client, summary) in &mut self.clients {
            summary.lost = lost.clients.get(client).copied();
        }
    }

    /// Takes how the runs' clocks go.
    pub(super) fn add_clocks(&mut self, skews: &[Skew]) {
        for instance in &mut self.instances {
            instance.clock = skews[instance.run];
        }
    }
}
