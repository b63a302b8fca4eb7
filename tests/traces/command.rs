//! `guiche traces` as its user calls it.

use serde_json::Value;

use crate::sample::{contended, directory, guiche_traces, printed, text};

#[test]
fn the_summary_says_what_is_in_the_files() {
    let directory = directory();
    let [one, two] = contended(directory.path());
    let printed = printed(&[text(&one), text(&two), "--slowest", "1"]);
    for part in ["api1 (batched): 6 requests, 2 calls", "10 debit", "10 applied", "4 queue_empty"] {
        assert!(printed.contains(part), "{part:?} is not in\n{printed}");
    }
    let slowest = printed.lines().find(|line| line.contains("holder-0")).expect("the slowest is listed");
    for part in ["4.22 ms", "200 µs", "3.00 ms", "api1"] {
        assert!(slowest.contains(part), "{part:?} is not in {slowest}");
    }
}

#[test]
fn the_summary_as_json_is_complete() {
    let directory = directory();
    let [one, two] = contended(directory.path());
    let printed = printed(&[text(&two), text(&one), "--json"]);
    let json: Value = serde_json::from_str(&printed).expect("it is JSON");
    assert_eq!(json["total"]["requests"], 10);
    assert_eq!(json["total"]["lock_wait"]["max"], 2_790);
    assert_eq!(json["clients"][0][0], 2, "the client with the most requests is first");
    assert_eq!(json["clients"][0][1]["batch_max"], 4);
    assert_eq!(json["slowest"][0]["id"], "holder-0");
    assert_eq!(json["instances"][1]["instance"], "api2");
}

#[test]
fn a_client_or_a_window_can_be_picked() {
    let directory = directory();
    let [one, two] = contended(directory.path());
    let requests = |more: &[&str]| {
        let printed = printed(&[&[text(&one), text(&two), "--json"], more].concat());
        let json: Value = serde_json::from_str(&printed).expect("it is JSON");
        json["total"]["requests"].clone()
    };
    assert_eq!(requests(&["--client", "2"]), 7);
    assert_eq!(requests(&["--from", "0.0005", "--to", "0.002"]), 2);
    assert_eq!(requests(&["--from", "2023-11-14T22:13:20.010Z"]), 1);
}

#[test]
fn what_cannot_be_read_is_said_in_one_line() {
    let directory = directory();
    let [one, _] = contended(directory.path());
    let missing = directory.path().join("missing");
    let prose = directory.path().join("prose");
    std::fs::write(&prose, "no trace at all\n").expect("writable");
    let nowhere = directory.path().join("nowhere/page.html");
    for (arguments, says) in [
        (vec![text(&missing)], "cannot read"),
        (vec![text(&prose)], "is not a trace"),
        (vec![text(&one), "--html", text(&nowhere)], "cannot write"),
        (vec![text(&one), "--from", "noon"], "seconds since the start"),
        (vec![], "required"),
    ] {
        let output = guiche_traces(&arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(error.contains(says), "{says:?} is not in {error}");
        assert!(!error.contains("panicked"), "{error}");
    }
}
