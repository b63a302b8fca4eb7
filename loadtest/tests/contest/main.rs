//! The contest against a service that keeps the rules, and against some that do not: what the
//! script must notice. Each is played with the shortest load that still has every kind of request.

mod standin;

use std::process::Command;

use loadtest::contest::plan::{Operation, Plan};
use loadtest::contest::play::{Session, play};
use loadtest::contest::result::ContestResult;
use loadtest::contest::score::Tally;
use loadtest::contest::target::Target;
use loadtest::k6::K6;
use standin::{Fault, Standin};
use testbed::rundir::RunDir;

/// 633 requests: 123 of the rules, then a second in which the rates rise and one in which they stay.
const SHORT: Plan = Plan { ramp_s: 1, plateau_s: 1 };

async fn played_against(fault: Fault) -> ContestResult {
    let standin = Standin::start(fault).expect("a port is free");
    let directory = RunDir::create().expect("a run directory");
    let session = Session {
        k6: &K6::find(None).expect("k6 is installed"),
        target: Target::new(&standin.url).expect("an address"),
        plan: SHORT,
        database_url: None,
        running: None,
        directory: directory.path(),
    };
    play(&session).await.expect("it can be played")
}

/// How often each fault was found.
fn found(result: &ContestResult) -> Vec<(&str, u64)> {
    let failures = result.summary.failures.iter();
    failures.map(|failure| (failure.what.as_str(), failure.count)).collect()
}

fn tally_of(result: &ContestResult, operation: Operation) -> Tally {
    result.summary.operations[&operation].tally
}

fn expected(operation: Operation) -> u64 {
    SHORT.expected(operation)
}

/// How long a response takes here is the machine's affair, so `slow` is not looked at.
#[tokio::test]
async fn a_service_that_keeps_the_rules_is_right() {
    let result = played_against(Fault::None).await;
    assert_eq!(found(&result), []);
    for &operation in Operation::ALL {
        let responses = result.summary.responses(operation);
        assert!(responses.abs_diff(expected(operation)) <= 1, "{responses} {operation:?}");
    }
    let tally = result.summary.tally();
    assert_eq!((tally.wrong, tally.inconsistent, result.summary.dropped_iterations), (0, 0, 0));
    // 50 of the opening, three for each client, and no credit is ever refused.
    let acknowledged = 50 + 5 * 3 + tally_of(&result, Operation::Credits).right;
    assert!(result.summary.acknowledged >= acknowledged, "{}", result.summary.acknowledged);

    let seconds: u64 = result.timeline.iter().flat_map(|second| second.responses.values()).sum();
    assert_eq!(seconds, tally.total(), "every response came through the stream of samples");
    assert_eq!(result.curves.len(), Operation::ALL.len());
}

#[tokio::test]
async fn a_balance_below_the_limit_is_fined() {
    let result = played_against(Fault::OverLimit).await;
    let debits = tally_of(&result, Operation::Debits);
    assert_eq!((debits.right, debits.slow), (0, 0), "{:?}", found(&result));
    assert!(debits.inconsistent >= expected(Operation::Debits) - 1);
    assert!(result.score.prize_cents < 0);
    // 25 of the opening and one for each client.
    assert!(
        found(&result).contains(&("validations: the balance is below -limit", 30)),
        "{:?}",
        found(&result)
    );
    assert!(result.problems.iter().any(|problem| problem.contains("responses were inconsistent: fined USD")));
}

#[tokio::test]
async fn a_torn_statement_is_fined() {
    let result = played_against(Fault::Torn).await;
    let tally = result.summary.tally();
    // Two of the opening; of each client all but the first statement, of client 1 that one too.
    assert_eq!(tally_of(&result, Operation::Validations).inconsistent, 2 + 5 * 5 + 1);
    assert_eq!(tally.wrong, 0, "{:?}", found(&result));
    assert!(result.score.inconsistency_fine_cents >= 28 * 80_301);
    assert!(!result.problems.is_empty());
}

#[tokio::test]
async fn slow_answers_cost_the_sla() {
    let result = played_against(Fault::Slow).await;
    let tally = result.summary.tally();
    assert_eq!((tally.wrong, tally.inconsistent), (0, 0), "{:?}", found(&result));
    let transactions = expected(Operation::Debits) + expected(Operation::Credits);
    assert!(tally.slow >= transactions / 5, "{tally:?}");
    assert!(result.score.sla_fine_cents > 0 && result.score.inconsistency_fine_cents == 0);
    assert!(result.problems.iter().any(|problem| problem.contains("right and within 250 ms: fined USD")));
}

#[tokio::test]
async fn what_must_be_refused_must_be_refused() {
    let result = played_against(Fault::Lenient).await;
    assert_eq!(found(&result), [("validations: answered 200", 5 * 5)]);
    assert!(result.problems.contains(&"25 responses were wrong".to_owned()), "{:?}", result.problems);
}

#[tokio::test]
async fn a_service_that_is_not_new_is_refused() {
    let standin = Standin::start(Fault::Used).expect("a port is free");
    let url = standin.url.clone();
    let contest = move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        command.args(["contest", "--target", &url]).output()
    };
    let output = tokio::task::spawn_blocking(contest).await.expect("it does not panic").expect("it starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(error.contains("its balance is -25, and the contest begins at zero"), "{error}");
}
