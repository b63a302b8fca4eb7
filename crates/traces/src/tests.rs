//! Traces with known contents are summed up right, and no contents at all upset the reader.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::chrome::ChromeWriter;
use super::clocks::Skew;
use super::format::{
    ActorChange, CallRecord, CallReport, Dropped, End, Header, Line, Locks, RequestRecord, Unit, VERSION,
    Why, Xid,
};
use super::input::ReadError;
use super::losses::CLIENTS_MAX;
use super::page::Page;
use super::reader::Traces;
use super::reading::{Reading, Wishes};
use super::select::Moment;
use super::slowest::SlowRequest;
use super::summary::Summary;
use super::text::Report;
use super::units::Count;

/// A directory that is removed with what is in it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("guiche-traces-{:016x}", fastrand::u64(..)));
        fs::create_dir(&path).expect("the temporary directory is writable");
        Self(path)
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, contents).expect("the temporary directory is writable");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Everything that can be made of files.
struct Made {
    summary: Summary,
    slowest: Vec<SlowRequest>,
    text: String,
    page: String,
    chrome: serde_json::Value,
    traces: Traces,
}

fn make(
    files: &[PathBuf],
    client: Option<i32>,
    from: Option<Moment>,
    to: Option<Moment>,
) -> Result<Made, ReadError> {
    let wishes = Wishes { client, from, to, slowest: 3, page_requests: Some(50) };
    let mut chrome = Vec::new();
    let writer = ChromeWriter::new(&mut chrome, client, 1 << 20).expect("a Vec takes everything");
    let traces = Traces::open(files, indicatif::ProgressBar::hidden())?;
    let mut reading = wishes.read(traces, Some(writer)).expect("a Vec takes everything");
    let mut html = Vec::new();
    let sides = reading.side().into_iter().collect();
    Page { sides, live: None }.write(&mut html).expect("a Vec takes everything");
    let Reading { summary, slowest, traces, .. } = reading;
    let text = Report { summary: &summary, slowest: &slowest, damage: &traces.damage }.to_string();
    let chrome = serde_json::from_slice(&chrome).expect("the trace-event file is JSON");
    Ok(Made {
        summary,
        slowest,
        text,
        page: String::from_utf8(html).expect("the page is UTF-8"),
        chrome,
        traces,
    })
}

fn lines(lines: &[Line<'_>]) -> String {
    lines.iter().map(|line| serde_json::to_string(line).expect("a line is JSON") + "\n").collect()
}

fn header(instance: &'static str, started: u64, part: u64) -> Line<'static> {
    let (program, mode) = ("guiche 0".into(), "batched".into());
    Line::Trace(Header { version: VERSION, program, instance: instance.into(), mode, started, part })
}

fn request(
    id: &'static str,
    client: i32,
    at: u64,
    queued: u64,
    call: u64,
    took: u64,
) -> RequestRecord<'static> {
    RequestRecord {
        id: id.into(),
        client: Some(client),
        kind: "debit".into(),
        at,
        queued: Some(queued),
        call: Some(call),
        outcome: "applied".into(),
        status: Some(200),
        took: Some(took),
        shed: None,
    }
}

/// Returns the first figures of a report; what comes behind them is zero.
fn report(figures: [u64; 2]) -> CallReport {
    let figure = |position| figures.get(position).copied().unwrap_or(0);
    CallReport::read(|position| Ok::<_, std::convert::Infallible>(figure(position))).expect("nothing fails")
}

fn call(id: u64, at: u64, carries: &[(i32, u32, u32)]) -> CallRecord<'static> {
    CallRecord {
        id,
        at,
        cut: "queue_empty".into(),
        carries: carries.to_vec(),
        connection: 10,
        report: report([100, 50]),
        database: 500,
        total: 600,
        ..CallRecord::default()
    }
}

