//! As much of HTTP as one page needs that is told what is new.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long whoever asks may take to ask, and to take the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a question that are read.
const HEAD_BYTES: u64 = 16 << 10;

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The page.
    Page,
    /// From that version on, what changes: server-sent events.
    Events(u64),
    /// Something that is not there: the answer's status, and why.
    Else(u16, &'static str),
}

/// Reads a question.
///
/// # Errors
/// When it does not come.
pub(super) fn asked(stream: &TcpStream) -> io::Result<Asked> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut lines = BufReader::new(stream.take(HEAD_BYTES)).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut host = None;
    for line in lines {
        let line = line?;
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("host") => host = Some(value.trim().to_owned()),
            None => break,
            Some(_) => {}
        }
    }
    // A site whose name leads to this machine would be let in by the browser.
    if !host.is_some_and(|host| is_address(&host)) {
        return Ok(Asked::Else(403, "ask for it by the address, or as localhost\n"));
    }
    let mut words = first.split(' ');
    if words.next() != Some("GET") {
        return Ok(Asked::Else(405, "there is nothing but to GET\n"));
    }
    let path = words.next().unwrap_or_default();
    Ok(match path.strip_prefix("/events?after=").map(str::parse) {
        Some(Ok(version)) => Asked::Events(version),
        None if path == "/" => Asked::Page,
        _ => Asked::Else(404, "the page is /\n"),
    })
}

fn is_address(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok()
}

/// Answers, and ends the connection.
///
/// # Errors
/// When nobody takes the answer.
pub(super) fn answer(mut stream: &TcpStream, status: u16, kind: &str, body: &[u8]) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {status} \r\n{}Content-Length: {}\r\n\r\n", headers(kind), body.len())?;
    stream.write_all(body)
}

/// Begins to tell events. Who loses them asks again after a second.
///
/// # Errors
/// When nobody listens.
pub(super) fn begin_events(mut stream: &TcpStream) -> io::Result<()> {
    write!(stream, "HTTP/1.1 200 \r\n{}\r\nretry: 1000\n\n", headers("text/event-stream"))
}

/// Returns an event, whose data `write` writes in one line, and what else that returns.
///
/// # Errors
/// When it cannot be written.
pub(super) fn event<T>(write: impl FnOnce(&mut Vec<u8>) -> io::Result<T>) -> io::Result<(Vec<u8>, T)> {
    let mut event = b"data: ".to_vec();
    let written = write(&mut event)?;
    event.extend(b"\n\n");
    Ok((event, written))
}

/// Tells an event; or, without one, that there is still somebody who would.
///
/// # Errors
/// When nobody listens any more.
pub(super) fn tell(mut stream: &TcpStream, event: Option<&[u8]>) -> io::Result<()> {
    stream.write_all(event.unwrap_or(b":\n\n"))
}

fn headers(kind: &str) -> String {
    format!(
        "Content-Type: {kind}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n"
    )
}
