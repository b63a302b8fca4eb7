//! Traces with known contents are summed up right, and no contents at all upset the reader.

use std::fs;
use std::path::PathBuf;

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

mod anything;
mod drawn;
mod files;
mod summed_up;

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
