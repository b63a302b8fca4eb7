//! What `guiche traces` writes, and what it leaves alone.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::sample::{Sample, contended, directory, guiche_traces, printed, text};

fn refused(arguments: &[&str], why: &str) {
    let output = guiche_traces(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains(why), "{arguments:?}: {error}");
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("it is there")
}

#[test]
fn a_trace_is_never_written_over() {
    let directory = directory();
    let [one, two] = contended(directory.path());
    let before = [read(&one), read(&two)];
    let (linked, hard) = (directory.path().join("linked"), directory.path().join("hard"));
    symlink(&one, &linked).expect("a link");
    fs::hard_link(&one, &hard).expect("a link");
    let roundabout =
        directory.path().join(".").join("..").join(directory.path().file_name().expect("a name"));
    let roundabout = roundabout.join("api1.jsonl");
    for option in ["--html", "--chrome"] {
        for output in [&one, &linked, &hard, &roundabout] {
            refused(&[text(&one), text(&two), option, text(output)], "it is one of the traces to be read");
        }
        // OUT was forgotten: the option takes the first trace for it.
        refused(&[option, text(&one), text(&two)], "was not written by this option");
    }
    let appended = Command::new(env!("CARGO_BIN_EXE_guiche"))
        .args(["traces", text(&one)])
        .stdout(fs::OpenOptions::new().append(true).open(&one).expect("writable"))
        .output();
    assert!(!appended.expect("it runs").status.success(), "guiche traces one >>one");
    assert_eq!([read(&one), read(&two)], before);
}

#[test]
fn only_what_it_wrote_itself_is_written_anew() {
    let directory = directory();
    let [one, two] = contended(directory.path());
    let [page, export, notes] = ["page", "export", "notes"].map(|name| directory.path().join(name));
    for _ in 0..2 {
        printed(&[text(&one), text(&two), "--html", text(&page), "--chrome", text(&export)]);
    }
    let long = read(&page).len();
    printed(&[text(&one), "--client", "1", "--html", text(&page)]);
    assert!(
        read(&page).len() < long && read(&page).ends_with(b"</html>\n"),
        "nothing is left of the longer one"
    );
    fs::write(&notes, "what I found out").expect("writable");
    for (option, output) in
        [("--html", &notes), ("--chrome", &notes), ("--chrome", &page), ("--html", &export)]
    {
        let before = read(output);
        refused(&[text(&one), option, text(output)], "was not written by this option");
        assert_eq!(read(output), before);
    }
    fs::write(&notes, "").expect("writable");
    refused(&[text(&one), "--html", text(&notes), "--chrome", text(&notes)], "cannot both go there");
}

#[test]
fn a_page_or_an_export_goes_to_standard_output() {
    let directory = directory();
    let [one, _] = contended(directory.path());
    for output in ["-", "/dev/stdout"] {
        let page = guiche_traces(&[text(&one), "--html", output]);
        assert!(page.stdout.starts_with(b"<!doctype html>") && page.stdout.ends_with(b"</html>\n"));
        assert!(String::from_utf8_lossy(&page.stderr).contains("api1 (batched): 6 requests"));
    }
    let export = printed(&[text(&one), "--chrome", "-"]);
    let export: serde_json::Value = serde_json::from_str(&export).expect("it is JSON, and nothing else");
    assert!(export["traceEvents"].as_array().is_some_and(|events| !events.is_empty()));
    refused(&[text(&one), "--html", "-", "--chrome", "-"], "cannot both go there");
    refused(&[text(&one), "--html", "-", "--json"], "--json");
    assert!(!Path::new("-").exists());
}

