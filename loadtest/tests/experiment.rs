//! `loadtest experiment` from outside: what it refuses, what it lists, and one small experiment.

mod common;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::read::MultiGzDecoder;
use loadtest::measure::report;
use loadtest::measure::result::{Measurement, Run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::rundir::RunDir;

use common::until;

const SMALL: &str = r#"
title = "Small"
question = "Does it add up?"
answer = "{{ goodput('batched', 3) }} right answers/s"
rounds = 1
warm_up = 2
seconds = 4
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
TRACE = "{dir}/{instance}.jsonl"
[load]
users = 4
[envelope]
scale = 2
[[expect]]
says = "it does something"
holds = "goodput('batched', 3) >= 1"
"#;

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.arg("experiment").args(args);
    command
}

fn experiment(args: &[&str]) -> Output {
    command(args).output().expect("the program runs")
}

/// Whether this machine cannot run experiments; says why.
fn skipped(said: &str) -> bool {
    let skipped =
        ["needs two cores", "no cgroups to be had", "cannot run k6"].iter().any(|why| said.contains(why));
    if skipped {
        eprintln!("skipped: {said}");
    }
    skipped
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_list_has_what_is_shipped() {
    let output = experiment(&["--list"]);
    assert!(output.status.success(), "{}", said(&output));
    for name in ["hot", "zipf", "open", "balancing", "durability", "read_share", "batch", "flood"] {
        assert!(said(&output).lines().any(|line| line.starts_with(&format!("{name} "))), "{name} is missing");
    }
}

/// Who read the first line may have gone.
#[test]
fn output_that_nobody_takes_is_no_panic() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("there is one");
    let output = command(&["--list"]).stdout(full).output().expect("the program runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
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
        ("[load]\nusers = 4", "[load]\nuser = 4", "load: user is none of"),
        ("clients={}", "customers={}", "x, value 3: customers=3: \"customers\" is none of"),
        ("values = [3]", "values = []", "x: values has 0"),
        ("reads = 0.2", "reads = 20", "stays.reads: reads=20: expected 0 to 1"),
        ("{dir}/", "/tmp/", "each run would write over the trace of the one before it: TRACE={dir}"),
        ("'batched', 3) >= 1", "'batched', 3) is fine", "expect number 1"),
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

/// What cannot be is told before anything starts: a page for traces that go elsewhere, a comparison with something else.
#[test]
fn what_does_not_go_together_is_refused() {
    let dir = RunDir::create().expect("a run directory");
    let path = dir.path().join("small.toml");
    fs::write(&path, SMALL).expect("it is writable");
    let reports = dir.path().join("reports").display().to_string();
    let pool = testbed::repository_root().join("docs/results/pool.json").display().to_string();
    for (more, says) in [
        (["--watch=127.0.0.1:0", "--resume"], "small: --watch says itself where traces go: leave out TRACE"),
        (["--watch=127.0.0.1:0", "--trace"], "cannot be used with"),
        (["--against", &pool], "A is of pool, and B of small: nothing of them can be compared"),
        (["--against", "/nowhere"], "cannot read /nowhere"),
    ] {
        let output = experiment(&[&path.display().to_string(), "--report", &reports, more[0], more[1]]);
        assert!(!output.status.success() && said(&output).contains(says), "{more:?}: {}", said(&output));
    }
}

/// Another build may have other settings: it is asked.
#[test]
fn a_setting_that_another_program_does_not_have_is_refused() {
    let dir = RunDir::create().expect("a run directory");
    let (path, program) = (dir.path().join("small.toml"), dir.path().join("other"));
    fs::write(&program, "#!/bin/sh\necho '[{\"name\": \"BATCH_MAX\"}, {\"name\": \"TRACE\"}]'\n")
        .expect("writable");
    fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("it is ours");
    let more = format!("[stays]\nguiche = \"{}\"\nBATCHMAX = 4\n", program.display());
    fs::write(&path, SMALL.replace("[stays]\n", &more)).expect("it is writable");
    let output = command(&[
        &path.display().to_string(),
        "--report",
        &dir.path().join("reports").display().to_string(),
    ])
    .env("GUICHE_RUN_DIR", dir.path().join("r"))
    .output()
    .expect("the program runs");
    let said = said(&output);
    if !skipped(&said) {
        assert!(!output.status.success() && said.contains("BATCHMAX is no setting of"), "{said}");
        assert!(said.contains("other; there are BATCH_MAX, TRACE"), "{said}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_told_at_once() {
    let dir = RunDir::create().expect("a run directory");
    let file = dir.path().join("file");
    fs::write(&file, "no directory").expect("it is writable");
    let output = experiment(&["hot", "--report", &file.display().to_string()]);
    assert!(!output.status.success() && said(&output).contains("cannot write"), "{}", said(&output));
}

/// Stopped after its first run, it has a report of that, and goes on.
#[test]
fn a_small_experiment_adds_up() {
    let dir = RunDir::create().expect("a run directory");
    let (path, reports) = (dir.path().join("small.toml"), dir.path().join("reports"));
    // Whoever else measures on this machine has a lock in the usual place.
    let (small, runs) = (reports.join("small"), dir.path().join("r"));
    fs::write(&path, SMALL).expect("it is writable");
    let (path, reports) = (path.display().to_string(), reports.display().to_string());
    let mut child = command(&[&path, "--report", &reports])
        .env("GUICHE_RUN_DIR", &runs)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.as_mut().expect("a pipe")).lines().map_while(Result::ok);
    let first: Vec<String> = lines.take_while(|line| !line.contains("p99")).collect();
    let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT);
    let output = child.wait_with_output().expect("it ends");
    let why = said(&output);
    if skipped(&why) {
        return;
    }
    assert!(first.iter().any(|line| line.contains("2 runs")) && why.contains("stopped by SIGINT"), "{why}");
    let result: Measurement = report::read(&small).expect("what there is");
    assert_eq!(result.cases().map(|(_, case)| case.runs.len()).collect::<Vec<_>>(), [1, 0]);
    let report = fs::read_to_string(small.join("report.md")).expect("a report");
    assert!(report.contains("Not finished (stopped by SIGINT)"), "{report}");
    // It is also what the whole is compared with.
    let earlier = dir.path().join("earlier.json");
    fs::copy(small.join("results.json"), &earlier).expect("a copy");
    let earlier = earlier.display().to_string();

    let refused = experiment(&[&path, "--report", &reports, "--resume", "--seconds", "3"]);
    assert!(!refused.status.success() && said(&refused).contains("other cases, settings or times"));
    let mut resumed = command(&[&path, "--report", &reports, "--resume", "--against", &earlier]);
    let output = resumed.env("GUICHE_RUN_DIR", &runs).output().expect("the program runs");
    let said = said(&output);
    let compared = ["A is not finished: stopped by SIGINT", "goodput 1/s", "equal (one round)"];
    assert!(compared.iter().all(|says| said.contains(says)), "{said}");
    assert!(output.status.success() && said.contains("1 runs"), "{said}");
    assert!(!small.join("unfinished.json").exists());
    let result: Measurement = report::read(&small).expect("results.json");
    assert_eq!(result.unfinished, "");
    assert_eq!((result.name.as_str(), result.comparisons[0].cases.len()), ("small", 2));
    assert!(result.cases().any(|(_, case)| case.valid().count() == 1), "none says anything: {said}");
    for point in &result.comparisons[0].cases {
        assert_eq!((point.runs.len(), &point.failures), (1, &Vec::new()), "{said}");
        let run = &point.runs[0];
        assert_eq!(run.problems, Vec::<String>::new(), "{run:?}");
        if let Some(why) = &run.invalid {
            // A machine that stood still is no fault, and its figures say nothing.
            assert!(why.contains("to say what they count"), "{why}");
            continue;
        }
        assert_eq!(run.requests, run.right + run.shed + run.wrong, "{run:?}");
        assert!(run.right > 10 && run.wrong == 0, "{run:?}");
        assert!(run.generator_cpu_share > 0.0 && run.latency_ms.p99 >= run.latency_ms.p50, "{run:?}");
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
    assert!(result.conditions.envelope.starts_with("1/2 of 1.50 CPUs"), "{}", result.conditions.envelope);
    let report = fs::read_to_string(small.join("report.html")).expect("a page");
    for run in result.cases().flat_map(|(_, case)| &case.runs) {
        traced(run, &small, &report);
    }
    assert!(["points.csv", "samples.csv"].iter().all(|csv| report.contains(&format!("href=\"{csv}\""))));
}

/// The run has kept its trace, and the report leads to its page and to its slowest answers there.
fn traced(run: &Run, report: &Path, html: &str) {
    let trace = run.trace.as_ref().expect("it traced");
    let page = fs::read_to_string(report.join(&trace.directory).join("page.html")).expect("a page");
    let files = entries(&report.join(&trace.directory));
    let packed = files.iter().filter(|file| file.extension().is_some_and(|name| name == "gz"));
    assert_eq!((packed.count(), files.len()), (2, 3), "{files:?}");
    let mut text = String::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|name| name == "gz")) {
        let packed = fs::File::open(file).expect("it is there");
        MultiGzDecoder::new(packed).read_to_string(&mut text).expect("it is packed text");
    }
    assert!(text.contains(r#""throttled":"#), "with an eighth of a core it stands still");
    assert!(!trace.slowest.is_empty() && trace.slowest[0].ms >= run.latency_ms.p50, "{trace:?}");
    for slow in &trace.slowest {
        let link = format!("href=\"{}/page.html#request={}\"", trace.directory, slow.id);
        assert!(page.contains(&slow.id) && html.contains(&link), "{link}: {html}");
        assert!(slow.says.contains("client ") && slow.says.contains(" ms"), "{slow:?}");
    }
}

#[test]
fn ctrl_c_under_load_ends_it_and_leaves_nothing_behind() {
    let home = RunDir::create().expect("a run directory");
    let (path, runs) = (home.path().join("long.toml"), home.path().join("r"));
    let reports = home.path().join("reports");
    fs::write(&path, SMALL.replace("\nseconds = 2\n", "\nseconds = 60\n")).expect("it is writable");
    let mut child = command(&[&path.display().to_string(), "--report", &reports.display().to_string()])
        .env("GUICHE_RUN_DIR", &runs)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let pid = child.id();
    let mut ended = false;
    until("k6 plays", || {
        ended = child.try_wait().expect("it is ours").is_some();
        let plays = children(pid).iter().any(|child| name(*child) == "k6");
        // Before there is a stack, k6 is only asked for its version.
        ended || plays && !directories(&runs).is_empty()
    });
    let (parts, runs_then) = (children(pid), directories(&runs));
    if !ended {
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGINT).expect("it runs");
    }
    let output = child.wait_with_output().expect("it ends");
    let said = said(&output);
    if skipped(&said) {
        return;
    }
    assert!(!ended && !output.status.success() && said.contains("stopped by SIGINT"), "{said}");
    until("the run directory goes", || directories(&runs).is_empty());
    for part in parts {
        until("its processes go", || !Path::new(&format!("/proc/{part}")).exists());
    }
    for directory in runs_then {
        let run = directory.file_name().expect("a name").to_string_lossy().into_owned();
        until("its cgroups go", || cgroups_of(&run).is_empty());
    }
}

/// Those of all its threads.
fn children(pid: u32) -> Vec<u32> {
    let threads = entries(Path::new(&format!("/proc/{pid}/task")));
    let texts = threads.iter().filter_map(|thread| fs::read_to_string(thread.join("children")).ok());
    texts
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The lock stays.
fn directories(of: &Path) -> Vec<PathBuf> {
    entries(of).into_iter().filter(|path| path.is_dir()).collect()
}

/// The cgroups of a run, in either version's hierarchies.
fn cgroups_of(run: &str) -> Vec<PathBuf> {
    let tops = entries(Path::new("/sys/fs/cgroup"));
    let all = tops.iter().flat_map(|top| entries(top)).chain(tops.iter().cloned());
    all.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(run))).collect()
}
