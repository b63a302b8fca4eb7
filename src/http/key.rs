//! `Idempotency-Key`: the header that makes a POST safe to send again (IETF HTTPAPI's draft).

use actix_web::http::header::{HeaderMap, HeaderName};

use crate::domain::{IdempotencyKey, NotAKey};

const NAME: HeaderName = HeaderName::from_static("idempotency-key");

/// Why a header is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadKey {
    /// More than one line.
    #[error("a request has one Idempotency-Key at most")]
    Repeated,
    /// Not what RFC 9651 calls a String.
    #[error(
        "Idempotency-Key is a string in double quotes, of printable ASCII characters, with a backslash before each \
         double quote and backslash in it, and has no parameters"
    )]
    NotAString,
    /// A string that is empty or too long.
    #[error(transparent)]
    NotAKey(#[from] NotAKey),
}

/// Reads the key that a request has, by these rules:
///
/// - The header stands there once, or not at all.
/// - It is one String of a structured field (RFC 9651, section 3.3.3; in RFC 8941 the same): `"`, characters from
///   space to `~`, `"`. Of these `"` and `\` are written `\"` and `\\`, and nothing else is escaped. Spaces around it
///   are no part of it. Parameters are refused, since the draft defines none.
/// - What it says has 1 to 64 characters.
pub(super) fn read_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, BadKey> {
    let mut lines = headers.get_all(NAME);
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => Ok(Some(unquote(line.as_bytes())?.try_into()?)),
        (Some(_), Some(_)) => Err(BadKey::Repeated),
    }
}

fn unquote(line: &[u8]) -> Result<String, BadKey> {
    let quoted = line.trim_ascii().strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let mut bytes = quoted.ok_or(BadKey::NotAString)?.iter().copied();
    let mut text = String::new();
    while let Some(byte) = bytes.next() {
        let meant = match byte {
            b'\\' => bytes.next().filter(|escaped| matches!(escaped, b'"' | b'\\')),
            b' '..=b'~' if byte != b'"' => Some(byte),
            _ => None,
        };
        text.push(char::from(meant.ok_or(BadKey::NotAString)?));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn read(lines: &[&str]) -> Result<Option<String>, BadKey> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(NAME, HeaderValue::from_bytes(line.as_bytes()).expect("HTTP lets it through"));
        }
        Ok(read_key(&headers)?.map(|key| key.as_str().to_owned()))
    }

    #[test]
    fn a_key_is_a_string_of_a_structured_field() {
        assert_eq!(read(&[]), Ok(None));
        for (line, says) in [
            (r#""8e03978e-40d5-43dd-bc93-6894a57f9324""#, "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            (r#"  "a"  "#, "a"),
            (r#"" ""#, " "),
            (r#""a\"b\\""#, r#"a"b\"#),
            (r#""\\""#, r"\"),
        ] {
            assert_eq!(read(&[line]), Ok(Some(says.to_owned())), "{line}");
        }
        let longest = "x".repeat(64);
        assert_eq!(read(&[&format!("\"{longest}\"")]), Ok(Some(longest)));
    }

    #[test]
    fn anything_else_is_refused_for_what_it_is() {
        for line in [
            "",
            "a",
            "\"",
            "\"a",
            "a\"",
            "'a'",
            r#""a"b""#,
            r#""a";p"#,
            r#""a";p="b""#,
            r#""a", "b""#,
            r#""\a""#,
            r#""a\""#,
            "\"\t\"",
            "\"ç\"",
            "1",
            ":YQ==:",
            "?1",
            r#"("a")"#,
        ] {
            assert_eq!(read(&[line]), Err(BadKey::NotAString), "{line}");
        }
        assert_eq!(read(&["\"\""]), Err(BadKey::NotAKey(NotAKey)));
        assert_eq!(read(&[&format!("\"{}\"", "x".repeat(65))]), Err(BadKey::NotAKey(NotAKey)));
        assert_eq!(read(&["\"a\"", "\"a\""]), Err(BadKey::Repeated));
    }
}
