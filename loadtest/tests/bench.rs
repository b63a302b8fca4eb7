//! One short run of the benchmark, from the load to the books, and one short count.

use std::time::Duration;

use loadtest::bench::case::Case;
use loadtest::bench::instructions::Callgrind;
use loadtest::bench::load::Generators;
use loadtest::bench::measure::{self, Times};
use loadtest::bench::wrk::Wrk;

#[tokio::test]
async fn a_run_tells_what_it_did_and_its_books_are_right() {
    let Ok(wrk) = Wrk::find() else { return eprintln!("skipped, there is no wrk") };
    let generators = Generators { wrk, k6: None };
    let case = Case { connections: 8, clients: 50, ..Case::default() };
    let times = Times { warm_up: Duration::from_secs(1), measured: Duration::from_secs(1) };
    let run = match measure::run(&case, &generators, times, 0).await {
        Err(error) if error.to_string().contains("NOT enforced") => return eprintln!("skipped: {error}"),
        run => run.expect("it runs"),
    };
    assert_eq!(run.problems, Vec::<String>::new());
    assert_eq!(run.errors(), 0, "{run:?}");
    assert!(run.load.outcome.requests > 100, "{run:?}");
    assert!(run.work.accepted > 0 && run.work.accepted <= run.rows, "{run:?}");
    assert_eq!(run.work.refused, 0, "limits are large where there are more than the contest's clients");
    assert!(run.work.statements > 0 && run.work.calls > 0, "{run:?}");
    assert!(run.services.iter().all(|service| service.cpu_us_per_request > 0.0), "{run:?}");
    assert!(run.waits.samples > 0, "{run:?}");
}

#[tokio::test]
async fn instructions_tell_a_trace_from_none() {
    let Ok(callgrind) = Callgrind::find() else { return eprintln!("skipped, there is no valgrind") };
    let count = async |settings: &str| {
        let case = Case { ..settings.parse().expect("settings") };
        callgrind.count(&case, [2, 12]).await.expect("it counts")
    };
    let (off, on) = (count("").await, count("TRACE={dir}/{instance}.jsonl").await);
    assert!(off > 10_000.0, "{off} instructions for a transaction");
    assert!(on > off, "{on} instructions with a trace, {off} without");
}
