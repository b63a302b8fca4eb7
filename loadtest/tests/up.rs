//! `loadtest up` from outside: however it ends, it leaves nothing behind.

mod common;

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::cluster::free_port;
use testbed::rundir::RunDir;

use common::until;

fn up(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.arg("up").args(args);
    command
}

/// The answer to a request for a client's statement, empty if there is none.
fn statement(port: u16, client: u32) -> String {
    ask(([127, 0, 0, 1], port).into(), &format!("/clientes/{client}/extrato"))
}

/// A stack that is ready, and what it said about itself.
struct Up {
    child: Child,
    port: u16,
    parts: Vec<(String, Pid)>,
    dir: PathBuf,
    /// Where it can be watched.
    page: Option<SocketAddr>,
    says: Lines<BufReader<ChildStdout>>,
}

impl Up {
    fn start(args: &[&str]) -> Up {
        let port = free_port().expect("a port");
        let mut child = up(args)
            .args(["--port", &port.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut says = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (mut parts, mut dir, mut page) = (Vec::new(), None, None);
        for line in says.by_ref().map_while(Result::ok).take_while(|line| !line.contains("Ctrl-C stops")) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let url = words.iter().find_map(|word| word.strip_prefix("http://")?.strip_suffix('/'));
            page = url.map(|url| url.parse().expect("an address")).or(page);
            if let [name, _, "pid", pid, log] = words[..] {
                parts.push((name.to_owned(), Pid::from_raw(pid.parse().expect("a pid"))));
                dir = Path::new(log).parent().map(Path::to_owned);
            }
        }
        Up { child, port, parts, dir: dir.expect("it was ready and said where its logs are"), page, says }
    }

    fn pid(&self, part: &str) -> Pid {
        self.parts.iter().find(|(name, _)| name == part).expect(part).1
    }

    /// Reads on until it says something.
    fn until_said(&mut self, what: &str) {
        let said = self.says.by_ref().map_while(Result::ok).any(|line| line.contains(what));
        assert!(said, "it ended without saying {what:?}");
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("it runs");
    }

    /// How it ended and what it complained about, after making sure that all is gone.
    fn end(self) -> (ExitStatus, String) {
        let Output { status, stderr, .. } = self.child.wait_with_output().expect("it ends");
        // What is left after a SIGKILL is cleared up by others, soon.
        until("the run directory goes", || !self.dir.exists());
        for (name, pid) in &self.parts {
            until(name, || !Path::new(&format!("/proc/{pid}")).exists());
        }
        TcpStream::connect(("127.0.0.1", self.port)).expect_err("nobody listens");
        until("nor is there a page", || self.page.is_none_or(|page| TcpStream::connect(page).is_err()));
        (status, String::from_utf8_lossy(&stderr).into_owned())
    }
}

#[test]
fn it_ends_well_on_ctrl_c() {
    let up = Up::start(&["--clients", "1000", "--history", "2000"]);
    assert!(statement(up.port, 1000).contains("historia"), "the last client is there, with its history");
    assert_eq!(up.parts.len(), 4);
    up.signal(Signal::SIGINT);
    let (status, complaints) = up.end();
    assert!(status.success(), "{complaints}");
    assert_eq!(complaints, "");
}

#[test]
fn nothing_outlives_it_when_it_is_killed() {
    let up = Up::start(&["--balancing", "layer4", "--transport", "tcp", "--envelope"]);
    up.signal(Signal::SIGKILL);
    up.end();
}

/// What is answered; nothing where nobody does.
fn ask(address: SocketAddr, path: &str) -> String {
    let asked = TcpStream::connect(address).and_then(|mut stream| {
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    });
    asked.unwrap_or_default()
}

#[test]
fn it_can_be_watched() {
    let up = Up::start(&["--watch=127.0.0.1:0"]);
    let page = up.page.expect("it says where");
    // The first statements were read when it was seen to be ready.
    until("requests are on the page", || ask(page, "/").contains("\"lanes\":[[1,0]"));
    up.signal(Signal::SIGTERM);
    let (status, complaints) = up.end();
    assert!(status.success(), "{complaints}");
}

#[test]
fn a_part_that_dies_is_started_again() {
    let mut up = Up::start(&[]);
    let port = up.port;
    let answers = || statement(port, 1).starts_with("HTTP/1.1 200");
    for part in ["nginx", "db", "webapi1-guiche", "webapi2-guiche"] {
        kill(up.pid(part), Signal::SIGKILL).expect("it runs");
        up.until_said(&format!("{part}: runs again"));
        until("a statement can be read again", answers);
    }
    up.signal(Signal::SIGINT);
    let (status, complaints) = up.end();
    assert!(status.success(), "{complaints}");
}

#[test]
fn the_death_of_a_part_is_its_end() {
    for part in ["webapi2-guiche", "nginx", "db"] {
        let up = Up::start(&["--no-restart"]);
        kill(up.pid(part), Signal::SIGKILL).expect("it runs");
        let (status, complaints) = up.end();
        assert!(!status.success(), "{part}");
        assert!(complaints.contains("SIGKILL"), "{part}: {complaints}");
    }
}

#[test]
fn data_of_the_other_profile_is_refused_and_left_alone() {
    let home = RunDir::create().expect("a run directory");
    let data = home.path().join("data");
    let data = data.to_str().expect("it is UTF-8");
    let first = Up::start(&["--data", data]);
    first.signal(Signal::SIGTERM);
    assert!(first.end().0.success());

    let refused = up(&["--data", data, "--profile", "contest", "--port", "0"]).output().expect("it runs");
    let complaints = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{complaints}");
    assert!(complaints.contains("PROFILE"), "{complaints}");

    let again = Up::start(&["--data", data]);
    again.signal(Signal::SIGINT);
    assert!(again.end().0.success());
}

#[test]
fn what_is_missing_is_named_before_anything_starts() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let watch = format!("--watch=127.0.0.1:{port}");
    for (args, says) in [
        ([watch.as_str(), "--over"], "choose another with --serve"),
        (["--watch", "--env=TRACE=x"], "leave out TRACE"),
        (["--port", &port], "is taken"),
        (["--guiche", "/nonexistent/guiche"], "there is no program /nonexistent/guiche"),
        (["--pg-bin", "/nonexistent"], "/nonexistent has no initdb"),
    ] {
        let output = up(&args).output().expect("it runs");
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && complaints.contains(says), "{complaints}");
        assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