/// Two requests of client 1 and one of client 2 in one call, a shed one, one whose caller left.
fn known() -> Vec<Line<'static>> {
    let shed = RequestRecord {
        queued: None,
        call: None,
        shed: Some("client_queue".into()),
        outcome: "overloaded".into(),
        status: Some(503),
        ..request("shed", 1, 1_400, 0, 0, 20)
    };
    let left = RequestRecord {
        queued: None,
        call: None,
        outcome: "abandoned".into(),
        status: None,
        took: None,
        ..request("left", 2, 1_500, 0, 0, 0)
    };
    vec![
        header("a", 1_000, 0),
        Line::Actor(ActorChange { client: 1, at: 1_010, state: "activated".into() }),
        Line::Request(request("one", 1, 1_000, 200, 7, 900)),
        Line::Call(call(7, 1_210, &[(1, 2, 0), (2, 0, 1)])),
        Line::Request(request("two", 1, 1_100, 100, 7, 800)),
        Line::Request(request("three", 2, 1_150, 50, 7, 750)),
        Line::Request(shed),
        Line::Request(left),
        Line::Dropped(Dropped { at: 2_000, count: 4, since: 1_900, why: Why::NotWritten }),
        Line::End(End { at: 2_000, dropped: 4 }),
    ]
}

#[test]
fn a_known_trace_is_summed_up() {
    let directory = Directory::new();
    let made = make(&[directory.file("a", lines(&known()))], None, None, None).expect("a trace");
    let Summary { total, clients, instances, .. } = &made.summary;
    assert_eq!((total.requests, total.calls, total.batch_max, total.shed, total.left), (5, 1, 3, 1, 1));
    assert_eq!((total.wait.count, total.wait.max), (3, 200));
    assert_eq!((total.database.p50, total.database.max, total.row_wait.p99), (500, 500, 100));
    assert_eq!(made.summary.outcomes["applied"], 3);
    assert_eq!(made.summary.sheds["client_queue"], 1);
    assert_eq!((made.summary.dropped, made.summary.actors["activated"]), (4, 1));
    let (client, one) = &clients[0];
    assert_eq!((*client, one.requests, one.batch_mean, one.batch_max), (1, 3, 2.0, 2));
    // 600 µs in flight, of the 900 from the first arrival to the last answer.
    assert!((one.busy.expect("batched") - 600.0 / 900.0).abs() < 1e-9);
    assert!(instances[0].ended && instances[0].span == 900);
    assert_eq!(made.traces.damage, super::reader::Damage::default());
}

#[test]
fn the_slowest_know_where_their_time_went() {
    let directory = Directory::new();
    let made = make(&[directory.file("a", lines(&known()))], None, None, None).expect("a trace");
    let ids: Vec<&str> = made.slowest.iter().map(|slow| slow.id.as_str()).collect();
    assert_eq!(ids, ["one", "two", "three"]);
    let one = &made.slowest[0];
    let parts = [
        one.body,
        one.queued,
        one.connection,
        one.report.map(|report| report.row_wait),
        one.report.map(|report| report.work),
        one.rest,
    ];
    assert_eq!(parts, [10, 200, 10, 100, 50, 530].map(Some));
    assert_eq!(parts.into_iter().flatten().sum::<u64>(), one.took, "the parts are the whole");
    assert!(
        made.text.contains("client_queue") && made.text.contains("4 because they could not be written"),
        "{}",
        made.text
    );
}

