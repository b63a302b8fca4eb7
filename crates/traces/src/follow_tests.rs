//! Files that are written while they are followed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::super::chrome::ChromeWriter;
use super::super::format::{CallRecord, Header, Line, RequestRecord, VERSION};
use super::super::reading::{Reading, Wishes};
use super::super::writer::now_micros;
use super::*;

struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("guiche-follow-{:016x}", fastrand::u64(..)));
        fs::create_dir(&path).expect("the temporary directory is writable");
        Self(path)
    }

    fn add(&self, name: &str, text: &str) {
        let file = OpenOptions::new().create(true).append(true).open(self.0.join(name));
        file.expect("it is ours").write_all(text.as_bytes()).expect("there is room");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.0.join(from), self.0.join(to)).expect("it is ours");
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn line(line: &Line<'_>) -> String {
    serde_json::to_string(line).expect("a line is JSON") + "\n"
}

fn head(instance: &'static str, part: u64) -> String {
    let (program, mode) = ("guiche".into(), "batched".into());
    line(&Line::Trace(Header {
        version: VERSION,
        program,
        instance: instance.into(),
        mode,
        started: 5,
        part,
    }))
}

fn request(id: &str, at: u64) -> String {
    let (id, kind, outcome) = (id.into(), "debit".into(), "applied".into());
    line(&Line::Request(RequestRecord { id, client: Some(1), kind, at, outcome, ..RequestRecord::default() }))
}

fn call(id: u64, at: u64) -> String {
    line(&Line::Call(CallRecord { id, at, carries: vec![(1, 1, 0)], ..CallRecord::default() }))
}

/// How many requests and calls of how many instances there are.
fn seen(window: &Window) -> (u64, u64, usize) {
    let wishes = Wishes { page_requests: Some(100), ..Wishes::default() };
    let read = wishes.read(window.traces(), None::<ChromeWriter<io::Sink>>);
    let Reading { summary, traces, .. } = read.expect("nothing is written");
    assert_eq!((traces.damage.repeated, traces.damage.malformed), (0, 0));
    (summary.total.requests, summary.total.calls, summary.instances.len())
}

fn follow(directory: &Path, names: &[&str]) -> Vec<Followed> {
    names.iter().zip(0..).map(|(name, number)| Followed::new(&directory.join(name), number)).collect()
}

fn read(files: &mut [Followed], window: &mut Window) {
    files.iter_mut().for_each(|file| file.read(window).expect("a trace"));
}

#[test]
fn files_appear_grow_and_are_moved_aside() {
    let directory = Directory::new();
    let mut window = Window::new(60_000_000, 100);
    // What is moved aside is listed too, as a shell's star does.
    let mut files = follow(&directory.0, &["one", "one.1", "two"]);
    read(&mut files, &mut window);
    assert_eq!(seen(&window), (0, 0, 0), "nothing is there yet");

    let whole = request("b", 1_100);
    let (begun, rest) = whole.split_at(20);
    directory.add("one", &(head("api1", 0) + &request("a", 1_000) + begun));
    read(&mut files, &mut window);
    assert_eq!(seen(&window), (1, 0, 1), "half a line is none");
    directory.add("one", rest);
    directory.add("two", &(head("api2", 0) + &call(1, 1_000)));
    read(&mut files, &mut window);
    assert_eq!(seen(&window), (2, 1, 2));

    directory.add("one", &request("c", 1_200));
    directory.rename("one", "one.1");
    directory.add("one", &(head("api1", 1) + &request("d", 1_300)));
    read(&mut files, &mut window);
    directory.add("one.1", &request("e", 1_400));
    read(&mut files, &mut window);
    assert_eq!(seen(&window).0, 4, "each once; its end is read before the next begins");

    fs::remove_file(directory.0.join("two")).expect("ours");
    directory.add("two", &(head("api2", 0) + &call(2, 1_500)));
    read(&mut files, &mut window);
    assert_eq!(seen(&window), (4, 1, 2), "begun again: nothing counts twice");
}

#[test]
fn what_is_no_trace_is_told_once_and_left_out() {
    let directory = Directory::new();
    directory.add("prose", "no trace\n");
    let mut window = Window::new(60_000_000, 100);
    let mut files = follow(&directory.0, &["prose"]);
    let error = files[0].read(&mut window).expect_err("prose");
    assert!(error.to_string().contains("is not a trace"), "{error}");
    directory.add("prose", "at all\n");
    read(&mut files, &mut window);

    let mut folder = Followed::new(&directory.0, 0);
    let error = folder.read(&mut window).expect_err("a directory");
    assert!(error.to_string().contains("not a plain file"), "{error}");
}

#[test]
fn only_the_newest_is_kept() {
    let directory = Directory::new();
    let (mut short, mut few) = (Window::new(1_000, 100), Window::new(60_000_000, 3));
    directory.add("one", &head("api1", 0));
    for number in 0..10 {
        directory.add("one", &(request(&number.to_string(), 10_000 + number * 500) + &call(number, 10_000)));
    }
    for (window, requests) in [(&mut short, 3), (&mut few, 3)] {
        read(&mut follow(&directory.0, &["one"]), window);
        assert_eq!(seen(window).0, requests);
        assert!(window.traces().begin_late(), "what was before is missing");
    }
}

#[test]
fn a_clock_that_runs_ahead_pushes_nothing_out() {
    let directory = Directory::new();
    let mut window = Window::new(60_000_000, 100);
    directory.add("one", &(head("api1", 0) + &request("now", now_micros()) + &request("then", u64::MAX / 2)));
    read(&mut follow(&directory.0, &["one"]), &mut window);
    assert_eq!(seen(&window).0, 2);
}
