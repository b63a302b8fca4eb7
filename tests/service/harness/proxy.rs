//! A proxy between an instance and its database that can hold back what either says, refuse
//! connections and cut them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::Database;

/// A proxy on loopback. Dropped, it cuts everything.
pub(crate) struct Proxy {
    address: SocketAddr,
    socket: PathBuf,
    state: Arc<State>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    /// Whether what the instance says is held back.
    questions_held: watch::Sender<bool>,
    /// Whether what the database says is held back.
    answers_held: watch::Sender<bool>,
    accepted: AtomicUsize,
    open: AtomicUsize,
    /// Bytes of the database's that were held back so far.
    held_bytes: AtomicUsize,
}

impl Proxy {
    /// One that passes everything on.
    pub(crate) async fn to(database: &Database) -> Self {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await;
        let address = listener.local_addr().expect("it is bound");
        let mut proxy = Self { address, socket: database.socket(), state: Arc::default(), serving: None };
        proxy.serve(listener);
        proxy
    }

    /// The database's address, through the proxy.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgresql://guiche:guiche@{}/{database}", self.address)
    }

    /// Cuts all connections and refuses new ones.
    pub(crate) async fn go_down(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // It ends as cancelled, which is what was asked for.
            let _ = serving.await;
        }
    }

    /// Takes connections again, on the same port.
    pub(crate) async fn come_up(&mut self) {
        let listener = listen(self.address).await;
        self.serve(listener);
    }

    /// Holds back what the instance says, or lets it through.
    pub(crate) fn hold_questions(&self, held: bool) {
        self.state.questions_held.send_replace(held);
    }

    /// Holds back what the database says, or lets it through.
    pub(crate) fn hold_answers(&self, held: bool) {
        self.state.answers_held.send_replace(held);
    }

    /// Connections taken so far.
    pub(crate) fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// Bytes that the database has said while its answers were held back.
    pub(crate) fn held_bytes(&self) -> usize {
        self.state.held_bytes.load(Ordering::SeqCst)
    }

    fn serve(&mut self, listener: TcpListener) {
        let (state, socket) = (Arc::clone(&self.state), self.socket.clone());
        self.serving = Some(tokio::spawn(async move {
            // Dropped with this task, and every connection with it.
            let mut connections = JoinSet::new();
            while let Ok((instance, _)) = listener.accept().await {
                state.accepted.fetch_add(1, Ordering::SeqCst);
                let open = Open::count(&state);
                let (state, socket) = (Arc::clone(&state), socket.clone());
                connections.spawn(async move {
                    relay(instance, &socket, &state).await;
                    drop(open);
                });
            }
        }));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

/// Counts a connection for as long as it is open.
struct Open(Arc<State>);

impl Open {
    fn count(state: &Arc<State>) -> Self {
        state.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(state))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn listen(address: SocketAddr) -> TcpListener {
    TcpListener::bind(address).await.expect("a port for the proxy")
}

/// Carries bytes both ways until either side closes; a database that is down closes at once.
async fn relay(instance: TcpStream, socket: &PathBuf, state: &State) {
    let Ok(database) = UnixStream::connect(socket).await else { return };
    let (from_instance, to_instance) = instance.into_split();
    let (from_database, to_database) = database.into_split();
    let uncounted = AtomicUsize::new(0);
    tokio::select! {
        () = pump(from_instance, to_database, state.questions_held.subscribe(), &uncounted) => {}
        () = pump(from_database, to_instance, state.answers_held.subscribe(), &state.held_bytes) => {}
    }
}

/// Carries bytes one way. It reads on while they are held back, so that it notices the end.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut held: watch::Receiver<bool>,
    held_bytes: &AtomicUsize,
) {
    let mut bytes = Vec::new();
    loop {
        let before = bytes.len();
        tokio::select! {
            read = from.read_buf(&mut bytes) => match read {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            },
            changed = held.changed() => if changed.is_err() { break },
        }
        if *held.borrow_and_update() {
            held_bytes.fetch_add(bytes.len() - before, Ordering::SeqCst);
            continue;
        }
        if to.write_all(&bytes).await.is_err() {
            break;
        }
        bytes.clear();
    }
}
