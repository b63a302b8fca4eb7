//! A link between two parts of a stack that can be broken: a proxy that passes bytes on, and while it runs can
//! delay, throttle or stall them, cut and reset connections, and refuse new ones.
//!
//! *Questions* go from who connects to who listens, *answers* come back; each way has a [`Flow`] of its own.

mod way;
mod wire;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::http::Endpoint;
pub use way::Flow;
use way::{Broken, Way};
use wire::{Listener, Wire};

/// The most connections at once; who comes then waits in the kernel's queue.
const CONNECTIONS: usize = 1_024;

/// How long it waits after a connection that could not be taken.
const PAUSE: Duration = Duration::from_millis(10);

/// A running proxy. Dropped, it cuts everything.
#[derive(Debug)]
pub struct Proxy {
    endpoint: Endpoint,
    shared: Arc<Shared>,
    serving: Option<JoinHandle<()>>,
}

/// What all connections know.
#[derive(Debug)]
struct Shared {
    target: Endpoint,
    /// What delays are drawn from.
    seed: u64,
    questions: Way,
    answers: Way,
    /// Tells the connections of now that they are cut.
    cut: Mutex<watch::Sender<()>>,
    accepted: AtomicUsize,
    open: AtomicUsize,
    room: Semaphore,
}

impl Proxy {
    /// Listens at `endpoint`, whose port may be 0, and passes everything on to `target` and back. Delays are
    /// drawn from `seed`.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn start(endpoint: &Endpoint, target: Endpoint, seed: u64) -> Result<Proxy> {
        let listener = listen(endpoint)?;
        let shared = Arc::new(Shared {
            target,
            seed,
            questions: Way::default(),
            answers: Way::default(),
            cut: Mutex::default(),
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            room: Semaphore::new(CONNECTIONS),
        });
        let endpoint = listener.endpoint(endpoint);
        let serving = Some(tokio::spawn(Arc::clone(&shared).serve(listener)));
        Ok(Proxy { endpoint, shared, serving })
    }

    /// Returns where it listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Says how questions pass from here on.
    pub fn questions(&self, flow: Flow) {
        self.shared.questions.set(flow);
    }

    /// Says how answers pass from here on.
    pub fn answers(&self, flow: Flow) {
        self.shared.answers.set(flow);
    }

    /// Closes all connections, with what was under way on them, and returns once they are closed.
    pub async fn cut(&self) {
        let before = std::mem::take(&mut *self.shared.cut.lock().expect("nobody panics with it"));
        before.send_replace(());
        before.closed().await;
    }

    /// Closes all connections and refuses new ones.
    pub async fn go_down(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // It ends as cancelled, which is what was asked for.
            let _ = serving.await;
        }
    }

    /// Takes connections again, where it did.
    ///
    /// # Errors
    /// When somebody else listens there by now.
    pub fn come_up(&mut self) -> Result<()> {
        let listener = listen(&self.endpoint)?;
        self.serving = Some(tokio::spawn(Arc::clone(&self.shared).serve(listener)));
        Ok(())
    }

    /// Returns how many connections were taken so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Returns how many connections have not been ended by who made them.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Returns how many bytes of answers came while they were stalled.
    pub fn stalled_answers(&self) -> usize {
        self.shared.answers.stalled_bytes()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

fn listen(endpoint: &Endpoint) -> Result<Listener> {
    Listener::bind(endpoint).with_context(|| format!("no proxy can listen on {endpoint}"))
}

/// Counts a connection for as long as who made it has not ended it.
struct Open<'a>(&'a AtomicUsize);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, listener: Listener) {
        // Dropped with this task, and every connection with it.
        let mut connections = JoinSet::new();
        loop {
            let room = self.room.acquire().await.expect("it is never closed");
            let Ok(caller) = listener.accept().await else {
                // Whoever came has gone again, or there is no descriptor.
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            room.forget();
            let number = self.accepted.fetch_add(1, Ordering::SeqCst);
            self.open.fetch_add(1, Ordering::SeqCst);
            let shared = Arc::clone(&self);
            connections.spawn(async move {
                let _room = Room(&shared.room);
                // Whatever ended it, both ends are closed.
                let _ = shared.relay(caller, number).await;
            });
            while connections.try_join_next().is_some() {}
        }
    }

    /// Carries bytes both ways until both sides have ended, or the link is cut.
    async fn relay(&self, caller: Box<dyn Wire>, number: usize) -> io::Result<()> {
        // Dropped last of all, when both ends are closed.
        let mut cut = self.cut.lock().expect("nobody panics with it").subscribe();
        let open = Open(&self.open);
        let seed = self.seed.wrapping_add(number as u64);
        let mut passing = std::pin::pin!(async {
            // Where nothing passes, nobody is reached either.
            self.questions.until_passable().await;
            self.answers.until_passable().await;
            let server = wire::connect(&self.target).await?;
            let mut ends = [caller, server];
            let [(caller_says, to_caller), (server_says, to_server)] = ends.each_mut().map(tokio::io::split);
            let broken = tokio::try_join!(
                self.questions.carry(caller_says, to_server, seed, open),
                self.answers.carry(server_says, to_caller, !seed, ()),
            );
            if let Err(Broken::Reset) = broken {
                ends.iter().for_each(|end| end.reset_when_closed());
            }
            Ok(())
        });
        // First of all the cut, so that nothing passes for what is changed after it.
        tokio::select! {
            biased;
            _ = cut.changed() => Ok(()),
            over = &mut passing => over,
        }
    }
}

/// A connection's room, given back when it is over.
struct Room<'a>(&'a Semaphore);

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
