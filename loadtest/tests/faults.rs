//! `loadtest faults` from outside: a short form on the real stack, and a history that is judged again.

use std::fs;
use std::process::{Command, Output};

use testbed::rundir::RunDir;

fn faults(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest")).arg("faults").args(args).output().expect("it runs")
}

/// Plays faults that must break no promise; returns what was said, and the report.
fn promises_kept(args: &[&str]) -> (String, String) {
    let home = RunDir::create().expect("a run directory");
    let report = ["--seed=7", "--report", home.path().to_str().expect("it is UTF-8")];
    let faults = faults(&[args, &report].concat());
    let said = String::from_utf8_lossy(&faults.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&faults.stderr);
    assert!(faults.status.success() && said.contains(" 0 promises broken"), "{said}{complaints}");
    let written = fs::read_to_string(home.path().join("report.md")).expect("a report");
    (said, written)
}

#[test]
fn faults_under_load_break_no_promise() {
    let (said, written) = promises_kept(&[
        "--balancing=least_conn",
        "--fault=kill-instance",
        "--fault=kill-database",
        "--fault=terminate-after-commit",
        "--fault=hold-row+fill-table",
    ]);
    assert!(said.contains("seed 7"), "{said}");
    for fault in ["kill-instance", "kill-database", "terminate-after-commit"] {
        assert!(written.contains(fault), "{written}");
    }
    assert!(written.contains("two at once") || written.contains("fill-table is left out"), "{written}");
}

/// Whoever asks again under a key learns what became of each transaction, and none is applied twice.
#[test]
fn callers_with_keys_know_every_outcome_in_the_end() {
    promises_kept(&[
        "--keyed",
        "--balancing=round_robin",
        "--fault=kill-instance",
        "--fault=kill-database",
        "--fault=terminate-after-commit",
        "--fault=kill-nginx",
    ]);
}

#[test]
fn harmed_links_break_no_promise() {
    let (_, written) = promises_kept(&[
        "--balancing=affinity",
        "--fault=reset-nginx-instance",
        "--fault=cut-instance-database+hold-row",
    ]);
    for harmed in ["| reset-nginx-instance", "| two at once"] {
        let row = written.lines().find(|line| line.starts_with(harmed)).expect(&written);
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        // Somebody was refused or heard nothing: the link was harmed.
        assert_ne!(cells[5..8], ["0", "0", "0"], "{written}");
    }
    // Whose row is held waits as long, and it is seen what for.
    assert!(written.contains("waiting for a row lock"), "{written}");
}

#[test]
fn a_fault_that_is_none_is_refused() {
    let refused = faults(&["--fault=hold-row+flood"]);
    let complaints = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && complaints.contains("\"flood\" is none of kill-instance"),
        "{complaints}"
    );
}

#[test]
fn a_history_is_judged_again() {
    let home = RunDir::create().expect("a run directory");
    let file = home.path().join("history.jsonl");
    let lost = r#"{"account":[1,{"limit":1000,"balance":0,"rows":[]}]}
{"call":{"client":1,"start":0,"end":10,"asked":{"transaction":{"cents":5,"description":"a"}},"told":{"applied":5}}}
"#;
    fs::write(&file, lost).expect("a file");
    let judged = faults(&["--replay", file.to_str().expect("it is UTF-8")]);
    assert!(!judged.status.success());
    let complaints = String::from_utf8_lossy(&judged.stderr);
    assert!(complaints.contains("1 lost"), "{complaints}");
    let drawn = fs::read_to_string(file.with_extension("html")).expect("a picture beside it");
    assert!(drawn.contains("lost, client 1"), "{drawn}");

    fs::write(&file, "rubbish\n").expect("a file");
    let judged = faults(&["--replay", file.to_str().expect("it is UTF-8")]);
    let complaints = String::from_utf8_lossy(&judged.stderr);
    assert!(!judged.status.success() && complaints.contains("line 1"), "{complaints}");
}
