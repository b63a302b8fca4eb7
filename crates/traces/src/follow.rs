//! Follows files while they are written: they may appear, grow, be moved aside and begun again, and end.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::file_id::FileId;
use super::input::{MAX_LINE_BYTES, ReadError, TraceFile};
use super::window::Window;

/// Of what a file has when it is opened first no more than this is read, from its end.
const BACKLOG_BYTES: u64 = 64 << 20;

/// What a header begins with as it is written.
const HEADER_START: &[u8] = b"{\"trace\":";

const CHUNK_BYTES: usize = 64 << 10;

/// A name under which an instance writes.
pub(super) struct Followed {
    path: PathBuf,
    number: usize,
    open: Option<Open>,
}

/// The file that has the name, or had it before.
struct Open {
    file: File,
    id: FileId,
    read: u64,
    /// The beginning of a line whose end is not there yet.
    rest: Vec<u8>,
    state: State,
}

enum State {
    /// Nothing was read of it.
    New,
    /// Its lines are those of this run.
    Run(usize),
    /// From within a line on: what is before the next one is left out.
    Within(usize),
    /// It is no trace, or another name has it.
    LeftOut,
}

impl Followed {
    pub(super) fn new(path: &Path, number: usize) -> Self {
        Self { path: path.to_owned(), number, open: None }
    }

    /// Reads what was written since the last time.
    ///
    /// # Errors
    /// [`ReadError`] where the file is not there for a reason that does not pass, or is no trace; told once of
    /// each file, which is left out then.
    pub(super) fn read(&mut self, window: &mut Window) -> Result<(), ReadError> {
        loop {
            let there = self.there()?;
            // Looked at behind the name: what was written before it was moved aside is read to its end.
            if let Some(open) = &mut self.open {
                open.read_on(&self.path, self.number, window)?;
            }
            match (&self.open, there) {
                (_, None) => return Ok(()),
                (Some(open), Some(there)) if open.id == FileId::of(&there) && there.len() >= open.read => {
                    return Ok(());
                }
                (_, Some(there)) => {
                    let failed = |cause| ReadError::Io { path: self.path.clone(), cause };
                    let file = File::open(&self.path).map_err(failed)?;
                    let (rest, state) = (Vec::new(), State::New);
                    self.open = Some(Open { file, id: FileId::of(&there), read: 0, rest, state });
                }
            }
        }
    }

    fn there(&self) -> Result<Option<Metadata>, ReadError> {
        let cause = match fs::metadata(&self.path) {
            Ok(there) if there.is_file() => return Ok(Some(there)),
            Ok(_) => io::Error::other("it is not a plain file, and only those are followed"),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => error,
        };
        Err(ReadError::Io { path: self.path.clone(), cause })
    }
}

impl Open {
    fn read_on(&mut self, path: &Path, number: usize, window: &mut Window) -> Result<(), ReadError> {
        let mut chunk = [0; CHUNK_BYTES];
        while !matches!(self.state, State::LeftOut) {
            let taken = self.file.read(&mut chunk);
            let taken = taken.map_err(|cause| ReadError::Io { path: path.to_owned(), cause })?;
            if taken == 0 {
                break;
            }
            self.read += taken as u64;
            for piece in chunk[..taken].split_inclusive(|byte| *byte == b'\n') {
                self.rest.extend_from_slice(piece);
                if self.rest.pop_if(|last| *last == b'\n').is_some() {
                    let line = std::mem::take(&mut self.rest);
                    if let Err(error) = self.take(&line, path, number, window) {
                        self.state = State::LeftOut;
                        return Err(error);
                    }
                    if matches!(self.state, State::Within(_)) {
                        break;
                    }
                } else if self.rest.len() as u64 > MAX_LINE_BYTES {
                    // So much is kept that it makes no sense.
                    self.rest.truncate(1);
                }
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        line: &[u8],
        path: &Path,
        number: usize,
        window: &mut Window,
    ) -> Result<(), ReadError> {
        let header = match self.state {
            State::LeftOut => return Ok(()),
            State::New => TraceFile::header(path, line)?,
            State::Within(run) => {
                self.state = State::Run(run);
                return Ok(());
            }
            // A file may be several, one behind the other.
            State::Run(run) => match line.starts_with(HEADER_START).then(|| TraceFile::header(path, line)) {
                Some(Ok(header)) => header,
                _ => {
                    window.add(run, line);
                    return Ok(());
                }
            },
        };
        let is_new = matches!(self.state, State::New);
        self.state = window.begin(header, number).map_or(State::LeftOut, State::Run);
        let failed = |cause| ReadError::Io { path: path.to_owned(), cause };
        let length = self.file.metadata().map_err(failed)?.len();
        if let (true, State::Run(run), Some(from)) = (is_new, &self.state, length.checked_sub(BACKLOG_BYTES))
            && from > self.read
        {
            self.file.seek(SeekFrom::Start(from)).map_err(failed)?;
            self.read = from;
            self.state = State::Within(*run);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
