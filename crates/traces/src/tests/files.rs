//! Files that are torn, broken, too many, or no traces.

use super::*;

#[test]
fn files_are_read_in_their_order_and_damage_is_told() {
    let directory = Directory::new();
    let whole = lines(&[header("a", 1, 1), Line::Request(request("second", 1, 20, 1, 1, 5))]);
    let newer = directory.file("newer", whole + "{\"request\":{\"id\":\"torn");
    let older = lines(&[header("a", 1, 0), Line::Call(call(1, 21, &[(1, 1, 0)]))]) + "nonsense\n{}\n";
    let older = directory.file("older", older + &lines(&[Line::Request(request("first", 1, 10, 1, 1, 4))]));
    let made = make(&[newer.clone(), older.clone()], None, None, None).expect("a trace");
    assert_eq!(made.summary.total.requests, 2);
    assert_eq!(made.traces.damage.malformed, 2);
    assert_eq!(made.traces.damage.first_malformed, Some((older, 3)));
    assert_eq!(made.traces.damage.torn, [newer]);
    assert_eq!(
        made.slowest[0].report.map(|report| report.row_wait),
        Some(100),
        "the call is in the older file"
    );
}

#[test]
fn what_is_no_trace_is_refused() {
    let directory = Directory::new();
    let refused = |contents: &str| {
        make(&[directory.file("x", contents)], None, None, None).map(drop).expect_err("no trace")
    };
    for contents in ["", "\n"] {
        assert!(matches!(refused(contents), ReadError::Empty { .. }), "{contents:?}");
    }
    for contents in ["hello\n", "{}\n", "[1]\n", "{\"end\":{\"at\":1,\"dropped\":0}}\n"] {
        assert!(matches!(refused(contents), ReadError::NotATrace { .. }), "{contents:?}");
    }
    let newer = "{\"trace\":{\"version\":2,\"instance\":\"a\",\"started\":1}}\n";
    assert!(refused(newer).to_string().contains("use a newer guiche"));
    let missing = make(&[directory.0.join("missing")], None, None, None).map(drop).expect_err("no file");
    assert!(matches!(missing, ReadError::Io { .. }));
}

#[test]
fn memory_is_bounded_by_clients_lines_and_requests() {
    let directory = Directory::new();
    let mut contents = lines(&[header("a", 1, 0)]);
    for client in 0..2 * CLIENTS_MAX as i32 {
        contents += &lines(&[Line::Request(request("x", client, 100 + client as u64, 1, 1, 5))]);
    }
    contents += &"z".repeat(3 << 20);
    contents += "\n";
    let made = make(&[directory.file("many", contents)], None, None, None).expect("a trace");
    assert_eq!(made.summary.clients.len(), CLIENTS_MAX);
    assert_eq!(made.summary.others.expect("there are more").requests, CLIENTS_MAX as u64);
    assert_eq!(made.traces.damage.malformed, 1, "one overlong line");
    assert!(made.page.contains("shows the first part of the trace"), "the bound is told");
}
