//! The key under which a transaction is asked for, so that it may be asked for again.

/// What tells one wish of a client's from another: the same key means the same wish, however often it is sent.
///
/// It is the client's own: two clients may use the same. 1 to 64 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(Box<str>);

impl IdempotencyKey {
    /// The most characters that a key may have.
    pub const MAX_CHARS: usize = 64;

    /// Returns the text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for IdempotencyKey {
    type Error = NotAKey;

    fn try_from(text: String) -> Result<Self, NotAKey> {
        let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if printable && (1..=Self::MAX_CHARS).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(NotAKey)
        }
    }
}

/// The text cannot be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has 1 to {} printable ASCII characters", IdempotencyKey::MAX_CHARS)]
pub struct NotAKey;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_and_printable() {
        for text in ["a", " ", "~", "\"\\", &"x".repeat(64)] {
            assert_eq!(
                IdempotencyKey::try_from(text.to_owned()).map(|key| key.as_str().to_owned()),
                Ok(text.into())
            );
        }
        for text in ["", &"x".repeat(65), "a\tb", "a\0", "ç", "a\u{7f}"] {
            assert_eq!(IdempotencyKey::try_from(text.to_owned()), Err(NotAKey), "{text:?}");
        }
    }
}
