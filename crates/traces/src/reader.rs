//! Finds the lines of trace files: in bounded memory, and whatever the files hold.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::format::{Header, Line, VERSION};
use super::output::FileId;
use super::printable::Shown;

/// The longest line that is looked at; the longest that is written is a call's that spans ten
/// thousand clients.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Runs of instances that are told apart. Real traces have a handful.
const MAX_RUNS: usize = 1_000;

/// Why files cannot be read as traces.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refuses.
    #[error("cannot read {}: {cause}", Shown(path))]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Its first line is not a trace's.
    #[error(
        "{} is not a trace: its first line is no header of one (an instance writes traces with TRACE=FILE)",
        Shown(path)
    )]
    NotATrace {
        /// Which file.
        path: PathBuf,
    },
    /// A later program wrote it.
    #[error(
        "{} has format version {version}; this program reads up to {VERSION}: use a newer guiche",
        Shown(path)
    )]
    NewerVersion {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

/// One instance's run, from its start to its stop. Numbers of calls are unique in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) instance: String,
    pub(super) mode: String,
    pub(super) started: u64,
}

/// What could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Damage {
    /// Lines that make no sense.
    pub malformed: u64,
    /// Where the first of them is: file and line number.
    pub first_malformed: Option<(PathBuf, u64)>,
    /// Files whose last line is not whole: still being written, or their writer died.
    pub torn: Vec<PathBuf>,
}

/// Trace files, known to be such.
pub(super) struct Traces {
    files: Vec<TraceFile>,
    runs: Vec<Run>,
    pub(super) damage: Damage,
}

struct TraceFile {
    path: PathBuf,
    header: Header<'static>,
    bytes: u64,
    id: FileId,
}

impl Traces {
    /// Looks at each file's first line, and puts the files into the order in which they were
    /// written.
    ///
    /// # Errors
    /// [`ReadError`] for the first file that is no trace.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self, ReadError> {
        let mut files = paths.iter().map(|path| TraceFile::open(path)).collect::<Result<Vec<_>, _>>()?;
        files.sort_by(|a, b| a.order().cmp(&b.order()));
        files.dedup_by(|a, b| a.path == b.path);
        let mut traces = Self { files, runs: Vec::new(), damage: Damage::default() };
        for position in 0..traces.files.len() {
            let header = traces.files[position].header.clone();
            traces.run_of(&header);
        }
        Ok(traces)
    }

    /// Runs found so far.
    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The files, whatever their names.
    pub(super) fn ids(&self) -> Vec<FileId> {
        self.files.iter().map(|file| file.id).collect()
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Returns when the first of the runs started.
    pub(super) fn started(&self) -> u64 {
        self.files.iter().map(|file| file.header.started).min().unwrap_or(0)
    }

    /// Calls `visit` with every line and the position in [`Traces::runs`] of the run it belongs
    /// to, and `progress` with the bytes read, now and then.
    ///
    /// # Errors
    /// When a file cannot be read on, or `visit` fails.
    pub(super) fn each_line<E: From<ReadError>>(
        &mut self,
        mut visit: impl FnMut(&Run, usize, &Line<'_>) -> Result<(), E>,
        mut progress: impl FnMut(u64),
    ) -> Result<(), E> {
        let mut buffer = Vec::new();
        for position in 0..self.files.len() {
            let path = self.files[position].path.clone();
            let failed = |cause| ReadError::Io { path: path.clone(), cause };
            let mut lines = BufReader::with_capacity(1 << 17, File::open(&path).map_err(failed)?);
            let (mut run, mut number) = (0, 0);
            loop {
                let (bytes, whole) = read_line(&mut lines, &mut buffer).map_err(failed)?;
                if bytes == 0 {
                    break;
                }
                number += 1;
                match serde_json::from_slice(&buffer) {
                    // A file may be several, one behind the other.
                    Ok(Line::Trace(header)) => run = self.run_of(&header).unwrap_or(run),
                    Ok(line) => visit(&self.runs[run], run, &line)?,
                    Err(_) if buffer.is_empty() && whole => {}
                    Err(_) if !whole => self.damage.torn.push(path.clone()),
                    Err(_) => {
                        self.damage.malformed += 1;
                        self.damage.first_malformed.get_or_insert_with(|| (path.clone(), number));
                    }
                }
                progress(bytes);
            }
        }
        Ok(())
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
        self.runs.push(Run { instance, mode, started: header.started });
        Some(self.runs.len() - 1)
    }
}

impl TraceFile {
    fn open(path: &Path) -> Result<Self, ReadError> {
        let failed = |cause| ReadError::Io { path: path.to_owned(), cause };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let (bytes, id) = (metadata.len(), FileId::of(&metadata));
        let mut first = Vec::new();
        read_line(&mut BufReader::new(file), &mut first).map_err(failed)?;
        let header: Line<'_> =
            serde_json::from_slice(&first).map_err(|_| ReadError::NotATrace { path: path.to_owned() })?;
        let Line::Trace(header) = header else { return Err(ReadError::NotATrace { path: path.to_owned() }) };
        if header.version > VERSION {
            return Err(ReadError::NewerVersion { path: path.to_owned(), version: header.version });
        }
        Ok(Self { path: path.to_owned(), header: header.into_owned(), bytes, id })
    }

    fn order(&self) -> (&str, u64, u64, &Path) {
        (&self.header.instance, self.header.started, self.header.part, &self.path)
    }
}

/// Reads a line, without its end, into `line`; returns the bytes passed and whether the line has
/// an end. Of a line that is too long only so much is kept that it makes no sense.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<(u64, bool)> {
    line.clear();
    let mut bytes = input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', line)? as u64;
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok((bytes, true));
    }
    if bytes < MAX_LINE_BYTES {
        return Ok((bytes, false));
    }
    line.truncate(1);
    let (rest, whole) = skip_line(input)?;
    bytes += rest;
    Ok((bytes, whole))
}

fn skip_line(input: &mut impl BufRead) -> io::Result<(u64, bool)> {
    let mut skipped = 0;
    loop {
        let available = input.fill_buf()?;
        let end = available.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(available.len(), |end| end + 1);
        input.consume(taken);
        skipped += taken as u64;
        if taken == 0 || end.is_some() {
            return Ok((skipped, end.is_some()));
        }
    }
}
