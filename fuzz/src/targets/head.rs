//! All bytes of a connection, as actix hands them over: request lines, headers, bodies, one request behind the other.

use super::front::{send, statuses};
use super::path::unescaped;
use super::{body, key};

/// A request as the model reads it.
struct Request<'a> {
    method: &'a str,
    target: &'a str,
    headers: Vec<(String, &'a [u8])>,
    body: Vec<u8>,
}

/// Sends the input.
pub fn try_it(input: &[u8]) {
    let brought = send(input);
    for status in statuses(&brought.answers) {
        assert!(
            [200, 400, 404, 405, 408, 413, 422, 431].contains(&status),
            "{status}: {}",
            String::from_utf8_lossy(input)
        );
    }
    // What was applied was asked for, in this order, and nothing else was.
    let mut meant = requests(input).into_iter().filter_map(|request| transaction(&request));
    for (client, transaction) in &brought.applied {
        let said = (
            transaction.amount.cents(),
            transaction.kind.letter(),
            transaction.description.as_str().to_owned(),
        );
        let key = transaction.key.as_ref().map(|key| key.as_str().to_owned());
        let applied = (*client, said, key);
        assert!(meant.any(|meant| meant == applied), "{applied:?} of {}", String::from_utf8_lossy(input));
    }
}

/// Returns what a request asks to be applied, with its client and key.
fn transaction(request: &Request<'_>) -> Option<(i32, body::Said, Option<String>)> {
    let path = request.target.split(['?', '#']).next()?;
    let path = path.split_once("://").map_or(path, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
    let segments: Vec<String> = path.split('/').map(unescaped).collect::<Option<_>>()?;
    let ["", "clientes", id, "transacoes"] = &segments.iter().map(String::as_str).collect::<Vec<_>>()[..]
    else {
        return None;
    };
    let client = id.parse().ok().filter(|_| id.bytes().all(|byte| byte.is_ascii_digit()))?;
    let lines = request.headers.iter().filter(|(name, _)| name == "idempotency-key").map(|(_, line)| *line);
    let key = key::model(&lines.collect::<Vec<_>>())?;
    (request.method == "POST").then_some(())?;
    Some((client, body::model(&request.body)??, key))
}

/// Reads one request after the other, until something is none. Lines may end without a CR.
fn requests(mut bytes: &[u8]) -> Vec<Request<'_>> {
    let mut requests = Vec::new();
    while let Some(request) = request(&mut bytes) {
        requests.push(request);
    }
    requests
}

fn request<'a>(bytes: &mut &'a [u8]) -> Option<Request<'a>> {
    let first = loop {
        match line(bytes)? {
            b"" => {}
            first => break std::str::from_utf8(first).ok()?,
        }
    };
    let mut words = first.split(' ').filter(|word| !word.is_empty());
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    ["HTTP/1.0", "HTTP/1.1"].contains(&version).then_some(())?;
    let mut headers = Vec::new();
    loop {
        let header = line(bytes)?;
        if header.is_empty() {
            break;
        }
        let colon = header.iter().position(|byte| *byte == b':')?;
        let name = std::str::from_utf8(&header[..colon]).ok()?.to_ascii_lowercase();
        headers.push((name, header[colon + 1..].trim_ascii()));
    }
    let of = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    let length =
        of("content-length").and_then(|length| std::str::from_utf8(length).ok()?.parse::<usize>().ok());
    let body = match (of("transfer-encoding"), length) {
        (Some(_), None) => chunks(bytes)?,
        (None, length) => {
            let (body, rest) = bytes.split_at_checked(length.unwrap_or(0))?;
            *bytes = rest;
            body.to_vec()
        }
        // Two lengths are one too many.
        (Some(_), Some(_)) => return None,
    };
    Some(Request { method, target, headers, body })
}

fn chunks(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = std::str::from_utf8(line(bytes)?).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        let (chunk, rest) = bytes.split_at_checked(size)?;
        body.extend(chunk);
        *bytes = rest;
        if size == 0 {
            // Behind the last one come trailers, which nobody looks at, and an empty line.
            let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|end| end + 4);
            let end = if bytes.starts_with(b"\r\n") { 2 } else { end? };
            *bytes = &bytes[end..];
            return Some(body);
        }
        line(bytes)?;
    }
}

fn line<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = &bytes[..end];
    *bytes = &bytes[end + 1..];
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}
