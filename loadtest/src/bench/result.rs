//! What came of the runs.

use serde::Serialize;

use super::case::Case;
use super::load::Outcome;
use crate::sampler::Waits;
use testbed::scrape::Work;

/// The share of one core from which the load generator is held to have been the limit.
const GENERATOR_BUSY: f64 = 0.8;

/// The share of the machine's CPU time below which it had nothing left to give.
const MACHINE_FULL: f64 = 0.03;

/// One run of one case.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// What the load generator says.
    pub load: LoadRun,
    /// The services, in the order of the split.
    pub services: Vec<ServiceRun>,
    /// What both instances counted.
    pub work: Work,
    /// PostgreSQL's sessions.
    pub waits: Waits,
    /// The share of the machine's CPU time that nobody wanted.
    pub idle_share: f64,
    /// What the data is on, and how long an fsync took there before the run.
    pub disk: String,
    /// PostgreSQL's version.
    pub postgres: String,
    /// Rows in the database at the end, the warm-up included.
    pub rows: u64,
    /// What is wrong with the books, one sentence each.
    pub problems: Vec<String>,
}

/// What the load generator says, and what it used.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LoadRun {
    /// Its own words.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The CPU that it used, as a share of one core.
    pub cpu_share: f64,
}

/// One service during the measured interval.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ServiceRun {
    /// Its name.
    pub service: String,
    /// CPU for each request of the load, in microseconds.
    pub cpu_us_per_request: f64,
    /// CPUs that it used, on average.
    pub cpu_share: f64,
    /// The share of slices of 100 ms in which its quota was used up.
    pub throttled_share: f64,
    /// The most anonymous memory that it had.
    pub anonymous_peak_bytes: u64,
    /// The most shared memory that it had.
    pub shared_peak_bytes: u64,
    /// Processes killed at the memory limit.
    pub oom_kills: u64,
}

impl Run {
    /// Requests answered per second.
    pub fn requests_per_s(&self) -> f64 {
        self.per_s(self.load.outcome.requests)
    }

    /// A count of the measured interval, per second.
    pub fn per_s(&self, count: u64) -> f64 {
        count as f64 * 1e6 / self.load.outcome.duration_us as f64
    }

    /// CPU of all services for each request, in microseconds.
    pub fn cpu_us_per_request(&self) -> f64 {
        self.services.iter().map(|service| service.cpu_us_per_request).sum()
    }

    /// Answers that are neither right nor 422, those that the load balancer gave included, and
    /// what else failed. An answer that the generator no longer waited for at its end is in the
    /// instances' count and not in the generator's.
    pub fn errors(&self) -> u64 {
        let outcome = self.load.outcome;
        let not_success = self.work.answers.iter().filter(|(status, _)| **status >= 400);
        let of_instances: u64 = not_success.map(|(_, count)| count).sum();
        self.work.errors() + outcome.not_success.saturating_sub(of_instances) + outcome.failures
    }

    /// Whether the load generator, or a machine with nothing left to give, may have set the pace
    /// instead of the service and its limits.
    pub fn is_limited_from_outside(&self) -> bool {
        let at_its_limit = self.services.iter().any(|service| service.throttled_share > 0.5);
        self.load.cpu_share > GENERATOR_BUSY || (self.idle_share < MACHINE_FULL && !at_its_limit)
    }
}

/// All runs of one case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseResult {
    /// What tells it from the base.
    pub label: String,
    /// The case.
    pub case: Case,
    /// One run for each round.
    pub runs: Vec<Run>,
    /// An instance's own instructions for a transaction that is alone, where they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<f64>,
    /// Why runs failed that are missing.
    pub failures: Vec<String>,
}

/// The cases of one comparison.
#[derive(Clone, Debug, Serialize)]
pub struct ComparisonResult {
    /// What was compared.
    pub title: String,
    /// The cases, as they were run in turn.
    pub cases: Vec<CaseResult>,
}

