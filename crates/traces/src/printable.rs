//! Names and texts from files, made safe to print; and times.

use std::fmt::{self, Display, Write};
use std::path::Path;

use time::OffsetDateTime;
use time::macros::format_description;

/// Returns the text without what would move a terminal's cursor, colour it, or turn text around.
pub(super) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    write!(safe, "{}", Printable(text)).expect("a String takes everything");
    safe
}

/// A path, printed without what a terminal would obey.
pub(super) struct Shown<'a>(pub(super) &'a Path);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Printable(&self.0.to_string_lossy()))
    }
}

/// Microseconds since the epoch as date and time, UTC.
pub(super) struct Timestamp(pub(super) u64);

impl Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format =
            format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6] UTC");
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000).ok();
        match time.and_then(|time| time.format(format).ok()) {
            Some(text) => f.write_str(&text),
            None => write!(f, "{} µs", self.0),
        }
    }
}

struct Printable<'a>(&'a str);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| f.write_char(if is_obeyed(c) { '\u{fffd}' } else { c }))
    }
}

/// Control characters, and those of Unicode that have no width or change the direction of writing.
fn is_obeyed(c: char) -> bool {
    let invisible = ['\u{200b}'..='\u{200f}', '\u{2028}'..='\u{202e}', '\u{2060}'..='\u{206f}'];
    c.is_control() || c == '\u{feff}' || invisible.iter().any(|range| range.contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        assert_eq!(printable("\u{1b}[31mré\u{9b}2J\u{202e}d\n\r\u{7}"), "�[31mré�2J�d���");
        assert_eq!(Shown(Path::new("a\u{1b}]0;x\u{7}b")).to_string(), "a�]0;x�b");
    }
}
