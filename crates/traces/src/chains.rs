//! The files of a run as one chain, and which of their lines were read before.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::BufRead;
use std::path::PathBuf;

use indicatif::ProgressBar;

use super::format::Header;
use super::input::TraceFile;
use super::printable::Shown;

/// Parts of runs whose copies are recognized.
const MAX_PARTS: usize = 100_000;

/// A run's files, one behind the other.
pub(super) struct Chain {
    files: VecDeque<TraceFile>,
    pub(super) current: Option<Current>,
    /// When what was read last was over.
    pub(super) time: u64,
}

pub(super) struct Current {
    pub(super) path: PathBuf,
    pub(super) lines: Box<dyn BufRead>,
    /// The line's number in the file.
    pub(super) number: u64,
    pub(super) run: usize,
    pub(super) part: Part,
}

/// The part of a run that is being read.
pub(super) enum Part {
    /// Its header was read, and no other line.
    Begun(u64),
    /// Its position in [`Parts`], unless there are too many, and the number of its last line.
    Within(Option<usize>, u64),
}

/// How many lines were visited of each part. A file is known by its run, its part and its first line:
/// somebody may have cut it in pieces, each with the header.
#[derive(Default)]
pub(super) struct Parts {
    positions: HashMap<(usize, u64, u64), usize>,
    visited: Vec<u64>,
}

impl Parts {
    /// Notes that `line` was read; returns whether that is the first time. Files only grow, so two copies
    /// have the same lines as far as the shorter goes.
    pub(super) fn is_new(&mut self, current: &mut Current, line: &[u8]) -> bool {
        let (position, number) = match current.part {
            Part::Within(position, number) => (position, number + 1),
            Part::Begun(part) => {
                let mut hasher = DefaultHasher::new();
                line.hash(&mut hasher);
                let key = (current.run, part, hasher.finish());
                let known = self.positions.get(&key).copied();
                let new = || (self.visited.len() < MAX_PARTS).then_some(self.visited.len());
                let position = known.or_else(new);
                if let (None, Some(position)) = (known, position) {
                    self.positions.insert(key, position);
                    self.visited.push(0);
                }
                (position, 1)
            }
        };
        current.part = Part::Within(position, number);
        let Some(visited) = position.map(|position| &mut self.visited[position]) else { return true };
        let new = number > *visited;
        *visited = number.max(*visited);
        new
    }
}

impl Chain {
    /// Sees to it that a file is open; returns false at the end of the last. `unread` takes those that cannot
    /// be opened, and why.
    pub(super) fn open_next(&mut self, bar: &ProgressBar, unread: &mut Vec<String>) -> bool {
        while self.current.is_none() {
            let Some(mut file) = self.files.pop_front() else { return false };
            match file.lines(bar) {
                Ok(lines) => {
                    let (path, part) = (file.path, Part::Begun(file.header.part));
                    self.current = Some(Current { path, lines, number: 0, run: 0, part });
                }
                Err(cause) => unread.push(format!("cannot read {}: {cause}", Shown(&file.path))),
            }
        }
        true
    }
}

pub(super) fn chains(files: Vec<TraceFile>) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut last = None;
    for file in files {
        let run = (file.header.instance.clone(), file.header.started);
        if last.as_ref() != Some(&run) {
            chains.push(Chain { files: VecDeque::new(), current: None, time: run.1 });
            last = Some(run);
        }
        chains.last_mut().expect("one was just put there").files.push_back(file);
    }
    chains
}

/// By run and part; of copies the longest first.
pub(super) fn order(file: &TraceFile) -> impl Ord + use<'_> {
    let Header { instance, started, part, .. } = &file.header;
    (instance, started, part, std::cmp::Reverse(file.bytes), file.path.as_path())
}
