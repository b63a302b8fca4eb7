//! The writer's thread: gathers lines into chunks, and writes them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use super::super::format::{End, Header, Line, Why};
use super::super::missed::{Missed, Overrun};
use super::super::rotate::RotatedFile;
use super::{Message, now_micros};

/// How long lines gather before they are written together: waking the writer for each would cost
/// a context switch a request. A process that dies loses what it did in that long.
const GATHER: Duration = Duration::from_millis(20);

/// Bytes after which a write does not wait for more lines.
const CHUNK_BYTES: usize = 64 * 1024;

/// What is written, and what could not be.
pub(super) struct Chunks {
    file: RotatedFile,
    header: Header<'static>,
    /// Lines that wait to be written, as bytes and as a number.
    chunk: Vec<u8>,
    lines: u64,
    /// When the first of them came.
    since: u64,
    /// What they tell of lines that are missing: if they cannot be written, it is to be told again.
    telling: Missed,
    overrun: Arc<Overrun>,
    /// Lines that could not be written, and are not told of yet.
    unwritten: Missed,
    /// Lines that are missing in the whole trace.
    dropped: u64,
    /// Whether the log was told that it does not keep up.
    warned: bool,
    failing: bool,
    reopen: Arc<AtomicBool>,
}

impl Chunks {
    pub(super) fn new(
        file: RotatedFile,
        header: Header<'static>,
        overrun: Arc<Overrun>,
        reopen: Arc<AtomicBool>,
    ) -> Self {
        Self {
            file,
            header,
            chunk: Vec::with_capacity(2 * CHUNK_BYTES),
            lines: 0,
            since: 0,
            telling: Missed::default(),
            overrun,
            unwritten: Missed::default(),
            dropped: 0,
            warned: false,
            failing: false,
            reopen,
        }
    }

    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        let mut stopping = false;
        while !stopping {
            // Idle, it sleeps here until there is something to write.
            let Ok(first) = messages.recv() else { break };
            stopping = self.take(first);
            if !stopping {
                thread::sleep(GATHER);
            }
            while let Ok(message) = messages.try_recv() {
                stopping |= self.take(message);
            }
            self.tell_dropped();
            self.write_chunk();
            if self.reopen.swap(false, Ordering::AcqRel) {
                self.reopen_file();
            }
        }
        self.finish();
    }

    /// Returns whether it was the last.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Line(line) => self.add(&line),
            Message::Wake => {}
            Message::Stop => return true,
        }
        false
    }

    pub(super) fn add(&mut self, line: &Line<'_>) {
        if self.chunk.is_empty() {
            self.since = now_micros();
        }
        append(&mut self.chunk, line);
        self.lines += 1;
        if self.chunk.len() >= CHUNK_BYTES {
            self.write_chunk();
        }
    }

    /// Writes where lines are missing, and why.
    pub(super) fn tell_dropped(&mut self) {
        let overrun = self.overrun.take();
        if overrun.count > 0 && !std::mem::replace(&mut self.warned, true) {
            let count = overrun.count;
            tracing::warn!(count, "the trace does not keep up: lines are dropped; the trace says where");
        }
        self.dropped += overrun.count;
        let unwritten = std::mem::take(&mut self.unwritten);
        for (missed, why) in [(overrun, Why::QueueFull), (unwritten, Why::NotWritten)] {
            if missed.count > 0 {
                let now = now_micros();
                if self.chunk.is_empty() {
                    self.since = now;
                }
                append(&mut self.chunk, &Line::Dropped(missed.line(now, why)));
                self.telling.add(missed);
            }
        }
    }

    pub(super) fn write_chunk(&mut self) {
        if self.chunk.is_empty() {
            return;
        }
        let written = self.make_room().and_then(|()| self.file.write(&self.chunk));
        let telling = std::mem::take(&mut self.telling);
        match written {
            Ok(()) => self.failing = false,
            Err(error) => {
                self.dropped += self.lines;
                self.unwritten.add(telling);
                self.unwritten.add(Missed { count: self.lines, since: self.since });
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "the trace cannot be written; lines are dropped until it can");
                }
            }
        }
        self.chunk.clear();
        self.lines = 0;
    }

    fn make_room(&mut self) -> io::Result<()> {
        if self.file.is_full(self.chunk.len()) { self.start_file() } else { Ok(()) }
    }

    pub(super) fn start_file(&mut self) -> io::Result<()> {
        self.file.start(&self.head())?;
        self.header.part += 1;
        Ok(())
    }

    fn reopen_file(&mut self) {
        match self.file.reopen(&self.head()) {
            Ok(true) => {
                self.header.part += 1;
                tracing::info!("the trace goes on in a new file");
            }
            Ok(false) => tracing::info!("the trace goes on in its file, which nobody has moved away"),
            Err(error) => {
                tracing::error!(%error, "the trace's file cannot be made again; it goes on in the old one")
            }
        }
    }

    /// What a file begins with.
    fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        append(&mut head, &Line::Trace(self.header.clone()));
        head
    }

    pub(super) fn finish(mut self) {
        self.tell_dropped();
        let dropped = self.dropped;
        self.add(&Line::End(End { at: now_micros(), dropped }));
        self.write_chunk();
        if dropped > 0 {
            tracing::warn!(dropped, "the trace is not complete");
        }
    }
}

fn append(bytes: &mut Vec<u8>, line: &Line<'_>) {
    serde_json::to_writer(&mut *bytes, line).expect("a Vec takes everything, and a line is always JSON");
    bytes.push(b'\n');
}
