//! What is written, within bounds, and what is not.

use std::fs;

use super::super::format::{RequestRecord, Why};
use super::*;

const LINES: u64 = 4_000;

/// Writes [`LINES`] requests with these bounds; returns the files and removes them.
fn written(name: &str, max_file_bytes: u64, queue: usize) -> Vec<String> {
    let directory = std::env::temp_dir().join(format!("guiche-writer-{}-{name}", std::process::id()));
    fs::create_dir_all(&directory).expect("the temporary directory is writable");
    let path = directory.join("trace");
    let options = TraceOptions { path: path.clone(), max_file_bytes, files: 3, queue };
    let writer = TraceWriter::start(&options, "one", "batched").expect("writable");
    let sender = writer.sender();
    for at in 0..LINES {
        sender.send(Line::Request(RequestRecord { at, ..RequestRecord::default() }));
    }
    drop(writer);
    let names = ["trace", "trace.1", "trace.2", "trace.3"];
    let files = names.iter().filter_map(|name| fs::read_to_string(directory.join(name)).ok()).collect();
    fs::remove_dir_all(&directory).expect("it is ours");
    files
}

fn lines(file: &str) -> Vec<Line<'_>> {
    file.lines().map(|line| serde_json::from_str(line).expect("a line of a trace")).collect()
}

#[test]
fn files_are_bounded_and_each_is_a_trace() {
    const BOUND: u64 = 100_000;
    let files = written("bounded", BOUND, LINES as usize);
    assert_eq!(files.len(), 3, "three files are the bound");
    assert!(files.iter().all(|file| file.len() as u64 <= BOUND));
    let part = |file: &String| match lines(file).first() {
        Some(Line::Trace(header)) => header.part,
        other => panic!("a file begins with {other:?}"),
    };
    let parts: Vec<u64> = files.iter().map(part).collect();
    assert!(parts[0] == parts[1] + 1 && parts[1] == parts[2] + 1, "{parts:?}");
    assert!(matches!(lines(&files[0]).last(), Some(Line::End(_))));
}

#[test]
fn what_does_not_fit_is_counted_and_told() {
    let files = written("dropped", 1 << 30, 2);
    let (mut requests, mut told) = (0, 0);
    for line in lines(&files[0]) {
        match line {
            Line::Request(_) => requests += 1,
            Line::Dropped(dropped) => {
                assert!(dropped.why == Why::QueueFull && dropped.since <= dropped.at, "{dropped:?}");
                told += dropped.count;
            }
            Line::End(end) => assert_eq!(end.dropped, told),
            Line::Trace(_) | Line::Call(_) | Line::Actor(_) => {}
        }
    }
    assert!(told > 0, "two lines are the bound");
    assert_eq!(requests + told, LINES);
}

/// As when the disk is full: what is lost then is told once there is room again, with its reason.
#[test]
fn what_could_not_be_written_is_told_when_it_can_be_again() {
    let directory = std::env::temp_dir().join(format!("guiche-writer-{}-full", std::process::id()));
    fs::create_dir_all(&directory).expect("the temporary directory is writable");
    let path = directory.join("trace");
    let header = Header {
        version: VERSION,
        program: "".into(),
        instance: "one".into(),
        mode: "".into(),
        started: 1,
        part: 0,
    };
    let request = |at| Line::Request(RequestRecord { at, ..RequestRecord::default() });
    // A file that has no room for a line, and cannot be moved aside: a directory is in the way.
    let file = RotatedFile::new(&path, 1, 2);
    let mut chunks = Chunks::new(file, header, Arc::default(), Arc::default());
    fs::create_dir_all(directory.join("trace.1/taken")).expect("writable");
    fs::write(&path, "x").expect("writable");
    chunks.add(&request(1));
    chunks.write_chunk();
    chunks.add(&request(2));
    chunks.tell_dropped();
    chunks.write_chunk();
    fs::remove_dir_all(directory.join("trace.1")).expect("it is ours");
    chunks.add(&request(3));
    chunks.finish();
    let file = fs::read_to_string(&path).expect("it was written");
    fs::remove_dir_all(&directory).expect("it is ours");
    let lines = lines(&file);
    let told = lines.iter().find_map(|line| match line {
        Line::Dropped(dropped) => Some(*dropped),
        _ => None,
    });
    let told = told.expect("it is told");
    assert_eq!((told.count, told.why), (2, Why::NotWritten), "{file}");
    assert!(told.since > 1 && told.since <= told.at, "{told:?}");
    assert!(matches!(lines.last(), Some(Line::End(end)) if end.dropped == 2), "{file}");
}

#[test]
fn a_device_is_left_alone() {
    let options = TraceOptions { path: "/dev/null".into(), max_file_bytes: 1 << 20, files: 2, queue: 1 };
    let error = TraceWriter::start(&options, "one", "batched").map(drop).expect_err("it is a device");
    assert!(error.to_string().contains("not a plain file"), "{error}");
}
