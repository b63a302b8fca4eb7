//! One short run of the benchmark, from the load to the books, and one short count.

#[path = "contest/standin.rs"]
#[allow(dead_code, reason = "it is the contest's")]
mod standin;

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use loadtest::measure::declaration::Declaration;
use loadtest::measure::instructions::Callgrind;
use loadtest::measure::plan::{Choice, Plan, Times};
use loadtest::measure::report;
use loadtest::measure::run;
use loadtest::measure::setup::Setup;
use loadtest::measure::tools::Tools;
use loadtest::measure::traced::Place;
use standin::{Fault, Standin};
use testbed::rundir::RunDir;

fn setup(settings: &str) -> (Plan, Setup) {
    let choice = Choice { cases: vec![settings.to_owned()], ..Choice::default() };
    let plan = Plan::new(&Declaration::bench().expect("bench.toml is right"), &choice).expect("settings");
    let setup = plan.setups().next().expect("one case").clone();
    (plan, setup)
}

#[tokio::test]
async fn a_run_tells_what_it_did_and_its_books_are_right() {
    let (plan, setup) = setup("connections=8,clients=50");
    let tools = match Tools::find(&[plan]) {
        Err(error) if ["wrk is not", "no cgroups"].iter().any(|why| format!("{error:#}").contains(why)) => {
            return eprintln!("skipped: {error:#}");
        }
        tools => tools.expect("everything is there"),
    };
    let times = Times { warm_up: Duration::from_secs(1), measured: Duration::from_secs(3) };
    let run = match run::run(&tools, &setup, times, 0, &Place::default()).await {
        Err(error) if error.to_string().contains("NOT enforced") => return eprintln!("skipped: {error}"),
        ran => ran.expect("it runs").0,
    };
    assert_eq!(run.problems, Vec::<String>::new());
    assert_eq!((run.shed, run.wrong), (0, 0), "{run:?}");
    assert!(run.requests > 100 && run.right == run.requests, "{run:?}");
    assert!(run.work.accepted > 0 && run.work.accepted <= run.rows, "{run:?}");
    assert_eq!(run.work.refused, 0, "limits are large where there are more than the contest's clients");
    assert!(run.work.statements > 0 && run.work.calls > 0, "{run:?}");
    assert!(run.services.iter().all(|service| service.cpu_share > 0.0), "{run:?}");
    assert!(run.waits.samples > 0, "{run:?}");
    let slow = run.slow.as_ref().expect("a witness tells");
    assert!(slow.len() > 5 && run.stalls.is_some(), "{run:?}");
}

#[tokio::test]
async fn instructions_tell_a_trace_from_none() {
    let Ok(callgrind) = Callgrind::find() else { return eprintln!("skipped, there is no valgrind") };
    let count = async |settings: &str| callgrind.count(&setup(settings).1, [2, 12]).await.expect("it counts");
    let (off, on) = (count("").await, count("TRACE={dir}/{instance}.jsonl").await);
    assert!(off > 10_000.0, "{off} instructions for a transaction");
    assert!(on > off, "{on} instructions with a trace, {off} without");
}

async fn of_target(url: &str, directory: &Path, more: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(["bench", "--target", url, "--report"]).arg(directory.join("report")).args(more);
    command.env("GUICHE_RUN_DIR", directory.join("r")).output().await.expect("the program runs")
}

/// Of what somebody else has started only its answers are seen.
#[tokio::test]
async fn somebody_elses_entry_is_loaded_and_seen_from_outside() {
    let (standin, directory) =
        (Standin::start(Fault::None).expect("a port is free"), RunDir::create().expect("a run directory"));
    let refused = of_target(&standin.url, directory.path(), &["--case", "mode=direct"]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("mode=direct is for the owner"), "{said}");

    let short =
        ["--rounds", "1", "--seconds", "1", "--warm-up", "1", "--case", "", "--case", "connections=2"];
    let output = of_target(&standin.url, directory.path(), &short).await;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if said.contains("wrk is not") {
        return eprintln!("skipped: {said}");
    }
    assert!(output.status.success(), "{said}");
    let result = report::read(&directory.path().join("report")).expect("results.json");
    assert!(result.conditions.envelope.starts_with(&standin.url), "{}", result.conditions.envelope);
    for (_, case) in result.cases() {
        let figure = |name| case.figure(name).map(|spread| spread.median);
        assert!(figure("requests") > Some(10.0) && figure("p99") > Some(0.0), "{said}");
        assert!(figure("status_400").is_some() && figure("errors") == Some(0.0), "{said}");
        assert_eq!((figure("cpu_us"), figure("batch"), figure("lock_waiters")), (None, None, None));
    }
    assert!(said.contains("≥ 400/s") && !said.contains("CPU µs"), "{said}");
}
