//! What instances wrote last: lines of several runs, kept for a while and in bounded memory.

use std::collections::{HashMap, VecDeque};

use indicatif::ProgressBar;

use super::format::{Header, Line};
use super::input::{TraceFile, parse};
use super::reader::{Traces, ended};
use super::writer::now_micros;

/// Bytes of lines that are kept at most.
const BYTES_MAX: usize = 64 << 20;

/// Runs that are kept at most: every start of an instance is one. Those go first of which nothing is kept.
const RUNS_MAX: usize = 64;

/// The newest lines.
pub(super) struct Window {
    runs: Vec<Kept>,
    /// How many runs there were.
    begun: usize,
    /// Which of the followed names each part of a run is read by.
    parts: HashMap<(String, u64, u64), usize>,
    /// How long a line is kept, in microseconds.
    last: u64,
    /// How many requests, and how many calls, are kept at most.
    most: usize,
    /// When the newest line was over.
    newest: u64,
    kept: [usize; 3],
    bytes: usize,
    /// Counts changes.
    pub(super) version: u64,
}

struct Kept {
    number: usize,
    header: Header<'static>,
    lines: VecDeque<(u64, Kind, Vec<u8>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Call,
    Other,
}

impl Window {
    /// Keeps what is of the `last` microseconds before the newest line, and of requests and calls `most` each.
    pub(super) fn new(last: u64, most: usize) -> Self {
        let (runs, begun, parts, newest, kept, bytes) = Default::default();
        Self { runs, begun, parts, last, most, newest, kept, bytes, version: 0 }
    }

    /// Takes the header of a file that is followed by its name number `name`; returns the run that its lines
    /// belong to, `None` where another name has them already: files that were moved aside are listed too.
    pub(super) fn begin(&mut self, header: Header<'_>, name: usize) -> Option<usize> {
        let key = (header.instance.to_string(), header.started, header.part);
        let known = self.parts.get(&key).copied();
        if known.is_some_and(|known| known != name) {
            return None;
        }
        self.parts.insert(key, name);
        self.version += 1;
        let same =
            |run: &&Kept| run.header.instance == header.instance && run.header.started == header.started;
        if let Some(position) = self.runs.iter().position(|run| same(&run)) {
            if known.is_some() {
                // The file was begun again, with lines that are known.
                while self.forget_oldest_of(position) {}
            }
            return Some(self.runs[position].number);
        }
        if self.runs.len() == RUNS_MAX {
            let empty = self.runs.iter().position(|run| run.lines.is_empty())?;
            let Header { instance, started, .. } = self.runs.remove(empty).header;
            self.parts.retain(|(of, at, _), _| *of != instance || *at != started);
        }
        let (number, lines) = (self.begun, VecDeque::new());
        self.runs.push(Kept { number, header: header.into_owned(), lines });
        self.begun += 1;
        Some(number)
    }

    /// Adds a line of the run, and forgets what there is no room for.
    pub(super) fn add(&mut self, run: usize, line: &[u8]) {
        let Some(run) = self.runs.iter_mut().find(|kept| kept.number == run) else { return };
        let (over, kind) = match parse(line) {
            // What was over tomorrow must not push out all of today.
            Ok(line) => (ended(&line).min(now_micros()), kind(&line)),
            Err(_) => (self.newest, Kind::Other),
        };
        self.newest = self.newest.max(over);
        self.kept[kind as usize] += 1;
        self.bytes += line.len();
        self.version += 1;
        run.lines.push_back((over, kind, line.to_vec()));
        while self.is_full() && self.forget_oldest() {}
    }

    fn is_full(&self) -> bool {
        let oldest = self.runs.iter().filter_map(|run| Some(run.lines.front()?.0)).min();
        self.bytes > BYTES_MAX
            || self.kept.iter().any(|kept| *kept > self.most)
            || oldest.is_some_and(|oldest| oldest.saturating_add(self.last) < self.newest)
    }

    fn forget_oldest(&mut self) -> bool {
        let oldest = |run: &Kept| run.lines.front().map_or(u64::MAX, |line| line.0);
        let positions = 0..self.runs.len();
        positions
            .min_by_key(|position| oldest(&self.runs[*position]))
            .is_some_and(|run| self.forget_oldest_of(run))
    }

    fn forget_oldest_of(&mut self, position: usize) -> bool {
        let run = &mut self.runs[position];
        let Some((_, kind, line)) = run.lines.pop_front() else { return false };
        // What its readers see begins later than the run.
        run.header.part = 1;
        self.kept[kind as usize] -= 1;
        self.bytes -= line.len();
        true
    }

    /// Returns all that is kept, as traces.
    pub(super) fn traces(&self) -> Traces {
        let files = self.runs.iter().filter(|run| !run.lines.is_empty()).map(|run| {
            let lines: Vec<&[u8]> = run.lines.iter().map(|line| line.2.as_slice()).collect();
            TraceFile::of_lines(run.header.clone(), lines.join(&b'\n'))
        });
        Traces::of(files.collect(), ProgressBar::hidden())
    }
}

fn kind(line: &Line<'_>) -> Kind {
    match line {
        Line::Request(_) => Kind::Request,
        Line::Call(_) => Kind::Call,
        _ => Kind::Other,
    }
}
