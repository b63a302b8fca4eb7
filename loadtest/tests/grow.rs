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
    // Of 32 shards; how evenly they are shared out is for Citus to say.
    assert!(report.contains("the workers had 1") && report.contains("| after |"), "{report}");
    assert!(home.path().join("grow.svg").is_file());
}
