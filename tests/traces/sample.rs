//! Trace files with known contents.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use testbed::rundir::RunDir;
use traces::format::{CallRecord, CallReport, Header, Line, Locks, RequestRecord, VERSION, Xid};

/// When every sample starts, in microseconds since the epoch.
pub(crate) const START: u64 = 1_700_000_000_000_000;

/// A file in the making.
pub(crate) struct Sample {
    text: String,
    start: u64,
    /// What the next call says of its rows, and how long it had no CPU.
    locks: Option<Locks>,
    pub(crate) throttled: u64,
}

impl Sample {
    pub(crate) fn of(instance: &str) -> Self {
        Self::begun(instance, "batched", START)
    }

    /// One of this mode whose times count from `start`.
    pub(crate) fn begun(instance: &str, mode: &str, start: u64) -> Self {
        let header = Header {
            version: VERSION,
            program: "guiche".into(),
            instance: instance.to_owned().into(),
            mode: mode.to_owned().into(),
            started: start,
            part: 0,
        };
        let mut sample = Self { text: String::new(), start, locks: None, throttled: 0 };
        sample.add(&Line::Trace(header));
        sample
    }

    pub(crate) fn add(&mut self, line: &Line<'_>) {
        self.text += &serde_json::to_string(line).expect("a line is JSON");
        self.text.push('\n');
    }

    /// Has the next call say of `client`'s row that `changer` changed it last; it is transaction `id` itself, and began in
    /// the database at `at`.
    pub(crate) fn locks(&mut self, client: i32, at: u64, [id, changer]: [u32; 2]) {
        let rows = vec![(client, Xid(changer), Xid(id))];
        self.locks = Some(Locks {
            at: self.start + at,
            oldest: Xid(700),
            ids: vec![Xid(id)],
            rows,
            ..Locks::default()
        });
    }

    /// A call of one client: it is cut at `at`, waits `lock` for the row, works for `work`, and is
    /// back 1 ms later. Its requests arrived a little before, one each 50 µs.
    pub(crate) fn call(
        &mut self,
        number: u64,
        client: i32,
        at: u64,
        (lock, work): (u64, u64),
        ids: &[String],
    ) {
        let (total, locks) = (20 + lock + work + 1_000, self.locks.take());
        let throttled = std::mem::take(&mut self.throttled);
        for (id, age) in ids.iter().rev().zip((50..).step_by(50)) {
            self.add(&Line::Request(RequestRecord {
                id: id.as_str().into(),
                client: Some(client),
                kind: "debit".into(),
                at: self.start + at - age,
                queued: Some(age),
                call: Some(number),
                outcome: "applied".into(),
                status: Some(200),
                took: Some(age + total),
                shed: None,
            }));
        }
        self.add(&Line::Call(CallRecord {
            id: number,
            at: self.start + at,
            cut: "queue_empty".into(),
            carries: vec![(client, ids.len() as u32, 0)],
            oldest_wait: 50 * ids.len() as u64,
            connection: 20,
            report: report([lock, work]),
            locks: locks.map(Box::new),
            database: total - 20,
            total,
            throttled,
            applied: ids.len() as u64,
            ..CallRecord::default()
        }));
    }

    pub(crate) fn write(&self, directory: &Path, name: &str) -> PathBuf {
        let path = directory.join(name);
        std::fs::write(&path, &self.text).expect("a run directory is writable");
        path
    }
}

/// Two instances, three clients. On client 2 the second instance's call 1 waits 2.79 ms for a row
/// that the first one's call 2 has: it gets it when that is nearly back.
pub(crate) fn contended(directory: &Path) -> [PathBuf; 2] {
    contended_as(directory, "batched", START, "")
}

/// The same in another mode and at another time; ids and files' names begin with `mark`.
pub(crate) fn contended_as(directory: &Path, mode: &str, start: u64, mark: &str) -> [PathBuf; 2] {
    let ids = |prefix: &str, count: usize| -> Vec<String> {
        (0..count).map(|number| format!("{mark}{prefix}-{number}")).collect()
    };
    let (mut one, mut two) = (Sample::begun("api1", mode, start), Sample::begun("api2", mode, start));
    one.call(1, 1, 1_000, (0, 200), &ids("early", 2));
    one.locks(2, 5_030, [745, 600]);
    one.call(2, 2, 5_000, (0, 3_000), &ids("holder", 4));
    two.locks(2, 6_230, [746, 745]);
    two.call(1, 2, 6_200, (2_790, 200), &ids("waiter", 3));
    two.call(2, 3, 140_000, (0, 200), &ids("late", 1));
    [one.write(directory, &format!("{mark}api1.jsonl")), two.write(directory, &format!("{mark}api2.jsonl"))]
}

/// Runs `guiche traces`.
pub(crate) fn guiche_traces(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_guiche"))
        .arg("traces")
        .args(arguments)
        .output()
        .expect("the program that was just built runs")
}

/// Runs `guiche traces` and expects it to succeed; returns what it printed.
pub(crate) fn printed(arguments: &[&str]) -> String {
    let output = guiche_traces(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

pub(crate) fn directory() -> RunDir {
    RunDir::create().expect("a run directory")
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("run directories have plain names")
}

/// Returns the first figures of a report; what comes behind them is zero.
fn report(figures: [u64; 2]) -> CallReport {
    let figure = |position| figures.get(position).copied().unwrap_or(0);
    CallReport::read(|position| Ok::<_, std::convert::Infallible>(figure(position))).expect("nothing fails")
}
