//! Opens trace files: plain or gzip, in a directory or from a pipe, each of them once.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use indicatif::ProgressBar;
use serde::de::Error as _;

use super::file_id::FileId;
use super::format::{Header, Line, VERSION};
use super::printable::Shown;

/// The longest line that is looked at; the longest that is written is a call's that spans ten
/// thousand clients.
pub(super) const MAX_LINE_BYTES: u64 = 1 << 20;

/// Files that stay open from their first line on. Of more than these the plain ones are opened again when
/// it is their turn: a process may have about a thousand open.
const OPEN_MAX: usize = 500;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

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
    /// There is nothing in it.
    #[error("{} is empty", Shown(path))]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// It was given before, by this name or another.
    #[error("{} is {} again", Shown(path), Shown(first))]
    Again {
        /// Which file.
        path: PathBuf,
        /// Its name the first time.
        first: PathBuf,
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

/// A file whose first line is known to be a trace's.
pub(super) struct TraceFile {
    pub(super) path: PathBuf,
    pub(super) header: Header<'static>,
    pub(super) bytes: u64,
    /// `None` where it is no file.
    pub(super) id: Option<FileId>,
    /// `None` where it is to be opened again.
    opened: Option<Opened>,
}

enum Opened {
    /// To be read from its beginning.
    Plain(File),
    /// What cannot be read twice; its first line is put in front again.
    Stream(Box<dyn BufRead>),
}

impl TraceFile {
    /// Looks at the first line; `before` are those that were opened already. `-` is standard input.
    pub(super) fn open(path: &Path, before: &[Self], bar: &ProgressBar) -> Result<Self, ReadError> {
        let failed = |cause| ReadError::Io { path: path.to_owned(), cause };
        let name = if path.as_os_str() == "-" { Path::new("/dev/stdin") } else { path };
        let mut file = File::open(name).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let (bytes, id) = (metadata.len(), Some(FileId::of(&metadata)));
        if let Some(same) = before.iter().find(|file| file.id == id) {
            return Err(ReadError::Again { path: path.to_owned(), first: same.path.clone() });
        }
        let mut first = Vec::new();
        let opened = if metadata.is_file() {
            read_line(&mut *decoded(&file).map_err(failed)?, &mut first).map_err(failed)?;
            file.rewind().map_err(failed)?;
            (before.len() < OPEN_MAX).then_some(Opened::Plain(file))
        } else {
            let mut stream = decoded(bar.wrap_read(file)).map_err(failed)?;
            read_line(&mut *stream, &mut first).map_err(failed)?;
            let again = Cursor::new([&first[..], b"\n"].concat());
            Some(Opened::Stream(Box::new(again.chain(stream))))
        };
        let header = Self::header(path, &first)?;
        Ok(Self { path: path.to_owned(), header, bytes, id, opened })
    }

    /// One that is in memory: what comes behind its header.
    pub(super) fn of_lines(header: Header<'static>, lines: Vec<u8>) -> Self {
        let (path, bytes) = (PathBuf::from(&*header.instance), lines.len() as u64);
        let mut first = serde_json::to_vec(&Line::Trace(header.clone())).unwrap_or_default();
        first.push(b'\n');
        let lines = Cursor::new(first).chain(Cursor::new(lines));
        Self { path, header, bytes, id: None, opened: Some(Opened::Stream(Box::new(lines))) }
    }

    /// Returns the header that a file's first line is.
    pub(super) fn header(path: &Path, first: &[u8]) -> Result<Header<'static>, ReadError> {
        let path = path.to_owned();
        if first.is_empty() {
            return Err(ReadError::Empty { path });
        }
        match parse(first) {
            Ok(Line::Trace(header)) if header.version > VERSION => {
                Err(ReadError::NewerVersion { path, version: header.version })
            }
            Ok(Line::Trace(header)) => Ok(header.into_owned()),
            _ => Err(ReadError::NotATrace { path }),
        }
    }

    /// Returns it from its first line on. To be called once.
    pub(super) fn lines(&mut self, bar: &ProgressBar) -> io::Result<Box<dyn BufRead>> {
        let file = match self.opened.take() {
            Some(Opened::Stream(stream)) => return Ok(stream),
            Some(Opened::Plain(file)) => file,
            None => File::open(&self.path)?,
        };
        if Some(FileId::of(&file.metadata()?)) != self.id {
            return Err(io::Error::other("another file has taken its place meanwhile"));
        }
        decoded(bar.wrap_read(file))
    }
}

/// Returns what a gzip file holds, and any other as it is.
fn decoded<'a>(input: impl Read + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    // The buffer is as long as a pipe is: what comes first may come in pieces of less than the mark.
    let mut input = BufReader::with_capacity(1 << 16, input);
    let mut mark = Vec::new();
    input.by_ref().take(GZIP.len() as u64).read_to_end(&mut mark)?;
    let zipped = mark == GZIP;
    let whole = Cursor::new(mark).chain(input);
    Ok(if zipped {
        Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(whole)))
    } else {
        Box::new(whole)
    })
}

/// Returns the line of a trace that these bytes are.
pub(super) fn parse(line: &[u8]) -> serde_json::Result<Line<'_>> {
    // What is skipped in it has to be text too.
    let text = std::str::from_utf8(line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line));
    serde_json::from_str(text.map_err(serde_json::Error::custom)?)
}

/// Reads a line, without its end, into `line`; returns the bytes passed and whether the line has
/// an end. Of a line that is too long only so much is kept that it makes no sense.
pub(super) fn read_line(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<(u64, bool)> {
    line.clear();
    let mut bytes = Read::take(&mut *input, MAX_LINE_BYTES).read_until(b'\n', line)? as u64;
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

fn skip_line(input: &mut dyn BufRead) -> io::Result<(u64, bool)> {
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
