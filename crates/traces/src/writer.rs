//! Writes trace lines on a thread of its own, so that no request ever waits for a disk.
//!
//! Between the two is a channel with a bound. Where it is full, or the disk refuses, lines are
//! dropped, counted, and the count is written in their place and logged.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::format::{End, Header, Line, VERSION, Why};
use super::missed::{Missed, Overrun};
use super::rotate::RotatedFile;
use super::slices::Slices;

/// How long lines gather before they are written together: waking the writer for each would cost
/// a context switch a request. A process that dies loses what it did in that long.
const GATHER: Duration = Duration::from_millis(20);

/// Bytes after which a write does not wait for more lines.
const CHUNK_BYTES: usize = 64 * 1024;

/// Where a trace goes, and its bounds.
#[derive(Clone, Debug)]
pub struct TraceOptions {
    /// The newest file; older ones are beside it as `path.1`, `path.2` …
    pub path: PathBuf,
    /// Bytes of one file.
    pub max_file_bytes: u64,
    /// Files kept, the newest included.
    pub files: usize,
    /// Lines that may wait to be written; further ones are dropped and counted.
    pub queue: usize,
}

/// The end that records are given to. It never blocks. Clones feed the same trace.
#[derive(Clone)]
pub struct LineSender {
    channel: SyncSender<Message>,
    slices: Option<Arc<Slices>>,
    overrun: Arc<Overrun>,
    /// Whether the file is to be looked for again.
    reopen: Arc<AtomicBool>,
}

#[expect(clippy::large_enum_variant, reason = "nearly all of them are lines")]
enum Message {
    Line(Line<'static>),
    /// There is something to do beside lines.
    Wake,
    Stop,
}

/// The running writer. Dropping it writes what waits, and the trace's end.
pub struct TraceWriter {
    sender: LineSender,
    thread: Option<JoinHandle<()>>,
}

impl TraceWriter {
    /// Opens the trace and starts the thread that writes it.
    ///
    /// # Errors
    /// When the file cannot be made or the thread cannot be started.
    pub fn start(options: &TraceOptions, instance: &str, mode: &str) -> io::Result<Self> {
        let (channel, lines) = mpsc::sync_channel(options.queue);
        let (overrun, reopen) = (Arc::<Overrun>::default(), Arc::new(AtomicBool::new(false)));
        let header = Header {
            version: VERSION,
            program: concat!("guiche ", env!("CARGO_PKG_VERSION")).into(),
            instance: instance.to_owned().into(),
            mode: mode.to_owned().into(),
            started: now_micros(),
            part: 0,
        };
        let file = RotatedFile::new(&options.path, options.max_file_bytes, options.files);
        let mut output = Output::new(file, header, Arc::clone(&overrun), Arc::clone(&reopen));
        output.start_file()?;
        let thread = thread::Builder::new().name("trace".into()).spawn(move || output.run(&lines))?;
        let slices = Slices::open(now_micros()).map(Arc::new);
        Ok(Self { sender: LineSender { channel, slices, overrun, reopen }, thread: Some(thread) })
    }

    /// Returns an end to give records to.
    pub fn sender(&self) -> LineSender {
        self.sender.clone()
    }
}

impl Drop for TraceWriter {
    fn drop(&mut self) {
        // Fails only where the thread is gone already.
        let _ = self.sender.channel.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl LineSender {
    /// Hands a line over, or counts it as dropped. Of a call that is just over it says how long the process stood still.
    pub fn send(&self, mut line: Line<'static>) {
        if let (Line::Call(call), Some(slices)) = (&mut line, &self.slices) {
            call.throttled = slices.between(call.at, call.at.saturating_add(call.total));
        }
        match self.channel.try_send(Message::Line(line)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.overrun.add(now_micros);
            }
        }
    }

    /// Has the trace go on in a new file where somebody has moved the current one away, as a program that rotates
    /// logs does.
    pub fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        // A writer whose channel is full is awake.
        let _ = self.channel.try_send(Message::Wake);
    }
}

/// Returns the time, in microseconds since the Unix epoch by the machine's clock.
pub fn now_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The writer's side.
struct Output {
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

impl Output {
    fn new(
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

    fn run(mut self, messages: &Receiver<Message>) {
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

    fn add(&mut self, line: &Line<'_>) {
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
    fn tell_dropped(&mut self) {
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

    fn write_chunk(&mut self) {
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

    fn start_file(&mut self) -> io::Result<()> {
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

    fn finish(mut self) {
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

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
