//! A trace file, and everything that is made of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::de::IgnoredAny;

/// Writes the input to a file and reads that as a trace.
pub fn try_it(input: &[u8]) {
    let path = PathBuf::from(format!("/dev/shm/guiche-hostile-{}.jsonl", std::process::id()));
    fs::write(&path, input).expect("there is memory for it");
    let read = traces::hostile::read(std::slice::from_ref(&path));
    fs::remove_file(&path).expect("it is ours");
    // What is zipped only has to be borne.
    if input.starts_with(&[0x1f, 0x8b]) {
        return;
    }
    let lines: Vec<Option<String>> = input.split(|byte| *byte == b'\n').map(kind).collect();
    match read {
        Ok(told) => {
            let most = |wanted: &str| lines.iter().flatten().filter(|kind| *kind == wanted).count() as u64;
            assert_eq!(lines[0].as_deref(), Some("trace"), "it begins with its header");
            assert!(told.requests <= most("request") && told.calls <= most("flush"), "{told:?}");
            let senseless = lines.iter().filter(|kind| kind.is_none()).count() as u64;
            assert!(told.malformed + told.repeated + 1 >= senseless.saturating_sub(blank(input)), "{told:?}");
        }
        Err(why) => assert!(!why.is_empty()),
    }
}

/// Returns the name of a line's only member.
fn kind(line: &[u8]) -> Option<String> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    // What a member holds may be more than there is room for, a number of any size.
    let members: BTreeMap<String, IgnoredAny> = serde_json::from_str(std::str::from_utf8(line).ok()?).ok()?;
    if members.len() == 1 { members.into_keys().next() } else { None }
}

fn blank(input: &[u8]) -> u64 {
    input.split(|byte| *byte == b'\n').filter(|line| line.is_empty()).count() as u64
}
