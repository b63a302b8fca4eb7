//! One pass over trace files, in which everything that was asked for is made.

use std::io::{self, Write};

use super::beside::Side;
use super::chrome::ChromeWriter;
use super::clocks::{Clocks, Skew};
use super::collect::Collected;
use super::format::Line;
use super::losses::Losing;
use super::reader::{Traces, names};
use super::select::{Moment, Selection};
use super::slowest::{SlowRequest, Slowest};
use super::summary::{Summary, Summing};
use super::waiting::Waiting;

/// What is asked of traces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wishes {
    /// Only this client.
    pub(super) client: Option<i32>,
    /// Only what began then or later.
    pub(super) from: Option<Moment>,
    /// Only what began before.
    pub(super) to: Option<Moment>,
    /// How many of the slowest requests.
    pub(super) slowest: usize,
    /// How many requests a page shows at most; `None` for no page.
    pub(super) page_requests: Option<usize>,
}

/// What came of it.
pub(super) struct Reading {
    pub(super) summary: Summary,
    /// The slowest first.
    pub(super) slowest: Vec<SlowRequest>,
    pub(super) page: Option<Collected>,
    /// How each run's clock goes.
    pub(super) skews: Vec<Skew>,
    /// When the first began that the export has no room for.
    pub(super) export_until: Option<u64>,
    pub(super) traces: Traces,
}

impl Reading {
    /// Takes what a page shows of it, if one was asked for.
    pub(super) fn side(&mut self) -> Option<Side<'_>> {
        let collected = self.page.take()?;
        let (runs, damage) = (self.traces.runs(), &self.traces.damage);
        Some(Side { collected, runs, skews: &self.skews, summary: &self.summary, damage })
    }
}

impl Wishes {
    /// Reads every line once, and writes the trace-event format to `chrome` meanwhile.
    ///
    /// # Errors
    /// When that cannot be written.
    pub(super) fn read<W: Write>(
        self,
        mut traces: Traces,
        mut chrome: Option<ChromeWriter<W>>,
    ) -> io::Result<Reading> {
        let selection = Selection::new(self.client, self.from, self.to, traces.started());
        let (mut summing, mut slowest) = (Summing::default(), Slowest::new(self.slowest));
        let begins_late = traces.begin_late() || self.from.is_some();
        let mut page = self.page_requests.map(|most| Collected::new(most, begins_late));
        let (mut waiting, mut clocks, mut losing) =
            (Waiting::new(begins_late), Clocks::default(), Losing::default());
        traces.each_line(|run, position, line| {
            if !selection.takes(line) {
                return Ok(());
            }
            summing.add(position, run, line, self.client);
            slowest.add(position, line);
            losing.add(position, line);
            if let Some(chrome) = &mut chrome {
                chrome.add(run, position, line)?;
            }
            if let Line::Call(call) = line {
                waiting.add(position, call, &mut |waited| {
                    slowest.add_wait(waited);
                    chrome.as_mut().map_or(Ok(()), |chrome| chrome.add_wait(waited))
                })?;
                clocks.add(position, call);
            }
            if let Some(page) = &mut page {
                page.add(position, line, self.client);
            }
            Ok::<_, io::Error>(())
        })?;
        let (waits, worst) = waiting.finish(&mut |waited| {
            slowest.add_wait(waited);
            chrome.as_mut().map_or(Ok(()), |chrome| chrome.add_wait(waited))
        })?;
        let export_until = chrome.map(ChromeWriter::finish).transpose()?.flatten();
        let names = names(traces.runs());
        let slowest = slowest.finish(|run| names[run].clone());
        let skews = clocks.skews(names.len());
        let mut summary = summing.finish();
        summary.add_waits(waits, &worst, &names);
        summary.add_clocks(&skews);
        summary.add_losses(&losing.finish());
        Ok(Reading { summary, slowest, page, skews, export_until, traces })
    }
}