/// Whoever adds a figure to the database's report finds it in the trace, the summary and the page.
#[test]
fn every_figure_of_the_report_is_shown() {
    let directory = Directory::new();
    let mut value = 100_000;
    let report = CallReport::read(|_| {
        value += 1_000;
        Ok::<_, ()>(value)
    });
    let call =
        CallRecord { report: report.expect("nothing fails"), total: 900_000, ..call(1, 1_100, &[(1, 1, 0)]) };
    let lines = lines(&[
        header("a", 1_000, 0),
        Line::Call(call),
        Line::Request(request("one", 1, 1_000, 9, 1, 900_000)),
    ]);
    let made = make(&[directory.file("a", &lines)], None, None, None).expect("a trace");
    for (figure, value) in report.expect("nothing fails").figures() {
        assert!(lines.contains(&format!("\"{}\":{value}", figure.name)), "{figure:?}: {lines}");
        let shown = match figure.unit {
            Unit::Micros => format!("{} ms", value / 1_000),
            Unit::Count => Count(value).to_string(),
        };
        assert!(
            made.text.contains(figure.heading) && made.text.contains(&shown),
            "{figure:?}: {}",
            made.text
        );
        assert!(made.page.contains(&format!("\"{}\"", figure.heading)), "{figure:?} in the page");
    }
}

/// An instance that refused its only request.
#[test]
fn what_did_not_happen_has_no_line() {
    let directory = Directory::new();
    let shed = RequestRecord { shed: Some("client_queue".into()), ..request("shed", 1, 1_400, 0, 0, 20) };
    let file = directory.file("a", lines(&[header("a", 1_000, 0), Line::Request(shed)]));
    let text = make(&[file], None, None, None).expect("a trace").text;
    let head = text.split("\n\n").nth(1).expect("the head has two parts");
    let titles: Vec<&str> = head.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(titles, ["requests", "outcomes", "shed"], "{text}");
}

#[test]
fn a_client_and_a_window_are_picked_out() {
    let directory = Directory::new();
    let file = [directory.file("a", lines(&known()))];
    let of_two = make(&file, Some(2), None, None).expect("a trace").summary;
    assert_eq!((of_two.total.requests, of_two.total.batch_max, of_two.clients.len()), (2, 1, 1));
    let early = make(&file, None, None, Some(Moment::After(120))).expect("a trace").summary;
    assert_eq!((early.total.requests, early.total.calls), (2, 0));
    let late = make(&file, None, Some(Moment::At(1_400)), None).expect("a trace").summary;
    assert_eq!(late.total.requests, 2);
}

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

