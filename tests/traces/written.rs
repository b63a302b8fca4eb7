//! What an instance writes down, on a real PostgreSQL.

use std::path::Path;

use nix::sys::signal::Signal;
use traces::format::{CallRecord, Line, RequestRecord as TracedRequest};

use crate::harness::{Database, Guiche, Request, until};
use crate::sample::{directory, printed, text};

#[tokio::test]
async fn every_request_and_its_call_are_in_the_trace() {
    let database = Database::create().await;
    let directory = directory();
    let path = directory.path().join("{instance}.jsonl");
    let launcher = Guiche::launcher(&database).set("INSTANCE", "one").set("TRACE", path.display());
    let mut guiche = launcher.start().await;
    let named = |request: Request, id: &str| request.header("X-Request-Id", id);
    for request in [
        named(Request::transaction(1, 7, "c", "x"), "credit"),
        named(Request::transaction(1, 9_000_000_000, "d", "x"), "refused"),
        named(Request::statement(1), "statement"),
        named(Request::transaction(99, 1, "c", "x"), "unknown"),
        named(Request::transaction(1, -1, "c", "x"), "invalid"),
    ] {
        guiche.ask(&request).await;
    }
    guiche.signal(Signal::SIGTERM);
    assert!(guiche.ended().await.success());

    let file = std::fs::read_to_string(directory.path().join("one.jsonl")).expect("it was written");
    let lines = lines(&file);
    assert!(matches!(&lines[0], Line::Trace(header) if header.instance == "one" && header.mode == "batched"));
    assert!(matches!(lines.last(), Some(Line::End(end)) if end.dropped == 0));
    for (id, kind, outcome, status) in [
        ("credit", "credit", "applied", 200),
        ("refused", "debit", "limit-exceeded", 422),
        ("statement", "statement", "read", 200),
        ("unknown", "credit", "unknown-client", 404),
        ("invalid", "transaction", "invalid-transaction", 422),
    ] {
        let request = request(&lines, id);
        let said = (&*request.kind, &*request.outcome, request.status);
        assert_eq!(said, (kind, outcome, Some(status)), "{id}");
        assert!(request.took.is_some() && request.at > 0, "{request:?}");
    }
    assert_eq!(request(&lines, "invalid").call, None, "what is malformed costs no call");
    let credit = request(&lines, "credit");
    let call = call(&lines, credit.call.expect("it was carried"));
    assert_eq!((call.carries.as_slice(), &*call.cut, call.applied), (&[(1, 1, 0)][..], "queue_empty", 1));
    assert!(call.total >= call.database && call.database >= call.report.work, "{call:?}");
    assert!(call.at + call.total <= credit.at + credit.took.expect("answered") + 5_000, "one clock for both");
    assert_eq!(states(&lines), ["activated 1", "activated 99", "passivated 99"]);
}

#[tokio::test]
async fn a_wait_for_a_row_lock_is_in_the_call() {
    let database = Database::create().await;
    let directory = directory();
    let path = directory.path().join("trace");
    let mut guiche = Guiche::launcher(&database).set("TRACE", path.display()).start().await;
    let lock = database.lock(1).await;
    let mut waiting = guiche.begin(&Request::transaction(1, 1, "c", "x")).await;
    database.until_waiting(1).await;
    let began = std::time::Instant::now();
    until("20 ms have passed", async || began.elapsed().as_millis() >= 20).await;
    lock.release().await;
    waiting.receive().await.expect("an answer").balance();
    guiche.signal(Signal::SIGTERM);
    assert!(guiche.ended().await.success());
    let file = std::fs::read_to_string(&path).expect("it was written");
    let locked = lines(&file)
        .into_iter()
        .any(|line| matches!(line, Line::Call(call) if call.report.row_wait >= 20_000));
    assert!(locked, "{file}");
}

