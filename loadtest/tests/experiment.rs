//! `loadtest experiment` from outside: what it refuses, what it lists, and one small experiment.

mod common;

use std::fs;
use std::process::{Command, Output};

use loadtest::experiment::report;
use loadtest::experiment::result::ExperimentResult;
use loadtest::rundir::RunDir;

const SMALL: &str = r#"
title = "Small"
question = "Does it add up?"
answer = "{goodput batched@3} right answers/s"
rounds = 1
warm_up = 2
seconds = 2
[x]
label = "clients"
set = "clients={}"
values = [3]
[series]
label = "mode"
set = "mode={}"
values = ["direct", "batched"]
[stays]
reads = 0.2
[load]
users = 4
[[expect]]
says = "it does something"
holds = "goodput batched@3 >= 1"
"#;

fn experiment(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.arg("experiment").args(args).env("GUICHE_BIN", common::guiche());
    command.output().expect("the program runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_list_has_what_is_shipped() {
    let output = experiment(&["--list"]);
    assert!(output.status.success(), "{}", said(&output));
    for name in ["hot", "zipf", "open", "balancing", "durability", "read_share", "batch"] {
        assert!(said(&output).lines().any(|line| line.starts_with(&format!("{name} "))), "{name} is missing");
    }
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let output = experiment(&["hot", "cold"]);
    assert!(!output.status.success());
    let said = said(&output);
    assert!(said.contains("no experiment \"cold\"") && said.contains("read_share"), "{said}");
}

#[test]
fn a_wrong_file_is_refused_with_its_name_and_field() {
    let dir = RunDir::create().expect("a run directory");
    let path = dir.path().join("mine.toml");
    for (right, wrong, says) in [
        ("[load]\nusers = 4", "[load]\nuser = 4", "unknown field `user`"),
        ("clients={}", "customers={}", "x, value 3: customers=3: \"customers\" is none of"),
        ("values = [3]", "values = []", "x: values has 0"),
        ("reads = 0.2", "reads = 20", "stays.reads: reads=20: expected 0 to 1"),
        ("goodput batched@3 >= 1", "goodput batched@3 is fine", "expect number 1"),
    ] {
        assert!(SMALL.contains(right), "{right}");
        fs::write(&path, SMALL.replace(right, wrong)).expect("it is writable");
        let output = experiment(&[&path.display().to_string()]);
        let said = said(&output);
        assert!(
            !output.status.success() && said.contains(says) && said.contains("mine.toml"),
            "{wrong}: {said}"
        );
    }
}

#[test]
fn a_small_experiment_adds_up() {
    let dir = RunDir::create().expect("a run directory");
    let (path, reports) = (dir.path().join("small.toml"), dir.path().join("reports"));
    fs::write(&path, SMALL).expect("it is writable");
    let output = experiment(&[&path.display().to_string(), "--report", &reports.display().to_string()]);
    let said = said(&output);
    for reason in ["needs two cores", "no cgroups to be had", "cannot run k6"] {
        if said.contains(reason) {
            return eprintln!("skipped: {said}");
        }
    }
    assert!(output.status.success(), "{said}");
    let result: ExperimentResult = report::read(&reports.join("small")).expect("results.json");
    assert_eq!((result.name.as_str(), result.points.len()), ("small", 2));
    for point in &result.points {
        assert_eq!((point.runs.len(), &point.failures), (1, &Vec::new()), "{said}");
        let run = &point.runs[0];
        assert_eq!(run.problems, Vec::<String>::new());
        assert_eq!(run.requests, run.right + run.shed + run.wrong, "{run:?}");
        assert!(run.right > 10 && run.wrong == 0, "{run:?}");
        assert!(run.k6_cpu_share > 0.0 && run.latency_ms.p99 >= run.latency_ms.p50, "{run:?}");
        assert!(run.spent_ms.database > 0.0, "Server-Timing is on: {run:?}");
        // The instances' readings are a little later than k6's, at both ends.
        let answered: u64 = run.work.answers.values().sum();
        assert!(answered.abs_diff(run.requests) <= run.requests / 4 + 20, "{answered}: {run:?}");
        assert_eq!(run.work.refused, 0, "limits are beyond what a run can draw");
        assert!(run.work.statements > 0 && run.work.accepted > run.work.statements, "{run:?}");
        assert!(run.waits.samples > 5 && run.samples.len() == run.waits.samples, "{run:?}");
        assert!(run.services.iter().all(|service| service.cpu_share > 0.0), "{run:?}");
        assert!(run.commits_per_s > 0.0 && run.rows_per_s > 0.0, "{run:?}");
    }
    assert!(result.conditions.envelope.starts_with("1/5 of 1.50 CPUs"), "{}", result.conditions.envelope);
}
