//! `loadtest grow` from outside, on a small bank.

use std::process::Command;

use testbed::rundir::RunDir;

#[test]
fn a_bank_that_grows_refuses_nobody() {
    let home = RunDir::create().expect("a run directory");
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["grow", "--shards=1", "--clients=20", "--callers=4", "--seconds=2", "--report"])
        .arg(home.path())
        .output()
        .expect("it runs");
    let complaints = String::from_utf8_lossy(&output.stderr);
    if complaints.contains("has no citus") {
        return eprintln!("left out, because {complaints}");
    }
    assert!(output.status.success(), "{complaints}");
    let report = std::fs::read_to_string(home.path().join("report.md")).expect("a report");
    // How evenly shards are shared out is for Citus to say.
    let (_, had) = report.split_once("the workers had ").expect("what they have");
    let had: Vec<&str> = had.split(" of ").next().unwrap_or_default().split(", ").collect();
    assert!(had.len() == 2 && !had.contains(&"0") && report.contains("| after |"), "{report}");
    assert!(home.path().join("grow.svg").is_file());
}
