//! `loadtest soak` from outside: a few seconds of it.

use std::process::Command;

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