#[tokio::test]
async fn sheds_and_callers_who_leave_are_in_the_trace() {
    let database = Database::create().await;
    let directory = directory();
    let path = directory.path().join("trace");
    let launcher = Guiche::launcher(&database).set("TRACE", path.display()).set("QUEUE_PER_CLIENT", 2);
    let mut guiche = launcher.start().await;
    let send = |id: &str| Request::transaction(1, 1, "c", "x").header("X-Request-Id", id);
    let lock = database.lock(1).await;
    let mut first = guiche.begin(&send("first")).await;
    database.until_waiting(1).await;
    let leaves = guiche.queue(&send("leaves")).await;
    assert_eq!(guiche.ask(&send("shed")).await.status, 503);
    drop(leaves);
    // Its place is taken again only once the run that it was cut for is over.
    lock.release().await;
    first.receive().await.expect("an answer").balance();
    until("it was skipped", async || guiche.metric("guiche_abandoned_total").await == 1).await;
    guiche.signal(Signal::SIGTERM);
    assert!(guiche.ended().await.success());
    let file = std::fs::read_to_string(&path).expect("it was written");
    let lines = lines(&file);
    assert_eq!(request(&lines, "shed").shed.as_deref(), Some("client_queue"));
    let left = request(&lines, "leaves");
    assert_eq!((&*left.outcome, left.call, left.status), ("abandoned", None, None));
    let summary = printed(&[text(&path)]);
    assert!(summary.contains("1 client_queue") && summary.contains("1 abandoned"), "{summary}");
}

/// As a program that rotates logs does it.
#[tokio::test]
async fn a_trace_that_is_moved_away_goes_on_in_a_new_file() {
    let database = Database::create().await;
    let directory = directory();
    let [path, moved] = ["trace", "trace.1"].map(|name| directory.path().join(name));
    let mut guiche = Guiche::launcher(&database).set("TRACE", path.display()).start().await;
    let send = |id: &str| Request::transaction(1, 1, "c", "x").header("X-Request-Id", id);
    let is_in = |path: &Path, id: &str| std::fs::read_to_string(path).is_ok_and(|text| text.contains(id));
    guiche.ask(&send("early")).await.balance();
    until("it is written", async || is_in(&path, "early")).await;
    std::fs::rename(&path, &moved).expect("it is moved");
    guiche.ask(&send("between")).await.balance();
    until("it is written", async || is_in(&moved, "between")).await;
    guiche.signal(Signal::SIGHUP);
    until("there is a new file", async || path.exists()).await;
    guiche.ask(&send("late")).await.balance();
    guiche.signal(Signal::SIGTERM);
    assert!(guiche.ended().await.success());

    let file = std::fs::read_to_string(&path).expect("it was written");
    let lines = lines(&file);
    assert!(matches!(&lines[0], Line::Trace(header) if header.part == 1), "{:?}", lines[0]);
    assert!(request(&lines, "late").status == Some(200) && !is_in(&path, "between"));
    let summary = printed(&[text(&path), text(&moved)]);
    assert!(summary.contains("3 requests, 3 calls"), "{summary}");
}

#[tokio::test]
async fn a_trace_that_cannot_be_written_is_refused_at_the_start() {
    let database = Database::create().await;
    let (status, log) = Guiche::launcher(&database).set("TRACE", "/nowhere/at/all").run_to_end().await;
    assert!(!status.success());
    assert!(log.contains("TRACE: cannot write /nowhere/at/all"), "{log}");
    assert!(!Path::new("/nowhere").exists());
}

fn lines(file: &str) -> Vec<Line<'_>> {
    file.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no line: {line}")))
        .collect()
}

fn request<'a>(lines: &'a [Line<'a>], id: &str) -> &'a TracedRequest<'a> {
    let mut requests = lines.iter().filter_map(|line| match line {
        Line::Request(request) => Some(request),
        _ => None,
    });
    requests.find(|request| request.id == id).unwrap_or_else(|| panic!("{id} is not in the trace"))
}

fn call<'a>(lines: &'a [Line<'a>], number: u64) -> &'a CallRecord<'a> {
    let mut calls = lines.iter().filter_map(|line| match line {
        Line::Call(call) => Some(call),
        _ => None,
    });
    calls.find(|call| call.id == number).expect("a request's call is in the trace")
}

fn states(lines: &[Line<'_>]) -> Vec<String> {
    let state = |line: &Line<'_>| match line {
        Line::Actor(change) => Some(format!("{} {}", change.state, change.client)),
        _ => None,
    };
    lines.iter().filter_map(state).collect()
}
