//! `guiche health`: an instance asks another, or itself, how it is. For health checks in images
//! that carry neither a shell nor an HTTP client.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use settings::{ConfigError, Listen};

/// How long connecting, and each read and write, may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why the instance does not count as healthy.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// `LISTEN` cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nobody answers there.
    #[error("no answer from {address}: {cause}")]
    NoAnswer {
        /// Where was asked.
        address: String,
        /// What the system says.
        cause: io::Error,
    },
    /// It answers, with something else than 200.
    #[error("{address} answers {answer}")]
    Refused {
        /// Where was asked.
        address: String,
        /// The status line and the body.
        answer: String,
    },
}

/// Asks the instance on `LISTEN` for `/healthz` (`live`) or `/readyz`.
///
/// # Errors
/// [`Unhealthy`] unless it answers 200.
pub fn check(live: bool) -> Result<(), Unhealthy> {
    let listen = Listen::from_env()?;
    let path = if live { "/healthz" } else { "/readyz" };
    let (address, answer) = match listen {
        Listen::Tcp(address) => {
            let address = reachable(address);
            let asked = TcpStream::connect_timeout(&address, PATIENCE).and_then(|mut stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                ask(&mut stream, path)
            });
            (address.to_string(), asked)
        }
        Listen::Unix(socket) => {
            let asked = UnixStream::connect(&socket).and_then(|mut stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                ask(&mut stream, path)
            });
            (format!("unix:{}", socket.display()), asked)
        }
    };
    let answer = answer.map_err(|cause| Unhealthy::NoAnswer { address: address.clone(), cause })?;
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    let status = answer.lines().next().unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Err(Unhealthy::Refused { address, answer: format!("{status} {body}") })
}

/// Returns where to ask an instance: on the loopback address if it listens on every one.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

fn ask(stream: &mut (impl Read + Write), path: &str) -> io::Result<String> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    // More than a health answer ever is; whatever listens there, this ends.
    stream.take(16_384).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
