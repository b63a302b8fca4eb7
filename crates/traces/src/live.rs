//! `guiche traces --follow`: the page of what instances write now, served on this machine.
//!
//! One thread reads what is new in the files. Whoever looks at the page is told what has changed: nothing is made of the
//! lines while nobody looks.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::chrome::ChromeWriter;
use super::follow::Followed;
use super::input::ReadError;
use super::page::Page;
use super::reading::Wishes;
use super::serving::{Asked, answer, asked, begin_events, event, tell};
use super::window::Window;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// How long nothing is told at most: who has gone is noticed by that.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was made is followed by a pause this many times as long: it takes a tenth of a core at most.
const PAUSES: u32 = 9;

/// Who looks at once, at most; others are refused.
const CONNECTIONS_MAX: usize = 16;

/// Which files are followed, and how they are shown.
pub(super) struct Following {
    pub(super) files: Vec<PathBuf>,
    pub(super) address: SocketAddr,
    pub(super) client: Option<i32>,
    pub(super) last: Duration,
    /// Requests, and calls, that are kept at most.
    pub(super) most: usize,
}

/// Why they cannot be.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A file is no trace.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The address is taken, or not this machine's.
    #[error("cannot serve on {address}: {cause}; choose another with --serve (port 0 is any that is free)")]
    Serve {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
}

struct Live {
    window: Mutex<Window>,
    changed: Condvar,
    made: Mutex<Made>,
    wishes: Wishes,
}

/// What was made of the lines last.
struct Made {
    version: u64,
    /// The event that tells of it, as it is sent to all who look.
    update: Arc<Vec<u8>>,
    /// When the next may be.
    next: Instant,
}

impl Following {
    /// Serves for ever.
    ///
    /// # Errors
    /// [`LiveError`], before anything is served. Files that become unreadable later are told of on standard error.
    pub(super) fn run(self) -> Result<(), LiveError> {
        let refused = |cause| LiveError::Serve { address: self.address, cause };
        let listener = TcpListener::bind(self.address).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let mut window = Window::new(self.last.as_micros() as u64, self.most);
        let mut files: Vec<_> =
            self.files.iter().zip(0..).map(|(path, number)| Followed::new(path, number)).collect();
        files.iter_mut().try_for_each(|file| file.read(&mut window))?;
        // Whoever waits for this line reads a pipe, or has gone.
        let _ = writeln!(
            io::stdout(),
            "http://{address}/ shows the last {} s; Ctrl-C ends it",
            self.last.as_secs()
        );
        if !address.ip().is_loopback() {
            let _ = writeln!(io::stderr(), "guiche: whoever reaches {address} reads the traces");
        }
        let wishes = Wishes { client: self.client, page_requests: Some(self.most), ..Wishes::default() };
        let made = Mutex::new(Made { version: 0, update: Arc::default(), next: Instant::now() });
        let live = Arc::new(Live { window: Mutex::new(window), changed: Condvar::new(), made, wishes });
        let serving = Arc::clone(&live);
        thread::spawn(move || serving.serve(&listener));
        loop {
            live.read(&mut files);
            thread::sleep(INTERVAL);
        }
    }
}

impl Live {
    fn read(&self, files: &mut [Followed]) {
        for file in files {
            let mut window = locked(&self.window);
            let before = window.version;
            if let Err(error) = file.read(&mut window) {
                let _ = writeln!(io::stderr(), "guiche: {error}; it is left out");
            }
            if window.version != before {
                self.changed.notify_all();
            }
        }
    }

    fn serve(self: Arc<Self>, listener: &TcpListener) {
        let connections = Arc::new(AtomicUsize::new(0));
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                // Out of descriptors, perhaps: others end meanwhile.
                thread::sleep(INTERVAL);
                continue;
            };
            if connections.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
                connections.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (live, connections) = (Arc::clone(&self), Arc::clone(&connections));
            thread::spawn(move || {
                // Whoever asked may have gone.
                let _ = live.answer(&stream);
                connections.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }

    fn answer(&self, stream: &TcpStream) -> io::Result<()> {
        match asked(stream)? {
            Asked::Page => answer(stream, 200, "text/html; charset=utf-8", &self.page()?),
            Asked::Events(mut version) => {
                begin_events(stream)?;
                loop {
                    let update = self.update(version)?;
                    tell(stream, update.as_ref().map(|(_, update)| update.as_slice()))?;
                    version = update.map_or(version, |(version, _)| version);
                }
            }
            Asked::Else(status, why) => answer(stream, status, "text/plain", why.as_bytes()),
        }
    }

    fn page(&self) -> io::Result<Vec<u8>> {
        let mut page = Vec::new();
        self.make(|made| made.write(&mut page))?;
        Ok(page)
    }

    /// Returns what there is, and its version, once that is another than `after`; `None` where nothing changes for long.
    fn update(&self, after: u64) -> io::Result<Option<(u64, Arc<Vec<u8>>)>> {
        let window = locked(&self.window);
        let same = |window: &mut Window| window.version == after;
        let waited = self.changed.wait_timeout_while(window, PATIENCE, same);
        if waited.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
            return Ok(None);
        }
        let mut made = locked(&self.made);
        let is_old = made.version != locked(&self.window).version && made.next <= Instant::now();
        if made.version <= after || is_old {
            thread::sleep(made.next.saturating_duration_since(Instant::now()));
            let begun = Instant::now();
            let (update, version) = event(|update| self.make(|made| made.write_update(update)))?;
            let next = Instant::now() + (begun.elapsed() * PAUSES).max(INTERVAL);
            *made = Made { version, update: Arc::new(update), next };
        }
        Ok(Some((made.version, Arc::clone(&made.update))))
    }

    /// Makes a page of the lines that there are now; returns their version.
    fn make(&self, write: impl FnOnce(Page<'_>) -> io::Result<()>) -> io::Result<u64> {
        let window = locked(&self.window);
        let (traces, version) = (window.traces(), window.version);
        drop(window);
        let mut reading = self.wishes.read(traces, None::<ChromeWriter<io::Sink>>)?;
        let sides = reading.side().into_iter().collect();
        write(Page { sides, live: Some(version) })?;
        Ok(version)
    }
}

/// Returns what it guards. A thread that panicked has left it whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