impl CaseResult {
    /// One that has not been run yet.
    pub fn new(label: impl Into<String>, case: Case) -> CaseResult {
        CaseResult { label: label.into(), case, runs: Vec::new(), instructions: None, failures: Vec::new() }
    }

    /// Everything that makes the benchmark fail, one sentence each.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        let of_runs = self.runs.iter().flat_map(|run| &run.problems);
        of_runs.chain(&self.failures).map(|problem| format!("{}: {problem}", self.label))
    }

    /// The median of a figure over the rounds, and its smallest and largest value.
    pub fn figure(&self, of: impl Fn(&Run) -> f64) -> Figure {
        Figure::of(self.runs.iter().map(of).collect())
    }
}

/// A figure over several rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figure {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Figure {
    /// Of one value for each round; all zero without any.
    pub fn of(mut values: Vec<f64>) -> Figure {
        values.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (values.first(), values.last()) else { return Figure::default() };
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Figure { median, least: *least, most: *most }
    }

    /// How far the rounds are apart, as a share of the median.
    pub fn spread(&self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.most - self.least) / self.median }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A case of these settings with some runs in which `per_s` requests were answered.
    pub(in crate::bench) fn case(settings: &str, per_s: u64) -> CaseResult {
        let mut run = run();
        run.load.outcome.requests = per_s;
        let case = settings.parse().expect("settings");
        CaseResult { runs: vec![run.clone(), run], ..CaseResult::new(settings, case) }
    }

    /// A run in which little happened.
    fn run() -> Run {
        let outcome = Outcome { requests: 1_000, duration_us: 1_000_000, ..Outcome::default() };
        Run {
            load: LoadRun { outcome, cpu_share: 0.2 },
            services: Vec::new(),
            work: Work::default(),
            waits: Waits::default(),
            idle_share: 0.1,
            disk: String::new(),
            postgres: String::new(),
            rows: 0,
            problems: Vec::new(),
        }
    }

    #[test]
    fn problems_name_their_case() {
        let mut case = case("mode=direct", 1);
        assert_eq!(case.problems().count(), 0);
        case.runs[1].problems.push("a row is missing".into());
        case.failures.push("wrk failed".into());
        let problems: Vec<String> = case.problems().collect();
        assert_eq!(problems, ["mode=direct: a row is missing", "mode=direct: wrk failed"]);
    }

    #[test]
    fn refusals_are_no_errors() {
        let mut run = run();
        run.work.answers = [(200, 900), (422, 90), (503, 4)].into();
        // Two of what the instances answered came too late for wrk; five came from NGINX.
        run.load.outcome = Outcome { not_success: 92 + 5, failures: 3, ..Outcome::default() };
        assert_eq!(run.errors(), 4 + 3 + 3);
        run.load.outcome.not_success = 90;
        assert_eq!(run.errors(), 4 + 3);
    }

    #[test]
    fn a_limit_from_outside_is_noticed() {
        let mut run = run();
        assert!(!run.is_limited_from_outside());
        run.idle_share = 0.01;
        assert!(run.is_limited_from_outside());
        run.services.push(ServiceRun { throttled_share: 0.9, ..ServiceRun::default() });
        assert!(!run.is_limited_from_outside());
        run.load.cpu_share = 0.9;
        assert!(run.is_limited_from_outside());
    }

    #[test]
    fn a_figure_has_a_median_and_a_spread() {
        let figure = Figure::of(vec![30.0, 10.0, 20.0]);
        assert_eq!(figure, Figure { median: 20.0, least: 10.0, most: 30.0 });
        assert_eq!(figure.spread(), 1.0);
        assert_eq!(Figure::of(vec![4.0, 2.0]).median, 3.0);
        assert_eq!(Figure::of(Vec::new()), Figure::default());
        assert_eq!(Figure::of(vec![0.0]).spread(), 0.0);
    }
}
