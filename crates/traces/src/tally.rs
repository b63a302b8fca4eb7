//! What is counted of one run, and of one client, and what a summary says of them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::clocks::Skew;
use super::format::{ABANDONED, CallRecord, RequestRecord, UNHEARD};
use super::losses::Losses;
use super::quantiles::{Durations, Quantiles};

/// One run of an instance.
#[derive(Debug, Serialize)]
pub(super) struct InstanceSummary {
    /// Its name.
    pub instance: String,
    /// `direct`, `serial` or `batched`.
    pub mode: String,
    /// When it started.
    pub started: u64,
    /// Requests.
    pub requests: u64,
    /// Calls.
    #[serde(rename = "flushes")]
    pub calls: u64,
    /// From its first moment to its last.
    pub span: u64,
    /// Whether it stopped in good order, all of it written.
    pub ended: bool,
    /// Lines that its writer dropped.
    pub dropped: u64,
    /// What its requests' time was lost to.
    pub lost: Losses,
    /// How its clock goes beside that of the first instance.
    pub clock: Skew,
    #[serde(skip)]
    pub(super) run: usize,
}

/// One client's part, or several clients'.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct ClientSummary {
    /// Requests.
    pub requests: u64,
    /// Database calls that carried any of them.
    #[serde(rename = "flushes")]
    pub calls: u64,
    /// Requests that one call carried, on average (of this client alone).
    pub batch_mean: f64,
    /// The most that one call carried.
    pub batch_max: u64,
    /// From the mailbox to the cut, per request.
    pub wait: Durations,
    /// The database's part, per call.
    pub database: Durations,
    /// Row locks waited for, per call.
    #[serde(rename = "lock_wait")]
    pub row_wait: Durations,
    /// From arrival to answer, per request.
    pub took: Durations,
    /// The share of time in which a run of the mailbox was in flight, on average over the
    /// instances that had any; absent in mode `direct`, and for several clients together.
    pub busy: Option<f64>,
    /// Requests shed.
    pub shed: u64,
    /// Requests whose caller left before they were sent, or before the answer came.
    pub left: u64,
    /// What its requests' time was lost to; absent for several clients together.
    pub lost: Option<Losses>,
}

#[derive(Default)]
pub(super) struct InstanceTally {
    pub(super) run: usize,
    pub(super) name: String,
    pub(super) mode: String,
    pub(super) started: u64,
    pub(super) dropped: u64,
    pub(super) requests: u64,
    pub(super) calls: u64,
    pub(super) from: Option<u64>,
    pub(super) to: u64,
    pub(super) ended: bool,
}

#[derive(Default)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) calls: u64,
    carried: u64,
    batch_max: u64,
    wait: Quantiles,
    database: Quantiles,
    row_wait: Quantiles,
    took: Quantiles,
    /// Microseconds in flight, by instance.
    pub(super) busy: BTreeMap<usize, u64>,
    shed: u64,
    left: u64,
}

impl InstanceTally {
    pub(super) fn saw(&mut self, at: u64, took: u64) {
        self.from = Some(self.from.map_or(at, |from| from.min(at)));
        self.to = self.to.max(at.saturating_add(took));
    }

    pub(super) fn span(&self) -> u64 {
        self.to.saturating_sub(self.from.unwrap_or(self.to))
    }

    pub(super) fn finish(self) -> InstanceSummary {
        let span = self.span();
        let Self { name: instance, mode, started, requests, calls, ended, dropped, run, .. } = self;
        let (clock, lost) = (Skew::None, Losses::default());
        InstanceSummary { instance, mode, started, requests, calls, span, ended, dropped, lost, clock, run }
    }
}

impl Tally {
    pub(super) fn add_request(&mut self, request: &RequestRecord<'_>) {
        self.requests += 1;
        self.shed += u64::from(request.shed.is_some());
        self.left += u64::from(request.outcome == ABANDONED || request.outcome == UNHEARD);
        if let Some(queued) = request.queued {
            self.wait.add(queued);
        }
        if let Some(took) = request.took {
            self.took.add(took);
        }
    }

    /// Counts a call that carried `size` requests of these clients.
    pub(super) fn add_call(&mut self, instance: usize, call: &CallRecord<'_>, size: u64) {
        self.calls += 1;
        self.carried = self.carried.saturating_add(size);
        self.batch_max = self.batch_max.max(size);
        self.database.add(call.database);
        self.row_wait.add(call.report.row_wait);
        let busy = self.busy.entry(instance).or_default();
        *busy = busy.saturating_add(call.total);
    }

    pub(super) fn finish(&self) -> ClientSummary {
        ClientSummary {
            requests: self.requests,
            calls: self.calls,
            batch_mean: self.carried as f64 / self.calls.max(1) as f64,
            batch_max: self.batch_max,
            wait: self.wait.durations(),
            database: self.database.durations(),
            row_wait: self.row_wait.durations(),
            took: self.took.durations(),
            busy: None,
            shed: self.shed,
            left: self.left,
            lost: None,
        }
    }
}

/// Returns the mean share of their spans that the instances were busy.
pub(super) fn busy(busy: &BTreeMap<usize, u64>, spans: &[u64]) -> Option<f64> {
    let shares: Vec<f64> = busy
        .iter()
        .filter(|(instance, _)| spans[**instance] > 0)
        .map(|(instance, busy)| (*busy as f64 / spans[*instance] as f64).min(1.0))
        .collect();
    (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
}
