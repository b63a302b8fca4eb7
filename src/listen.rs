//! Sockets to listen on.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use settings::Listen;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

/// Connections that the kernel holds while the instance is busy.
const BACKLOG: i32 = 4_096;

/// Who may connect to a unix socket: its owner and its group.
const SOCKET_MODE: u32 = 0o660;

/// The address to listen on cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}")]
pub struct CannotListen {
    /// As configured.
    address: String,
    /// What the system says.
    cause: io::Error,
}

/// A socket that is bound and listens.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Binds the address and logs where it listens.
pub(crate) fn bind(address: &Listen) -> Result<Listener, CannotListen> {
    let (listener, shown) = match address {
        Listen::Tcp(address) => {
            let listener = bind_tcp(*address)?;
            let bound = listener.local_addr().map_err(|cause| cannot_listen(address, cause))?;
            (Listener::Tcp(listener), bound.to_string())
        }
        Listen::Unix(path) => {
            let shown = format!("unix:{}", path.display());
            (Listener::Unix(bind_unix(path).map_err(|cause| cannot_listen(&shown, cause))?), shown)
        }
    };
    tracing::info!(address = shown, "listening");
    Ok(listener)
}

/// Binds a TCP address; port 0 takes a free one.
pub(crate) fn bind_tcp(address: SocketAddr) -> Result<TcpListener, CannotListen> {
    let bound = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bound().map_err(|cause| cannot_listen(&address, cause))
}

/// Binds a unix socket that its group may connect to, in which NGINX, as another user, has to be. A socket that a
/// killed instance left behind is replaced; one that somebody serves is not.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it exists and is not a socket"));
        }
        if UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process serves it"));
        }
        std::fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
    Ok(socket.into())
}

/// How callers find the instance: its socket, and the name of one that has a name.
pub(crate) struct Signpost {
    socket: Socket,
    name: Option<(PathBuf, FileId)>,
}

/// A file's device and number.
type FileId = (u64, u64);

impl Signpost {
    /// Returns that of an address that was just bound.
    ///
    /// # Errors
    /// When the process may have no more descriptors.
    pub(crate) fn to(address: &Listen, listener: &Listener) -> io::Result<Self> {
        let socket = match listener {
            Listener::Tcp(listener) => SockRef::from(listener).try_clone()?,
            Listener::Unix(listener) => SockRef::from(listener).try_clone()?,
        };
        let name = match address {
            Listen::Tcp(_) => None,
            Listen::Unix(path) => file_id(path).map(|id| (path.clone(), id)),
        };
        Ok(Self { socket, name })
    }

    /// Refuses who comes from now on, and who was not accepted yet.
    pub(crate) fn close(&self) {
        // Where that fails nobody listens any more.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Removes the name, unless it is another socket's by now: connections that are new find nobody, and
    /// none of those that wait to be accepted is lost when the socket is closed.
    pub(crate) fn take_down(&self) {
        if let Some((path, id)) = &self.name
            && file_id(path) == Some(*id)
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!(%error, path = %path.display(), "its socket cannot be removed");
        }
    }
}

fn file_id(path: &Path) -> Option<FileId> {
    std::fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn cannot_listen(address: &impl ToString, cause: io::Error) -> CannotListen {
    CannotListen { address: address.to_string(), cause }
}
