//! A run, complete: what was played, what came of it, what it cost, and whether it will do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::costs::{ServiceCost, killed};
use super::live::{Point, Second};
use super::plan::{Operation, Plan};
use super::score::{Score, usd};
use super::summary::Summary;
use crate::report::text::grouped;
use crate::stalls::Stalls;
use testbed::check::Books;

/// How far the number of requests may be from the plan's. k6 places each start on a real clock
/// and may lose one of an operation to rounding.
const COUNT_TOLERANCE: u64 = 5;

/// Everything about one run; `result.json` is this.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContestResult {
    /// Under which conditions it was played.
    pub conditions: Conditions,
    /// The load.
    pub plan: Plan,
    /// The official score.
    pub score: Score,
    /// What is wrong, one sentence each. A run with any of them has failed.
    pub problems: Vec<String>,
    /// What k6 saw.
    pub summary: Summary,
    /// What each service used; empty for a stack that something else started.
    pub services: Vec<ServiceCost>,
    /// CPU that k6 used, in seconds.
    pub k6_cpu_s: f64,
    /// What the database held afterwards, where it could be asked.
    pub books: Option<Audit>,
    /// Second by second.
    pub timeline: Vec<Second>,
    /// How the response times are distributed.
    pub curves: BTreeMap<Operation, Vec<Point>>,
    /// What slow answers waited for; older results do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalls: Option<Stalls>,
}

/// Under which conditions a run was played.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conditions {
    /// When it began: RFC 3339, UTC.
    pub started_at: String,
    /// The address that was played against.
    pub url: String,
    /// The stack, where this run started it.
    pub stack: Option<StackConditions>,
    /// Seconds until the service answered.
    pub ready_s: f64,
    /// The version of k6.
    pub k6: String,
    /// CPUs of the machine, which k6 and the service share.
    pub machine_cpus: usize,
}

/// How the stack was set up; the words are those of the command line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StackConditions {
    /// `direct`, `serial` or `batched`.
    pub mode: String,
    /// `durable` or `contest`.
    pub profile: String,
    /// How NGINX balances.
    pub balancing: String,
    /// CPUs of the two instances, NGINX and PostgreSQL.
    pub cpus: String,
    /// Whether the kernel enforced these and the memory limits.
    pub envelope: bool,
    /// What the data is on, and how long an fsync takes there.
    pub disk: String,
    /// What is in the figures and is not the stack's, where something is known to be.
    #[serde(default)]
    pub caveat: Option<String>,
}

/// The books after a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Audit {
    /// What the database held.
    pub books: Books,
    /// Transactions that the run added.
    pub new_rows: u64,
}

impl ContestResult {
    /// Looks for everything that must not be: fines, wrong answers, a load that was not the
    /// planned one, books that do not add up. Sets [`ContestResult::problems`].
    pub fn judge(&mut self) {
        let (tally, dropped) = (self.summary.tally(), self.summary.dropped_iterations);
        let (score, sent, expected) = (Score::of(&tally), tally.total(), self.plan.expected_total());
        let wrong = [
            (
                score.sla_fine_cents > 0,
                format!(
                    "only {:.2}% of the responses were right and within 250 ms: fined {}",
                    score.right_and_fast_percent,
                    usd(score.sla_fine_cents)
                ),
            ),
            (
                tally.inconsistent > 0,
                format!(
                    "{} responses were inconsistent: fined {}",
                    grouped(tally.inconsistent),
                    usd(score.inconsistency_fine_cents)
                ),
            ),
            // A few are not fined, but no correct service gives any.
            (tally.wrong > 0, format!("{} responses were wrong", grouped(tally.wrong))),
            (
                sent.abs_diff(expected) > COUNT_TOLERANCE,
                format!(
                    "{} requests were answered instead of {}: this was not the contest's load",
                    grouped(sent),
                    grouped(expected)
                ),
            ),
            (
                dropped > 0,
                format!("k6 dropped {} requests that it could not start in time", grouped(dropped)),
            ),
        ];
        let wrong = wrong.into_iter().filter_map(|(is_so, what)| is_so.then_some(what));
        self.score = score;
        self.problems = wrong.chain(self.bookkeeping()).chain(killed(&self.services)).collect();
    }

