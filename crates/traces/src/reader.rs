//! Finds the lines of trace files: in bounded memory, and whatever the files hold.
//!
//! Runs are read side by side, in the order of their times, so that whoever stops early has seen about as
//! much of each. A line that is in two files (a copy, a link, one file that is several put together)
//! is visited once.

use std::collections::BTreeSet;
use std::path::PathBuf;

use indicatif::ProgressBar;
use serde::Serialize;

use super::chains::{Chain, Part, Parts, chains, order};
use super::file_id::FileId;
use super::format::{Header, Line, VERSION};
use super::input::{ReadError, TraceFile, parse, read_line};
use super::printable::{Shown, Timestamp};

/// Runs of instances that are told apart. Real traces have a handful.
const MAX_RUNS: usize = 1_000;

/// How far one run is read ahead of the others, in microseconds.
const AHEAD: u64 = 100_000;

/// One instance's run, from its start to its stop. Numbers of calls are unique in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) instance: String,
    pub(super) mode: String,
    pub(super) started: u64,
    /// What the trace is called that it belongs to, where there are two.
    pub(super) side: String,
}

/// What could not be read, and what was not read twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Damage {
    /// Lines that make no sense.
    pub malformed: u64,
    /// Where the first of them is: file and line number.
    pub first_malformed: Option<(PathBuf, u64)>,
    /// Files whose last line is not whole: still being written, or their writer died.
    pub torn: Vec<PathBuf>,
    /// Files that were left out, or could not be read to their end, and why.
    pub unread: Vec<String>,
    /// Lines that another file had already.
    pub repeated: u64,
    /// The first file with such lines.
    pub first_repeated: Option<PathBuf>,
}

/// Trace files, known to be such.
pub(super) struct Traces {
    files: Vec<TraceFile>,
    runs: Vec<Run>,
    parts: Parts,
    /// See [`Run::side`].
    side: String,
    bar: ProgressBar,
    pub(super) damage: Damage,
}

impl Traces {
    /// Looks at each file's first line, and puts the files into the order in which they were
    /// written. What cannot be read is left out, and told in [`Traces::damage`]. `bar` is told the bytes read.
    ///
    /// # Errors
    /// [`ReadError`] of the first file, where none can be read.
    pub(super) fn open(paths: &[PathBuf], bar: ProgressBar) -> Result<Self, ReadError> {
        let (mut files, mut errors) = (Vec::new(), Vec::new());
        for path in paths {
            match TraceFile::open(path, &files, &bar) {
                Ok(file) => files.push(file),
                Err(error) => errors.push(error),
            }
        }
        let damage = Damage { unread: errors.iter().map(ToString::to_string).collect(), ..Damage::default() };
        if let (true, Some(error)) = (files.is_empty(), errors.into_iter().next()) {
            return Err(error);
        }
        Ok(Self { damage, ..Self::of(files, bar) })
    }

    /// Puts files into the order in which they were written.
    pub(super) fn of(mut files: Vec<TraceFile>, bar: ProgressBar) -> Self {
        files.sort_by(|a, b| order(a).cmp(&order(b)));
        let (runs, parts, side, damage) = Default::default();
        let mut traces = Self { files, runs, parts, side, bar, damage };
        for position in 0..traces.files.len() {
            let header = traces.files[position].header.clone();
            traces.run_of(&header);
        }
        traces
    }

    /// Returns whether a run's beginning is not in the files.
    pub(super) fn begin_late(&self) -> bool {
        let first = |file: &TraceFile| {
            let header = &file.header;
            let before =
                |other: &Header<'_>| other.instance == header.instance && other.started == header.started;
            header.part > 0 && !self.files.iter().any(|other| before(&other.header) && other.header.part == 0)
        };
        self.files.iter().any(first)
    }

    /// Gives two traces their names: their modes, where they have one each and not the same.
    pub(super) fn name(pair: &mut [Self; 2]) {
        let modes = |traces: &Self| traces.runs.iter().map(|run| run.mode.clone()).collect::<BTreeSet<_>>();
        let [a, b] = [modes(&pair[0]), modes(&pair[1])];
        let names = match (a.len(), b.len(), a == b) {
            (1, 1, false) => [a, b].map(|modes| modes.into_iter().collect::<String>()),
            _ => ["first", "second"].map(str::to_owned),
        };
        for (traces, name) in pair.iter_mut().zip(names) {
            traces.runs.iter_mut().for_each(|run| run.side.clone_from(&name));
            traces.side = name;
        }
    }

