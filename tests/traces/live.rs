//! The page while instances write: served, and kept up to date.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::browser::{Browser, program};
use crate::harness::{Connection, Database, Guiche, Request, until};
use crate::page::{READY, assert_no_complaints};
use crate::sample::{START, Sample, contended, directory, guiche_traces, text};

/// `guiche traces --follow` on some free port; dropped, it ends.
struct Served {
    process: Child,
    url: String,
}

impl Served {
    fn start(files: &[&Path]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_guiche"))
            .args(["traces", "--follow", "--serve", "127.0.0.1:0"])
            .args(files)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program that was just built runs");
        let mut line = String::new();
        let output = process.stdout.as_mut().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("it says where");
        let url = line.split(' ').next().expect("the first word").to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{line}");
        Self { process, url }
    }

    fn address(&self) -> SocketAddr {
        self.url["http://".len()..].trim_end_matches('/').parse().expect("an address")
    }

    fn ask(&self, head: &str) -> String {
        let mut stream = TcpStream::connect(self.address()).expect("it listens");
        stream.write_all(head.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("in text");
        answer
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Somebody locks a row by hand while a request needs it.
#[tokio::test]
async fn a_lock_taken_by_hand_is_seen_at_once() {
    let Some(program) = program() else { return };
    let (database, directory) = (Database::create().await, directory());
    let file = directory.path().join("api1.jsonl");
    // The page is there before the file is.
    let served = Served::start(&[&file]);
    let mut browser = Browser::open_url(&program, &served.url, READY).await;
    assert_eq!(browser.script("lanesPage.data.requests.length"), 0);

    let launcher = Guiche::launcher(&database).set("INSTANCE", "api1").set("TRACE", file.display());
    let instance = launcher.start().await;
    let mut caller = Connection::open(instance.address()).await.expect("it listens");
    assert_eq!(caller.ask(&Request::transaction(1, 1, "c", "x")).await.expect("an answer").status, 200);
    until("the first request is on the page", async || {
        browser.script("lanesPage.data.requests.length === 1 && lanesPage.data.lanes.length === 1") == true
    })
    .await;
    // What is chosen stays so.
    browser.key("s");
    let chosen = browser.script("location.hash");

    let held = database.lock(1).await;
    let waiting = tokio::spawn(async move { caller.ask(&Request::transaction(1, 1, "c", "x")).await });
    database.until_waiting(1).await;
    held.release().await;
    assert_eq!(waiting.await.expect("no panic").expect("an answer").status, 200);
    let begun = Instant::now();
    let holder = "(() => { const { data, holdsOf } = lanesPage; const call = data.calls.waited.indexOf(2); \
                  return call >= 0 && holdsOf(call)[0].call === undefined && holdsOf(call)[0].other > 0; })()";
    until("the page says that somebody else held the row", async || browser.script(holder) == true).await;
    eprintln!("seen {} ms after the answer", begun.elapsed().as_millis());
    assert_eq!(browser.script("location.hash"), chosen);
    assert_eq!(browser.script("lanesPage.data.requests.at[lanesPage.state.marked.request]"), 0.0);
    assert_no_complaints(&mut browser);
    drop(served);
    until("the page says that nobody serves it", async || {
        browser.script("document.getElementById('live').textContent.includes('not connected')") == true
    })
    .await;
}

/// Whoever looks at all goes on to do so; whoever looks at something keeps it in sight.
#[tokio::test]
async fn the_view_stays_while_the_trace_grows() {
    let Some(program) = program() else { return };
    let directory = directory();
    let mut sample = Sample::of("api1");
    sample.call(1, 1, 1_000, (0, 200), &["first".to_owned()]);
    let path = sample.write(directory.path(), "api1.jsonl");
    let served = Served::start(&[&path]);
    let mut browser = Browser::open_url(&program, &served.url, READY).await;
    let mut grow = |number: u64, browser: &mut Browser| {
        sample.call(number, number as i32, number * 100_000, (0, 200), &[format!("more-{number}")]);
        let next = std::fs::read(sample.write(directory.path(), "next")).expect("it was written");
        let mut file = OpenOptions::new().append(true).open(&path).expect("ours");
        let length = file.metadata().expect("it is there").len() as usize;
        file.write_all(&next[length..]).expect("there is room");
        format!("lanesPage.data.requests.length === {number} && lanesPage.state.frames > {}", frames(browser))
    };
    let grown = grow(2, &mut browser);
    until("the second is there", async || browser.script(&grown) == true).await;
    let whole = "lanesPage.scale.from <= 0 && lanesPage.scale.to >= lanesPage.data.end";
    assert_eq!(browser.script(whole), true, "all of it is in sight");
    browser.script("location.hash = '#request=first'");
    browser.frame();
    let place =
        "[lanesPage.scale.from, lanesPage.scale.to, document.querySelector('#details h2').textContent]";
    let before = browser.script(place);
    let grown = grow(3, &mut browser);
    until("the third is there", async || browser.script(&grown) == true).await;
    assert_eq!(browser.script(place), before);
    assert_eq!(browser.script("document.querySelectorAll('table tbody tr').length"), 4, "the table too");
    assert_no_complaints(&mut browser);
}

fn frames(browser: &mut Browser) -> i64 {
    browser.script("lanesPage.state.frames").as_i64().expect("a count")
}

#[test]
fn only_this_machine_is_answered_and_only_by_its_address() {
    let directory = directory();
    let [one, _] = contended(directory.path());
    let served = Served::start(&[&one]);
    let host = served.address();
    let page = served.ask(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("connect-src 'self'"), "{page}");
    let mut events = TcpStream::connect(host).expect("it listens");
    events
        .write_all(b"GET /events?after=0 HTTP/1.1\r\nHost: localhost:1\r\n\r\n")
        .expect("it takes questions");
    let mut lines = BufReader::new(events).lines().map(|line| line.expect("text"));
    assert!(
        lines
            .by_ref()
            .take_while(|line| !line.is_empty())
            .any(|line| line == "Content-Type: text/event-stream")
    );
    let event = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned)).expect("an event");
    let update: serde_json::Value = serde_json::from_str(&event).expect("it is JSON");
    assert_eq!(update["data"]["sides"][0][1], START + 900);
    for (asked, status) in [
        ("GET / HTTP/1.1\r\nHost: somewhere.example\r\n\r\n", "403"),
        ("GET / HTTP/1.1\r\n\r\n", "403"),
        ("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", "405"),
        ("GET /etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"),
        ("GET /events?after=x HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"),
    ] {
        let answer = served.ask(asked);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{asked}: {answer}");
    }
}

#[test]
fn what_cannot_be_served_is_said_before_anything_is() {
    let directory = directory();
    let [one, _] = contended(directory.path());
    let prose = directory.path().join("prose");
    std::fs::write(&prose, "no trace at all\n").expect("writable");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("it has one").to_string();
    let missing: PathBuf = directory.path().into();
    for (arguments, says) in [
        (vec!["--follow", text(&one), "--serve", &taken], "choose another with --serve"),
        (vec!["--follow", text(&prose), "--serve", "127.0.0.1:0"], "is not a trace"),
        (vec!["--follow", text(&missing), "--serve", "127.0.0.1:0"], "not a plain file"),
        (vec!["--follow", text(&one), "--json"], "cannot be used with"),
        (vec![text(&one), "--serve", "127.0.0.1:0"], "--follow"),
    ] {
        let output = guiche_traces(&arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(error.contains(says), "{says:?} is not in {error}");
    }
}
