//! A request's path.

use super::front::{send, statuses};

/// Asks for the input as a path, with a GET.
pub fn try_it(input: &[u8]) {
    // What ends a path, or is none of its bytes, is for `head`.
    let Some(path) =
        std::str::from_utf8(input).ok().filter(|path| path.bytes().all(|byte| byte.is_ascii_graphic()))
    else {
        return;
    };
    if !path.starts_with('/') {
        return;
    }
    let brought = send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    let statuses = statuses(&brought.answers);
    let [status] = statuses[..] else { panic!("{path}: {statuses:?}") };
    assert!(brought.applied.is_empty(), "{path}: a GET applies nothing");
    let meant = client(path);
    match brought.read[..] {
        [] => assert!([200, 400, 404, 405, 431].contains(&status), "{path}: {status}"),
        [client] => assert_eq!((Some(client), status), (meant, 404), "{path}"),
        _ => panic!("{path}: {:?}", brought.read),
    }
    // What is written plainly is understood.
    if meant.is_some()
        && !path.contains(['%', '#', '?', '<', '>', '"', '{', '}', '|', '\\', '^', '`', '[', ']'])
    {
        assert_eq!(brought.read.first().copied(), meant, "{path}");
    }
}

/// Returns the client whose statement a path names: segments in their order, each unescaped once.
pub fn client(path: &str) -> Option<i32> {
    let path = path.split(['?', '#']).next()?;
    let segments: Vec<String> = path.split('/').map(unescaped).collect::<Option<_>>()?;
    let ["", "clientes", id, "extrato"] = &segments.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
        return None;
    };
    let digits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    id.parse().ok().filter(|_| digits)
}

/// Replaces `%31` by `1`.
pub fn unescaped(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        match piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(&piece.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend(piece.as_bytes());
            }
        }
    }
    String::from_utf8(bytes).ok()
}
