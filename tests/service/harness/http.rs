//! An HTTP/1.1 client that sends exactly the bytes it is told to, also wrong ones.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpStream, UnixStream};

use super::wait::PATIENCE;

/// Where somebody serves HTTP.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// As `LISTEN` spells it.
impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A request, to be sent as it is.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self { head: format!("{method} {path} HTTP/1.1\r\nHost: guiche\r\n"), body: Vec::new() }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST of JSON.
    pub(crate) fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", path).header("Content-Type", "application/json").body(body)
    }

    pub(crate) fn statement(client: i64) -> Self {
        Self::get(&format!("/clientes/{client}/extrato"))
    }

    pub(crate) fn transaction(client: i64, amount: i64, kind: &str, description: &str) -> Self {
        let body = super::transaction(amount, kind, description);
        Self::post(&format!("/clientes/{client}/transacoes"), body)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Sets the body and says how long it is.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.header("Content-Length", &length)
    }

    /// Sets the body without saying how long it is.
    pub(crate) fn raw_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// What is sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), b"\r\n", &self.body].concat()
    }

    /// How many of these bytes are its head, the blank line included.
    pub(crate) fn head_len(&self) -> usize {
        self.head.len() + 2
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The balance after a transaction that was applied.
    #[track_caller]
    pub(crate) fn balance(&self) -> i64 {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["saldo"].as_i64().unwrap_or_else(|| panic!("saldo is no integer: {self:?}"))
    }

    /// What a problem is called, after checking that it is worded as RFC 9457 wants it.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], self.status, "{self:?}");
        assert!(body["title"].is_string(), "{self:?}");
        let kind = body["type"].as_str().unwrap_or_else(|| panic!("it has no type: {self:?}"));
        kind.strip_prefix("/problems/").unwrap_or_else(|| panic!("another type: {self:?}")).to_owned()
    }

    /// Asserts which problem this is; `of` says what was asked.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, problem: &str, of: &str) {
        assert_eq!((self.status, self.problem().as_str()), (status, problem), "{of}: {self:?}");
    }

    /// Asserts a refusal after which trying again is safe.
    #[track_caller]
    pub(crate) fn assert_refused(&self, problem: &str) {
        self.assert_problem(503, problem, "a refusal");
        let seconds = self.header("retry-after").and_then(|value| value.parse::<u32>().ok());
        assert!(seconds.is_some_and(|seconds| seconds > 0), "when to try again: {self:?}");
    }

    /// Asserts the answer to a transaction of which nobody knows whether it was applied.
    #[track_caller]
    pub(crate) fn assert_unknown(&self) {
        self.assert_problem(504, "outcome-unknown", "a lost answer");
        assert_eq!(self.header("retry-after"), None, "nothing invites to try again: {self:?}");
    }
}

/// A kept-alive connection. Requests may be sent ahead of their answers.
pub(crate) struct Connection {
    stream: BufStream<Box<dyn Stream>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Connection {
    pub(crate) async fn open(address: &Address) -> Result<Self> {
        let stream: Box<dyn Stream> = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        };
        Ok(Self { stream: BufStream::new(stream) })
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Response> {
        self.send(request).await?;
        self.receive().await
    }

    pub(crate) async fn send(&mut self, request: &Request) -> Result<()> {
        self.send_bytes(&request.bytes()).await
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Waits for the next answer. One that never comes is `TimedOut`; a connection that was
    /// closed instead is `UnexpectedEof`.
    pub(crate) async fn receive(&mut self) -> Result<Response> {
        match tokio::time::timeout(PATIENCE, self.read_response()).await {
            Ok(response) => response,
            Err(_elapsed) => Err(Error::new(ErrorKind::TimedOut, "no answer")),
        }
    }

    /// Waits for the answer to a HEAD, which has no body whatever it says of its length.
    pub(crate) async fn receive_head(&mut self) -> Result<Response> {
        let head = tokio::time::timeout(PATIENCE, self.read_head()).await;
        head.unwrap_or_else(|_elapsed| Err(Error::new(ErrorKind::TimedOut, "no answer")))
    }

    /// Whether the other side closes this connection instead of answering.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_u8()).await;
        matches!(read, Ok(Err(_)))
    }

    async fn read_response(&mut self) -> Result<Response> {
        let mut response = self.read_head().await?;
        let length = response.header("content-length").and_then(|length| length.parse().ok());
        response.body = vec![0; length.ok_or_else(|| malformed("no content-length"))?];
        self.stream.read_exact(&mut response.body).await?;
        Ok(response)
    }

    async fn read_head(&mut self) -> Result<Response> {
        let status_line = self.read_line().await?;
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| malformed(&status_line))?;
        let mut headers = Vec::new();
        loop {
            let line = self.read_line().await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Response { status, headers, body: Vec::new() })
    }

    async fn read_line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let whole = line.strip_suffix("\r\n").map(str::to_owned);
        whole.ok_or_else(|| Error::new(ErrorKind::UnexpectedEof, "closed before the answer's end"))
    }
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not an HTTP answer: {what}"))
}

/// The body in chunks of this many bytes.
pub(crate) fn chunked(body: &str, size: usize) -> String {
    let chunks = body
        .as_bytes()
        .chunks(size)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)));
    chunks.collect::<String>() + "0\r\n\r\n"
}
