//! `Idempotency-Key`.

use guiche::http::hostile;

/// Takes each line of the input as one of the header's.
pub fn try_it(input: &[u8]) {
    let lines: Vec<&[u8]> =
        if input.is_empty() { Vec::new() } else { input.split(|byte| *byte == b'\n').collect() };
    // HTTP does not let every byte through.
    let Some(read) = hostile::key(&lines) else { return };
    assert_eq!(read.clone().ok(), model(&lines), "{read:?} of {}", String::from_utf8_lossy(input));
}

/// Returns the key of these lines; nothing where they are none. What may be in a string is listed here, and every
/// other string is refused.
pub fn model(lines: &[&[u8]]) -> Option<Option<String>> {
    let line = match lines {
        [] => return Some(None),
        [line] => std::str::from_utf8(line).ok()?,
        _ => return None,
    };
    let mut rest = line.trim_matches([' ', '\t']).strip_prefix('"')?;
    let mut key = String::new();
    loop {
        let first = rest.chars().next()?;
        if rest == "\"" {
            return (1..=64).contains(&key.len()).then_some(Some(key));
        } else if let Some(behind) = rest.strip_prefix("\\\"").or(rest.strip_prefix("\\\\")) {
            key.push_str(&rest[1..2]);
            rest = behind;
        } else if first.is_ascii() && !first.is_ascii_control() && !['"', '\\'].contains(&first) {
            key.push(first);
            rest = &rest[1..];
        } else {
            return None;
        }
    }
}