    /// Runs found so far.
    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The files, whatever their names.
    pub(super) fn ids(&self) -> Vec<FileId> {
        self.files.iter().filter_map(|file| file.id).collect()
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Returns when the first of the runs started.
    pub(super) fn started(&self) -> u64 {
        self.files.iter().map(|file| file.header.started).min().unwrap_or(0)
    }

    /// Calls `visit` with every line and the position in [`Traces::runs`] of the run it belongs to. To be
    /// called once.
    ///
    /// # Errors
    /// When `visit` fails. A file that cannot be read on is told in [`Traces::damage`].
    pub(super) fn each_line<E>(
        &mut self,
        mut visit: impl FnMut(&Run, usize, &Line<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut chains = chains(std::mem::take(&mut self.files));
        let mut buffer = Vec::new();
        while let Some(first) = (0..chains.len()).min_by_key(|position| chains[*position].time) {
            let others = chains.iter().enumerate().filter(|(position, _)| *position != first);
            let until = others.map(|(_, chain)| chain.time).min().unwrap_or(u64::MAX).saturating_add(AHEAD);
            let chain = &mut chains[first];
            if !chain.open_next(&self.bar, &mut self.damage.unread) {
                chains.remove(first);
                continue;
            }
            while chain.time < until || until == u64::MAX {
                if !self.read(chain, &mut buffer, &mut visit)? {
                    chain.current = None;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Reads a line of the chain's file; returns whether there was one.
    fn read<E>(
        &mut self,
        chain: &mut Chain,
        buffer: &mut Vec<u8>,
        visit: &mut impl FnMut(&Run, usize, &Line<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let Some(current) = &mut chain.current else { return Ok(false) };
        let (bytes, whole) = read_line(&mut *current.lines, buffer).unwrap_or_else(|cause| {
            self.damage.unread.push(format!("cannot read {} to its end: {cause}", Shown(&current.path)));
            buffer.clear();
            (0, false)
        });
        current.number += 1;
        let line = parse(buffer);
        if let Ok(Line::Trace(header)) = &line {
            // A file may be several, one behind the other.
            current.run = self.run_of(header).unwrap_or(current.run);
            current.part = Part::Begun(header.part);
        } else if bytes > 0 && !buffer.is_empty() && !self.parts.is_new(current, buffer) {
            self.damage.repeated += 1;
            self.damage.first_repeated.get_or_insert_with(|| current.path.clone());
        } else {
            match line {
                Ok(line) => {
                    chain.time = ended(&line);
                    visit(&self.runs[current.run], current.run, &line)?;
                }
                Err(_) if buffer.is_empty() => {}
                Err(_) if !whole => self.damage.torn.push(current.path.clone()),
                Err(_) => {
                    self.damage.malformed += 1;
                    self.damage.first_malformed.get_or_insert_with(|| (current.path.clone(), current.number));
                }
            }
        }
        Ok(bytes > 0)
    }

    /// Returns the position of a header's run; `None` where there are too many or it is of a later version.
    fn run_of(&mut self, header: &Header<'_>) -> Option<usize> {
        let same = |run: &Run| run.instance == header.instance && run.started == header.started;
        if let Some(position) = self.runs.iter().position(same) {
            return Some(position);
        }
        if self.runs.len() == MAX_RUNS || header.version > VERSION {
            self.damage.malformed += 1;
            return None;
        }
        let (instance, mode) = (header.instance.to_string(), header.mode.to_string());
        self.runs.push(Run { instance, mode, started: header.started, side: self.side.clone() });
        Some(self.runs.len() - 1)
    }
}

/// Returns when what the line tells of was over.
pub(super) fn ended(line: &Line<'_>) -> u64 {
    match line {
        Line::Trace(header) => header.started,
        Line::Request(request) => request.at.saturating_add(request.took.unwrap_or(0)),
        Line::Call(call) => call.at.saturating_add(call.total),
        Line::Actor(change) => change.at,
        Line::Dropped(dropped) => dropped.at,
        Line::End(end) => end.at,
    }
}

/// Returns what to call each run: its instance's name, and more where several runs have that.
pub(super) fn names(runs: &[Run]) -> Vec<String> {
    let alone = |run: &Run| runs.iter().filter(|other| other.instance == run.instance).count() == 1;
    let name = |run: &Run| {
        let side = if run.side.is_empty() { String::new() } else { format!("{} ", run.side) };
        match alone(run) {
            true => format!("{side}{}", run.instance),
            false => format!("{side}{} ({}, since {})", run.instance, run.mode, Timestamp(run.started)),
        }
    };
    runs.iter().map(name).collect()
}
