//! Asks a service something over HTTP, once: for health, readiness and tests, not for load.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// How long an answer may take: longer than NGINX waits for an instance, so that its word is heard.
const DEADLINE: Duration = Duration::from_secs(15);

/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;

/// Where a service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// An answer's status and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

impl Endpoint {
    /// Sends `GET path`, on a connection of its own.
    ///
    /// # Errors
    /// When nobody listens, or no whole answer comes within 15 s.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")).await
    }

    /// Sends `POST path` with a body of JSON, on a connection of its own.
    ///
    /// # Errors
    /// As for [`Endpoint::get`].
    pub async fn post(&self, path: &str, json: &str) -> Result<Answer> {
        self.post_with(path, &[], json).await
    }

    /// Does the same with more headers, each a line.
    ///
    /// # Errors
    /// As for [`Endpoint::get`].
    pub async fn post_with(&self, path: &str, headers: &[&str], json: &str) -> Result<Answer> {
        let length = json.len();
        let mut head = format!("POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {length}\r\n");
        headers.iter().for_each(|line| head.extend([line, "\r\n"]));
        self.send(&format!("{head}Content-Type: application/json\r\n\r\n{json}")).await
    }

    async fn send(&self, request: &str) -> Result<Answer> {
        let answer = async {
            match self {
                Endpoint::Tcp(address) => exchange(TcpStream::connect(address).await?, request).await,
                Endpoint::Unix(socket) => exchange(UnixStream::connect(socket).await?, request).await,
            }
        };
        let answer = tokio::time::timeout(DEADLINE, answer).await;
        let answer = answer.with_context(|| format!("{self} did not answer within {DEADLINE:?}"))?;
        answer.with_context(|| format!("{self} gave no answer"))
    }

    /// Asks with `GET` whether the answer is 200.
    ///
    /// # Errors
    /// When it is another, with its status and body, or when there is none.
    pub async fn check(&self, path: &str) -> Result<()> {
        let Answer { status, body } = self.get(path).await?;
        ensure!(status == 200, "{status} {body}");
        Ok(())
    }
}

/// As the service's `LISTEN` takes it.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => write!(f, "{address}"),
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Speaks HTTP/1.0: the server closes at the end and does not send in chunks.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Result<Answer> {
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut bytes).await?;
    parse(&String::from_utf8_lossy(&bytes)).context("what it sent is no whole answer")
}

/// Returns an answer, or `None` where it is none or ends before its `Content-Length`.
fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = headers.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = lengths.next().map_or(Some(0), |(_, value)| value.trim().parse().ok())?;
    (body.len() >= length).then(|| Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        let answer = parse("HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\n{}\r\n\r\n").expect("it is HTTP");
        assert_eq!(answer, Answer { status: 503, body: "{}\r\n\r\n".into() });
        assert_eq!(parse("HTTP/1.1 200 OK\r\n"), None);
        assert_eq!(parse("SSH-2.0\r\n\r\n"), None);
        assert!(parse("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").is_some());
        assert_eq!(parse("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{"), None);
    }
}
