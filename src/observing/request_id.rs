//! What a request is called, in its answer, in logs and in traces.

/// The longest id that is taken over from a caller, in bytes.
const LONGEST: usize = 128;

/// Hexadecimal digits of one that is made.
const DIGITS: usize = 32;

/// The name of a request: its caller's, or one that is made.
#[derive(Debug)]
pub struct RequestId(Text);

#[derive(Debug)]
enum Text {
    Given(Box<str>),
    /// ASCII. It needs no memory of its own.
    Made([u8; DIGITS]),
}

impl RequestId {
    /// Takes a caller's `X-Request-Id` over, if it is 1 to 128 visible ASCII characters.
    pub fn given(id: &[u8]) -> Option<Self> {
        let id = std::str::from_utf8(id).ok()?;
        let usable = (1..=LONGEST).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        usable.then(|| Self(Text::Given(id.into())))
    }

    /// Makes one at random: 128 bits, as a trace's id has.
    pub fn made() -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; DIGITS];
        for (digits, byte) in text.chunks_exact_mut(2).zip(fastrand::u128(..).to_be_bytes()) {
            digits[0] = HEX[usize::from(byte >> 4)];
            digits[1] = HEX[usize::from(byte & 15)];
        }
        Self(Text::Made(text))
    }

    /// Returns the id itself.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("it is ASCII")
    }

    /// Returns the same for whom it is bytes: nobody looks at them again.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Given(id) => id.as_bytes(),
            Text::Made(digits) => digits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_over_if_it_is_short_and_visible() {
        let (longest, longer) = ("x".repeat(LONGEST), "x".repeat(LONGEST + 1));
        for (id, usable) in [
            ("teller-1", true),
            ("Root=1-67891233-abcdef012345678912345678", true),
            (longest.as_str(), true),
            (longer.as_str(), false),
            ("", false),
            ("two words", false),
            ("caf\u{e9}", false),
            ("line\nbreak", false),
        ] {
            let taken = RequestId::given(id.as_bytes());
            assert_eq!(taken.as_ref().map(RequestId::as_str), usable.then_some(id), "{id}");
        }
        assert!(RequestId::given(b"\xff").is_none());
    }

    #[test]
    fn one_that_is_made_is_a_number_like_no_other() {
        let made: std::collections::HashSet<String> =
            (0..1_000).map(|_| RequestId::made().as_str().to_owned()).collect();
        assert_eq!(made.len(), 1_000);
        assert!(made.iter().all(|id| id.len() == DIGITS && u128::from_str_radix(id, 16).is_ok()));
    }
}
