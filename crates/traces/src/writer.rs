//! Writes trace lines on a thread of its own, so that no request ever waits for a disk.
//!
//! Between the two is a channel with a bound. Where it is full, or the disk refuses, lines are
//! dropped, counted, and the count is written in their place and logged.

mod chunks;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use super::format::{Header, Line, VERSION};
use super::missed::Overrun;
use super::rotate::RotatedFile;
use super::slices::Slices;
use chunks::Chunks;

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
        let mut chunks = Chunks::new(file, header, Arc::clone(&overrun), Arc::clone(&reopen));
        chunks.start_file()?;
        let thread = thread::Builder::new().name("trace".into()).spawn(move || chunks.run(&lines))?;
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

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
