//! Connections of both kinds, TCP and Unix sockets.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;

use nix::sys::socket::{Shutdown, shutdown};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::http::Endpoint;

/// A connection.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {
    /// Has its end be told to the other side as a reset. A Unix socket has none: it is closed.
    fn reset_when_closed(&self) {}
}

impl Wire for TcpStream {
    fn reset_when_closed(&self) {
        // One that is gone already needs none.
        let _ = self.set_zero_linger();
    }
}

impl Wire for UnixStream {}

/// Connects to a server.
pub(super) async fn connect(to: &Endpoint) -> io::Result<Box<dyn Wire>> {
    Ok(match to {
        Endpoint::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        Endpoint::Unix(path) => Box::new(UnixStream::connect(path).await?),
    })
}

/// Where connections come in.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Binds a TCP address, or a Unix socket that its group may connect to; one that was left is replaced.
    pub(super) fn bind(endpoint: &Endpoint) -> io::Result<Listener> {
        match endpoint {
            Endpoint::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Listener::Tcp)
            }
            Endpoint::Unix(path) => {
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
                Ok(Listener::Unix(listener))
            }
        }
    }

    /// Returns the address that it has where `asked` was asked for.
    pub(super) fn endpoint(&self, asked: &Endpoint) -> Endpoint {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map_or_else(|_| asked.clone(), Endpoint::Tcp),
            Listener::Unix(_) => asked.clone(),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Box<dyn Wire>> {
        Ok(match self {
            Listener::Tcp(listener) => {
                let stream = listener.accept().await?.0;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Listener::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

/// A process that is being started has a copy until it is another program: closing alone would have the kernel take
/// connections for so long.
impl Drop for Listener {
    fn drop(&mut self) {
        // What was never listening need not stop.
        let _ = shutdown(self.as_fd().as_raw_fd(), Shutdown::Both);
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener) => listener.as_fd(),
        }
    }
}
