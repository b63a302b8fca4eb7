//! One way of a link: how bytes pass, and what carries them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The most bytes that are under way on one connection; more are left unread.
pub(super) const UNDER_WAY: usize = 16 * 1024;

/// The largest piece that passes at once where a rate is kept, in bytes.
const PIECE: usize = 512;

/// How bytes pass one way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Flow {
    /// At once.
    #[default]
    Free,
    /// So much later, and by up to `jitter` more, in their order.
    Delayed {
        /// At least so much.
        by: Duration,
        /// And up to so much more.
        jitter: Duration,
    },
    /// At this rate.
    Throttled {
        /// Bytes per second on each connection, at least 1.
        bytes_per_s: u32,
    },
    /// Not at all, until this is over: as if they were sent again and again. That a side has ended does not
    /// pass either, and connections that are new come to nobody.
    Stalled,
    /// So many bytes more on each connection, which is then reset.
    ResetAfter {
        /// The bytes that still pass.
        bytes: usize,
    },
}

/// Why bytes cannot be carried any further.
#[derive(Debug, PartialEq)]
pub(super) enum Broken {
    /// Who should take them has gone.
    Gone,
    /// The connection is to be reset.
    Reset,
}

/// One way of all connections.
#[derive(Debug, Default)]
pub(super) struct Way {
    flow: watch::Sender<Flow>,
    stalled: AtomicUsize,
}

impl Way {
    pub(super) fn set(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }

    pub(super) fn stalled_bytes(&self) -> usize {
        self.stalled.load(Ordering::SeqCst)
    }

    /// Waits until it is not stalled.
    pub(super) async fn until_passable(&self) {
        let mut flow = self.flow.subscribe();
        // Its sender lives as long as this does.
        let _ = flow.wait_for(|flow| *flow != Flow::Stalled).await;
    }

    /// Carries bytes until their sender has ended and that has passed too. `open` is dropped when the sender
    /// ends. Delays are drawn from `seed`.
    pub(super) async fn carry<T>(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        seed: u64,
        open: T,
    ) -> Result<(), Broken> {
        let mut changes = self.flow.subscribe();
        let mut queue = Queue::new(*changes.borrow_and_update(), seed);
        let mut open = Some(open);
        let mut buffer = vec![0; UNDER_WAY];
        loop {
            while let Some(piece) = queue.pop() {
                to.write_all(&piece).await.map_err(|_| Broken::Gone)?;
            }
            if queue.is_to_be_reset() {
                return Err(Broken::Reset);
            }
            if open.is_none() && queue.is_over() {
                return to.shutdown().await.map_err(|_| Broken::Gone);
            }
            let room = UNDER_WAY.saturating_sub(queue.bytes);
            tokio::select! {
                read = from.read(&mut buffer[..room]), if open.is_some() && room > 0 => match read {
                    Ok(0) | Err(_) => open = None,
                    Ok(count) => {
                        if queue.flow == Flow::Stalled {
                            self.stalled.fetch_add(count, Ordering::SeqCst);
                        }
                        queue.push(&buffer[..count]);
                    }
                },
                () = sleep_until(queue.due()), if queue.is_waiting() => {}
                _ = changes.changed() => queue.change(*changes.borrow_and_update()),
            }
        }
    }
}

/// What is under way on one connection.
struct Queue {
    flow: Flow,
    random: fastrand::Rng,
    /// Pieces, and when each is due.
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// When the last piece is due, or was.
    last: Instant,
    /// Bytes that still pass before the connection is reset.
    left: usize,
}

impl Queue {
    fn new(flow: Flow, seed: u64) -> Queue {
        let random = fastrand::Rng::with_seed(seed);
        let (pieces, last) = (VecDeque::new(), Instant::now());
        let mut queue = Queue { flow, random, pieces, bytes: 0, last, left: 0 };
        queue.change(flow);
        queue
    }

    /// Goes on with another flow; what is under way passes at once, unless nothing passes.
    fn change(&mut self, flow: Flow) {
        self.flow = flow;
        self.last = Instant::now();
        self.pieces.iter_mut().for_each(|(due, _)| *due = self.last);
        if let Flow::ResetAfter { bytes } = flow {
            self.left = bytes;
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        let now = Instant::now();
        let piece = if let Flow::Throttled { .. } = self.flow { PIECE } else { UNDER_WAY };
        for piece in bytes.chunks(piece) {
            self.last = match self.flow {
                Flow::Delayed { by, jitter } => self.last.max(now + by + jitter.mul_f64(self.random.f64())),
                Flow::Throttled { bytes_per_s } => {
                    let takes = piece.len() as f64 / f64::from(bytes_per_s.max(1));
                    self.last.max(now) + Duration::from_secs_f64(takes)
                }
                Flow::Free | Flow::Stalled | Flow::ResetAfter { .. } => now,
            };
            self.pieces.push_back((self.last, piece.to_vec()));
        }
    }

    /// Returns the next piece if it is due.
    fn pop(&mut self) -> Option<Vec<u8>> {
        let is_due = self.pieces.front().is_some_and(|(due, _)| *due <= Instant::now());
        if !is_due || self.flow == Flow::Stalled || self.is_to_be_reset() {
            return None;
        }
        let (_, mut piece) = self.pieces.pop_front()?;
        self.bytes -= piece.len();
        if matches!(self.flow, Flow::ResetAfter { .. }) {
            if piece.len() > self.left {
                let rest = piece.split_off(self.left);
                self.bytes += rest.len();
                self.pieces.push_front((self.last, rest));
            }
            self.left -= piece.len();
        }
        Some(piece)
    }

    /// Returns whether there are bytes that are not to pass any more.
    fn is_to_be_reset(&self) -> bool {
        matches!(self.flow, Flow::ResetAfter { .. }) && self.left == 0 && !self.pieces.is_empty()
    }

    /// Returns whether everything has passed, and an end would.
    fn is_over(&self) -> bool {
        self.pieces.is_empty() && self.flow != Flow::Stalled
    }

    fn is_waiting(&self) -> bool {
        !self.pieces.is_empty() && self.flow != Flow::Stalled
    }

    fn due(&self) -> Instant {
        self.pieces.front().map_or(self.last, |(due, _)| *due)
    }
}