    fn bookkeeping(&self) -> Vec<String> {
        let Some(Audit { books, new_rows }) = &self.books else { return Vec::new() };
        let Summary { acknowledged, outcome_unknown, .. } = self.summary;
        let rows = Books::problem_of_rows(*new_rows, acknowledged, outcome_unknown);
        books.problems().into_iter().chain(rows).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::contest::score::Tally;
    use crate::contest::summary::Outcome;
    use crate::latency::Latency;

    /// Returns a full run without a fault.
    pub(in crate::contest) fn flawless() -> ContestResult {
        let times = Latency { p50: 1.2, p95: 2.4, p98: 2.9, p99: 3.4, max: 41.0 };
        let outcome = |operation| Outcome {
            tally: Tally { right: Plan::FULL.expected(operation), ..Tally::default() },
            response_time_ms: times,
        };
        let mut result = ContestResult {
            conditions: Conditions {
                started_at: "2026-01-02T03:04:05Z".into(),
                url: "http://127.0.0.1:9999".into(),
                stack: None,
                ready_s: 0.1,
                k6: "v1.1.0".into(),
                machine_cpus: 2,
            },
            plan: Plan::FULL,
            score: Score::of(&Tally::default()),
            problems: Vec::new(),
            summary: Summary {
                operations: Operation::ALL.iter().map(|one| (*one, outcome(*one))).collect(),
                response_time_ms: times,
                acknowledged: 45_000,
                ..Summary::default()
            },
            services: Vec::new(),
            k6_cpu_s: 31.0,
            books: Some(Audit {
                books: Books { rows: 45_000, clients: 5, faults: vec![] },
                new_rows: 45_000,
            }),
            timeline: Vec::new(),
            curves: BTreeMap::new(),
            stalls: None,
        };
        result.judge();
        result
    }

    fn problems_after(change: impl FnOnce(&mut ContestResult)) -> String {
        let mut result = flawless();
        change(&mut result);
        result.judge();
        result.problems.join("; ")
    }

    fn debits(result: &mut ContestResult) -> &mut Tally {
        let outcome = result.summary.operations.get_mut(&Operation::Debits).expect("it has debits");
        &mut outcome.tally
    }

    #[test]
    fn a_flawless_run_has_no_problem() {
        assert_eq!(problems_after(|_| ()), "");
    }

    #[test]
    fn everything_that_must_not_be_is_named() {
        type Change = fn(&mut ContestResult);
        let cases: [(Change, &str); 8] = [
            (|run| debits(run).slow = 5_000, "% of the responses were right and within 250 ms: fined USD "),
            (|run| debits(run).inconsistent = 2, "2 responses were inconsistent: fined USD 1,606.02"),
            (|run| debits(run).wrong = 1, "1 responses were wrong"),
            (|run| debits(run).right -= 6, "61,497 requests were answered instead of 61,503"),
            (|run| run.summary.dropped_iterations = 3, "k6 dropped 3 requests"),
            (
                |run| run.summary.acknowledged += 1,
                "1 transactions were acknowledged and are not in the database",
            ),
            (
                |run| {
                    let service = "nginx".to_owned();
                    run.services.push(ServiceCost { service, oom_kills: 2, ..ServiceCost::default() });
                },
                "2 of nginx's processes were killed at its memory limit",
            ),
            (|run| run.summary.acknowledged -= 1, "45000 rows in the database, but only 44999 acknowledged"),
        ];
        for (change, says) in cases {
            let problems = problems_after(change);
            assert!(problems.contains(says), "{problems:?} lacks {says:?}");
        }
    }

    #[test]
    fn a_few_requests_more_or_less_are_the_same_load() {
        assert_eq!(problems_after(|run| debits(run).right -= 5), "");
        assert_eq!(problems_after(|run| debits(run).right += 5), "");
    }

    #[test]
    fn a_few_slow_ones_are_not_fined() {
        assert_eq!(
            problems_after(|run| *debits(run) = Tally { right: 38_660, slow: 1_000, ..Tally::default() }),
            ""
        );
    }

    #[test]
    fn it_survives_json() {
        let text = serde_json::to_string(&flawless()).expect("JSON");
        let back: ContestResult = serde_json::from_str(&text).expect("the same JSON");
        assert_eq!(back.summary, flawless().summary);
    }
}