/// `guiche traces … | head`, and `2>&1 | head`.
#[test]
fn a_reader_who_leaves_is_no_failure() {
    let directory = directory();
    let [one, _] = contended(directory.path());
    for arguments in [
        vec![text(&one)],
        vec![text(&one), "--json"],
        vec![text(&one), "--html", "-"],
        vec![text(&one), "--chrome", "-"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ran =
            Command::new(env!("CARGO_BIN_EXE_guiche")).arg("traces").args(&arguments).stdout(writer).output();
        let ran = ran.expect("it runs");
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut failing = Command::new(env!("CARGO_BIN_EXE_guiche"))
        .args(["traces", "/nowhere/at/all"])
        .stdout(Stdio::piped())
        .stderr(writer)
        .spawn()
        .expect("it runs");
    failing.stdout.take().expect("piped").read_to_end(&mut Vec::new()).expect("readable");
    assert_eq!(failing.wait().expect("it ends").code(), Some(1), "no panic");
}

/// Where a row is let go of as its call ends, and where a wait began later than its call shows.
#[test]
fn flows_lead_forward_from_slice_to_slice() {
    let directory = directory();
    let (mut one, mut two) = (Sample::of("api1"), Sample::of("api2"));
    let id = |name: &str| [name.to_owned()];
    one.locks(1, 5_030, [745, 600]);
    one.call(1, 1, 5_000, (0, 3_000), &id("holder"));
    two.locks(1, 6_230, [746, 745]);
    two.call(1, 1, 6_200, (2_800, 200), &id("waiter"));
    one.locks(2, 12_950, [751, 600]);
    one.call(2, 2, 12_900, (0, 300), &id("later-holder"));
    two.locks(2, 13_000, [752, 751]);
    two.call(2, 2, 12_000, (500, 100), &id("later-waiter"));
    let files = [one.write(directory.path(), "api1.jsonl"), two.write(directory.path(), "api2.jsonl")];
    let export = printed(&[text(&files[0]), text(&files[1]), "--chrome", "-"]);
    let json: Value = serde_json::from_str(&export).expect("it is JSON");
    let events = json["traceEvents"].as_array().expect("a list");
    let of = |phase: &str| events.iter().filter(|event| event["ph"] == phase).collect::<Vec<_>>();
    let at = |event: &Value, name: &str| event[name].as_u64().expect("a time");
    for (from, to) in of("s").into_iter().zip(of("f")) {
        assert!(from["id"] == to["id"] && at(from, "ts") <= at(to, "ts"), "{from} {to}");
        for end in [from, to] {
            let thread = |slice: &&&Value| slice["pid"] == end["pid"] && slice["tid"] == end["tid"];
            let is_around = |slice: &&Value| {
                (at(slice, "ts")..at(slice, "ts") + at(slice, "dur")).contains(&at(end, "ts"))
            };
            assert!(of("X").iter().filter(thread).any(is_around), "{end}");
        }
    }
    assert_eq!(of("s").len(), 2);
}

/// A browser holds all of it in memory.
#[test]
fn a_bound_on_the_export_is_told() {
    let directory = directory();
    let mut sample = Sample::of("api1");
    for number in 0..400 {
        let ids: Vec<String> = (0..10).map(|request| format!("request-{number}-{request}")).collect();
        sample.call(number, 1, 1_000 + 5_000 * number, (0, 200), &ids);
    }
    let (trace, export) = (sample.write(directory.path(), "api1.jsonl"), directory.path().join("export"));
    let output = guiche_traces(&[text(&trace), "--chrome", text(&export), "--chrome-mb", "1"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && told.contains("the export has its 1 MB (--chrome-mb): what ended after"),
        "{told}"
    );
    let export = read(&export);
    assert!((1_000_000..1_200_000).contains(&export.len()), "{}", export.len());
    assert!(serde_json::from_slice::<Value>(&export).is_ok(), "it is whole all the same");
}

/// From who held a row to whom it went; and calls of one client that overlap do not lie in one thread.
#[test]
fn the_export_has_flows_and_calls_side_by_side() {
    let directory = directory();
    let mut three = Sample::of("api3");
    for (number, at, work) in [(2, 1_500, 200), (1, 1_000, 3_000)] {
        three.call(number, 9, at, (0, work), &[format!("at-once-{number}")]);
    }
    let [one, two] = contended(directory.path());
    let three = three.write(directory.path(), "api3.jsonl");
    let export = printed(&[text(&one), text(&two), text(&three), "--chrome", "-"]);
    let json: Value = serde_json::from_str(&export).expect("it is JSON");
    let events = json["traceEvents"].as_array().expect("a list");
    let of = |phase: &str| events.iter().filter(|event| event["ph"] == phase).collect::<Vec<_>>();
    let ([from], [to]) = (&of("s")[..], &of("f")[..]) else { panic!("one flow: {export}") };
    assert_eq!((&from["id"], &from["cat"], &to["bp"]), (&to["id"], &to["cat"], &json!("e")));
    let around = |event: &Value| {
        let of_thread = |slice: &&&Value| slice["pid"] == event["pid"] && slice["tid"] == event["tid"];
        let slices = of("X");
        let calls = slices.iter().filter(of_thread).filter(|slice| slice["args"].is_object());
        let mut begun = calls.filter(|slice| slice["ts"].as_u64() <= event["ts"].as_u64());
        begun.next_back().expect("a call")["args"]["id"].clone()
    };
    assert_eq!((around(from), around(to)), (json!(2), json!(1)), "call 2 of api1, call 1 of api2");
    let thread =
        |name: &str| of("X").iter().find(|slice| slice["name"] == name).expect("a call")["tid"].clone();
    assert_ne!(thread("call 1: 1 + 0"), thread("call 2: 1 + 0"));
}
