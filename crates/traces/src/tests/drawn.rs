//! The page, and the trace-event file.

use super::*;

#[test]
fn the_trace_event_file_has_lanes_and_slices() {
    let directory = Directory::new();
    let made = make(&[directory.file("a", lines(&known()))], None, None, None).expect("a trace");
    let events = made.chrome["traceEvents"].as_array().expect("a list");
    let named = |name: &str| events.iter().filter(|event| event["args"]["name"] == name).count();
    assert_eq!((named("a (batched)"), named("client 1"), named("client 2")), (1, 1, 1));
    let phase = |phase: &str| events.iter().filter(|event| event["ph"] == phase).count();
    assert_eq!((phase("b"), phase("e"), phase("i")), (5, 5, 1), "requests, and an activation");
    assert_eq!(phase("X"), 2 * 5, "a call of two clients, in each with four parts");
}

#[test]
fn the_trace_event_file_is_bounded_and_stays_whole() {
    let directory = Directory::new();
    let many: Vec<_> = (0..1_000).map(|at| Line::Request(request("x", 1, 10 + at, 1, 1, 5))).collect();
    let file = directory.file("a", lines(&[header("a", 1, 0)]) + &lines(&many));
    let wishes = Wishes { slowest: 1, ..Wishes::default() };
    let mut chrome = Vec::new();
    let writer = ChromeWriter::new(&mut chrome, None, 10_000).expect("a Vec takes everything");
    let traces = Traces::open(&[file], indicatif::ProgressBar::hidden()).expect("a trace");
    let until = wishes.read(traces, Some(writer)).expect("a Vec takes everything").export_until;
    let until = until.expect("not all of it has room");
    let written: serde_json::Value = serde_json::from_slice(&chrome).expect("it is JSON all the same");
    let last = written["traceEvents"].as_array().expect("a list").last().expect("one")["ts"].as_u64();
    assert!(chrome.len() < 12_000 && last < Some(until + 5) && until < 500, "{until}: {}", chrome.len());
}

#[test]
fn what_a_trace_holds_is_never_markup() {
    let directory = Directory::new();
    let id = "</script><script>alert(1)</script>";
    let contents = lines(&[header("<em>", 1, 0), Line::Request(request(id, 1, 5, 1, 1, 5))]);
    let made = make(&[directory.file("a", contents)], None, None, None).expect("a trace");
    assert!(!made.page.contains("<script>alert") && !made.page.contains("<em>"));
}
