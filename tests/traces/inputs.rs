//! Whatever way a trace is given, each of its lines counts once.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use traces::format::{Dropped, End, Line, Why};

use crate::sample::{Sample, contended, directory, guiche_traces, printed, text};

fn requests(files: &[&Path]) -> Value {
    let mut arguments: Vec<&str> = files.iter().map(|file| text(file)).collect();
    arguments.push("--json");
    let json: Value = serde_json::from_str(&printed(&arguments)).expect("it is JSON");
    json["total"]["requests"].clone()
}

fn zipped(file: &Path) -> PathBuf {
    let path = file.with_extension("gz");
    let output = Command::new("gzip").arg("-c").arg(file).output().expect("gzip is everywhere");
    fs::write(&path, output.stdout).expect("writable");
    path
}

#[test]
fn a_file_that_is_given_twice_counts_once() {
    let directory = directory();
    let [one, two] = contended(directory.path());
    let [linked, hard, copy, part, both] = ["l", "h", "c", "p", "b"].map(|name| directory.path().join(name));
    symlink(&one, &linked).expect("a link");
    fs::hard_link(&one, &hard).expect("a link");
    fs::copy(&one, &copy).expect("a copy");
    let whole = fs::read_to_string(&one).expect("readable");
    // Copied while it was still being written.
    fs::write(&part, &whole[..whole.len() / 2]).expect("writable");
    fs::write(&both, whole.clone() + &fs::read_to_string(&two).expect("readable") + &whole)
        .expect("writable");
    let gz = zipped(&one);
    for again in [&linked, &hard, &copy, &part, &gz, &one] {
        assert_eq!(requests(&[&one, again]), 6, "{}", again.display());
        assert_eq!(requests(&[again, &one, &two]), 10, "{}", again.display());
    }
    assert_eq!(requests(&[&two, &both, &one]), 10, "one file that is several");
    let said = printed(&[text(&one), text(&copy)]);
    assert!(said.contains("8 lines are in two files and count once"), "{said}");
}

#[test]
fn pipes_and_gzip_lose_nothing() {
    let directory = directory();
    let [one, two] = contended(directory.path());
    let marked = directory.path().join("marked");
    fs::write(&marked, [b"\xef\xbb\xbf", &fs::read(&two).expect("readable")[..]].concat()).expect("writable");
    assert_eq!(requests(&[&zipped(&one), &marked]), 10, "gzip, and a byte order mark");
    let cut = directory.path().join("cut.gz");
    let bytes = fs::read(zipped(&one)).expect("readable");
    fs::write(&cut, &bytes[..bytes.len() - 9]).expect("writable");
    let said = printed(&[text(&cut), text(&two)]);
    assert!(said.contains("to its end"), "{said}");
    for name in ["/dev/stdin", "-"] {
        let mut guiche = Command::new(env!("CARGO_BIN_EXE_guiche"))
            .args(["traces", name, text(&two)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut input = guiche.stdin.take().expect("piped");
        input.write_all(&fs::read(&one).expect("readable")).expect("it reads");
        drop(input);
        let output = guiche.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("api1 (batched): 6 requests, 2 calls"), "{name}: {said}");
    }
    let shell =
        format!("{} traces <(gzip -c {}) <(cat {})", env!("CARGO_BIN_EXE_guiche"), text(&one), text(&two));
    let output = Command::new("bash").args(["-c", &shell]).output().expect("bash is there");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("api1 (batched): 6 requests") && said.contains("api2 (batched): 4 requests"),
        "{said}"
    );
}

#[test]
fn one_bad_file_does_not_hide_the_good_ones() {
    let directory = directory();
    let [one, _] = contended(directory.path());
    let empty = directory.path().join("empty\u{1b}[31m");
    fs::write(&empty, "").expect("writable");
    let output = guiche_traces(&[text(&empty), text(&one), "/nowhere/at/all"]);
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("api1 (batched): 6 requests"), "{told}");
    for text in [&said, &told] {
        assert!(text.contains("is empty") && text.contains("cannot read /nowhere/at/all"), "{text}");
        assert!(!text.contains('\u{1b}'), "a name's escape codes do not reach the terminal");
    }
}

#[test]
fn runs_of_one_name_are_told_apart() {
    let directory = directory();
    let [one, two] = contended(directory.path());
    let other = fs::read_to_string(&one).expect("readable");
    let other = other.replace("\"started\":1700000000000000", "\"started\":1700000009000000");
    fs::write(&two, other.replace("\"batched\"", "\"direct\"")).expect("writable");
    let said = printed(&[text(&one), text(&two)]);
    for part in ["api1 (batched, since 2023-11-14 22:13:20", "api1 (direct, since 2023-11-14 22:13:29"] {
        let line = said.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {said}"));
        assert!(line.contains("6 requests, 2 calls"), "{line}");
    }
}

#[test]
fn a_time_can_be_given_as_it_is_printed() {
    let directory = directory();
    let [one, two] = contended(directory.path());
    let said = printed(&[text(&one), text(&two)]);
    let from =
        said.lines().next().and_then(|line| line.split_once(" from ")).expect("the first line has it").1;
    assert!(printed(&[text(&one), text(&two), "--from", from]).contains("10 debit"));
}

/// Lines that the disk refused leave no note but at the end.
#[test]
fn all_missing_lines_are_told() {
    let directory = directory();
    let mut sample = Sample::of("api1");
    sample.call(1, 1, 1_000, (0, 200), &["lone".to_owned()]);
    sample.add(&Line::Dropped(Dropped { at: 5, count: 261, since: 4, why: Why::QueueFull }));
    sample.add(&Line::End(End { at: 9, dropped: 7_116 }));
    let said = printed(&[text(&sample.write(directory.path(), "t"))]);
    assert!(said.contains("7,116 lines were dropped"), "{said}");
}