#[test]
fn what_a_trace_holds_is_never_markup() {
    let directory = Directory::new();
    let id = "</script><script>alert(1)</script>";
    let contents = lines(&[header("<em>", 1, 0), Line::Request(request(id, 1, 5, 1, 1, 5))]);
    let made = make(&[directory.file("a", contents)], None, None, None).expect("a trace");
    assert!(!made.page.contains("<script>alert") && !made.page.contains("<em>"));
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

/// Two instances whose clocks differ by 3 ms, or 5 s: who held the row is known all the same, and their lanes lie on one
/// axis.
#[test]
fn clocks_that_differ_are_put_right() {
    for ahead in [3_000, 5_000_000] {
        let directory = Directory::new();
        let locked = |id: u64, changer: u32, at: u64, instance_ahead: u64, wait: u64| CallRecord {
            at: at + instance_ahead,
            report: report([wait, 50]),
            locks: Some(Box::new(Locks {
                at: at + 40,
                oldest: Xid(10),
                ids: vec![Xid(id as u32)],
                rows: vec![(1, Xid(changer), Xid(id as u32))],
                ..Locks::default()
            })),
            database: wait + 250,
            total: wait + 300,
            ..call(id, at, &[(1, 1, 0)])
        };
        let (mut one, mut two) = (vec![header("a", 1_000, 0)], vec![header("b", 1_000, 0)]);
        for number in 0..100 {
            let at = 10_000_000 + number * 10_000;
            let id = 20 + 2 * number;
            one.push(Line::Call(locked(id, id as u32 - 1, at, 0, 5)));
            two.push(Line::Call(locked(id + 1, id as u32, at + 100, ahead, 150)));
        }
        let files = [directory.file("a", lines(&one)), directory.file("b", lines(&two))];
        let made = make(&files, None, None, None).expect("a trace");
        assert_eq!(made.summary.waits.for_calls, 100, "{}", made.text);
        assert_eq!(made.summary.instances[1].clock, Skew::Ahead(ahead as i64), "{}", made.text);
        assert!(
            made.text.contains("that of b is") && made.page.contains("The clock of b is"),
            "{}",
            made.text
        );
        let by = "call 218 of a";
        assert!(made.text.contains(by), "{}", made.text);
    }
}

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

fn any_line() -> impl Strategy<Value = Line<'static>> {
    let number = || prop_oneof![any::<u64>(), 0..5_000_u64, Just(u64::MAX)];
    let word = || prop_oneof![Just("applied".to_owned()), "[a-z<\"\\\\\u{0}-\u{1f}é]{0,6}"];
    let client = || prop_oneof![0..6_i32, any::<i32>()];
    let requests =
        (word(), proptest::option::of(client()), number(), proptest::option::of(number()), number(), word())
            .prop_map(|(id, client, at, took, call, outcome)| {
                let (id, outcome) = (id.into(), outcome.into());
                Line::Request(RequestRecord {
                    id,
                    client,
                    outcome,
                    at,
                    took,
                    queued: took,
                    call: Some(call),
                    ..RequestRecord::default()
                })
            });
    let carries = proptest::collection::vec((client(), any::<u32>(), any::<u32>()), 0..4);
    let calls =
        (number(), number(), carries, number(), number(), word()).prop_map(|(id, at, carries, a, b, cut)| {
            let cut = cut.into();
            Line::Call(CallRecord {
                id,
                at,
                carries,
                cut,
                connection: a,
                report: report([b, a]),
                database: b,
                total: a,
                locks: Some(Box::new(Locks {
                    at: b,
                    oldest: Xid(1),
                    ids: vec![Xid(a as u32)],
                    rows: vec![(1, Xid(b as u32), Xid(3))],
                    ..Locks::default()
                })),
                ..CallRecord::default()
            })
        });
    let others = (client(), number(), word())
        .prop_map(|(client, at, state)| Line::Actor(ActorChange { client, at, state: state.into() }));
    let drops = (number(), number())
        .prop_map(|(at, count)| Line::Dropped(Dropped { at, count, since: count, why: Why::QueueFull }));
    let headers = (number(), number()).prop_map(|(started, part)| header("b", started, part));
    prop_oneof![5 => requests, 5 => calls, 1 => others, 1 => drops, 1 => headers]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_lines_are_read(all in proptest::collection::vec(any_line(), 0..120), client in proptest::option::of(0..6_i32)) {
        let directory = Directory::new();
        let mut contents = lines(&[header("a", 5, 0)]);
        contents += &lines(&all);
        let made = make(&[directory.file("t", contents)], client, None, None).expect("its header is good");
        prop_assert_eq!(made.traces.damage.malformed, 0);
        prop_assert!(serde_json::to_string(&made.summary).is_ok());
    }

    #[test]
    fn mutilated_traces_are_read(
        all in proptest::collection::vec(any_line(), 0..30),
        wounds in proptest::collection::vec((any::<prop::sample::Index>(), 0..40_usize, proptest::collection::vec(any::<u8>(), 0..20)), 1..12),
        keeps_header in any::<bool>(),
    ) {
        let directory = Directory::new();
        let mut contents = lines(&[header("a", 5, 0)]).into_bytes();
        let safe = if keeps_header { contents.len() } else { 0 };
        contents.extend(lines(&all).into_bytes());
        for (place, removed, inserted) in wounds {
            let from = safe + place.index(contents.len() - safe + 1);
            let to = (from + removed).min(contents.len());
            contents.splice(from..to, inserted);
        }
        let made = make(&[directory.file("t", contents)], None, None, None);
        prop_assert!(made.is_ok() || !keeps_header);
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let directory = Directory::new();
        let _ = make(&[directory.file("t", bytes)], None, None, None);
    }
}
