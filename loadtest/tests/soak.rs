//! `loadtest soak` from outside: a few seconds of it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::rundir::RunDir;

#[test]
fn a_soak_shows_each_row_and_has_right_books() {
    let directory = RunDir::create().expect("a run directory");
    let report = directory.path().join("report");
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["soak", "--minutes", "0.04", "--every", "1", "--base", "clients=100,history=1000,instances=1"])
        .arg("--report")
        .arg(&report)
        .output()
        .expect("it runs");
    let complaints = String::from_utf8_lossy(&output.stderr);
    if complaints.contains("limits are NOT enforced") {
        return eprintln!("skipped: {complaints}");
    }
    assert!(output.status.success(), "{complaints}");
    let text = std::fs::read_to_string(report.join("report.md")).expect("a report");
    assert!(text.contains("\n| 2 |") && text.contains("webapi1-guiche memory"), "{text}");
    assert!(!text.contains("webapi2") && report.join("soak.svg").is_file(), "{text}");
}

/// Hours of rows are not lost with the rest.
#[test]
fn a_soak_that_is_stopped_has_its_rows() {
    let directory = RunDir::create().expect("a run directory");
    let report = directory.path().join("report");
    let mut child = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["soak", "--minutes", "10", "--every", "1", "--report"])
        .arg(&report)
        .env("GUICHE_RUN_DIR", directory.path().join("runs"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.as_mut().expect("a pipe")).lines().map_while(Result::ok);
    let seen = lines.take_while(|line| !line.starts_with("   2 ")).count();
    let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT);
    let output = child.wait_with_output().expect("it ends");
    let complaints = String::from_utf8_lossy(&output.stderr);
    if complaints.contains("limits are NOT enforced") {
        return eprintln!("skipped: {complaints}");
    }
    assert!(seen > 0 && !output.status.success() && complaints.contains("stopped by SIGINT"), "{complaints}");
    let text = std::fs::read_to_string(report.join("report.md")).expect("a report");
    assert!(text.contains("Not finished: stopped by SIGINT.") && text.contains("\n| 2 |"), "{text}");
}

#[test]
fn what_is_no_soak_is_refused() {
    for (args, says) in [
        (["--minutes", "0"], "--minutes 0 is no row"),
        (["--base", "users=5"], "a soak is loaded by wrk"),
        (["--base", "colour=1"], "\"colour\" is none of"),
    ] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_loadtest")).arg("soak").args(args).output().expect("it runs");
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && complaints.contains(says), "{complaints}");
    }
}
