//! What the project wants to reach within the contest's limits, beside what was measured.
//!
//! A goal that compares two cases is judged only where both were run in one comparison, in turn:
//! the machine is another from one hour to the next.

use serde::Serialize;

use super::case::{Case, Mix, Pace};
use super::plan::UNTRACED;
use super::result::{CaseResult, ComparisonResult, Run};
use crate::report::text::{BYTES_PER_MB, grouped};
use testbed::Mode;
use testbed::Profile;

/// A goal and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Goal {
    /// What was measured.
    pub what: String,
    /// The figure, with its unit.
    pub measured: String,
    /// What it should be.
    pub goal: &'static str,
    /// Whether it is.
    pub met: bool,
}

/// The goals that these results can be held against, around `base`.
pub fn judge(results: &[ComparisonResult], base: &Case) -> Vec<Goal> {
    let results = Results { results, base };
    let mut goals = Vec::new();
    goals.extend(results.shipped());
    goals.extend(results.best_of_least_conn());
    goals.extend(results.best(64, &BEST_AT_64));
    goals.extend(results.best(128, &BEST_AT_128));
    // At a given rate there is nothing to compare but time.
    if base.pace == Pace::Saturating {
        goals.extend(results.ratios());
        goals.extend(results.row_locks());
        goals.extend(results.tracing_off());
    }
    goals.extend(results.at_the_contests_rate());
    goals
}

/// One as text, in the columns of [`HEADER`].
pub fn row(goal: &Goal) -> Vec<String> {
    let met = if goal.met { "met" } else { "missed" };
    vec![goal.what.clone(), goal.measured.clone(), goal.goal.to_owned(), met.to_owned()]
}

/// The columns of [`row`].
pub const HEADER: [&str; 4] = ["what", "measured", "goal", ""];

struct Results<'a> {
    results: &'a [ComparisonResult],
    base: &'a Case,
}

/// What a case should reach.
struct Throughput {
    /// Requests per second, at least.
    per_s: f64,
    /// CPU of all services for a request, in microseconds, at most.
    cpu_us: f64,
    words: &'static str,
}

const LEAST_CONN: Throughput =
    Throughput { per_s: 12_000.0, cpu_us: f64::INFINITY, words: "at least 12,000/s" };
const BEST_AT_64: Throughput =
    Throughput { per_s: 15_000.0, cpu_us: 80.0, words: "at least 15,000/s, at most 80 µs" };
const BEST_AT_128: Throughput =
    Throughput { per_s: 20_000.0, cpu_us: 80.0, words: "at least 20,000/s, at most 80 µs" };

impl Throughput {
    fn judge(&self, what: String, case: &CaseResult) -> Goal {
        let (per_s, cpu_us) = (rate(case), cpu(case));
        Goal {
            what,
            measured: format!("{}/s at {cpu_us:.0} µs", whole(per_s)),
            goal: self.words,
            met: per_s >= self.per_s && cpu_us <= self.cpu_us,
        }
    }
}

/// Two cases by their settings, and what their requests per second should be to each other.
const RATIOS: [(&str, &str, &str, &str, std::ops::RangeInclusive<f64>); 6] = [
    ("batched to direct", "mode=batched", "mode=direct", "at least 5", 5.0..=f64::INFINITY),
    (
        "batched to direct, where NGINX has enough",
        "split=0.25/0.25/0.4/0.6",
        "split=0.25/0.25/0.4/0.6,mode=direct",
        "at least 5",
        5.0..=f64::INFINITY,
    ),
    (
        "batched to direct, one connection",
        "mode=batched,connections=1",
        "mode=direct,connections=1",
        "at least 0.9",
        0.9..=f64::INFINITY,
    ),
    ("profile contest to durable", "profile=contest", "profile=durable", "at least 1.1", 1.1..=f64::INFINITY),
    ("one client to five", "clients=1", "clients=5", "0.8 to 1.2", 0.8..=1.2),
    ("100,000 clients to five", "clients=100000", "clients=5", "at least 0.5", 0.5..=f64::INFINITY),
];

impl<'a> Results<'a> {
    fn cases(&self) -> impl Iterator<Item = &'a CaseResult> {
        let cases = self.results.iter().flat_map(|comparison| &comparison.cases);
        cases.filter(|case| !case.runs.is_empty())
    }

    /// The cases with these settings around the base, if one comparison has them all.
    fn together<const N: usize>(&self, settings: [&str; N]) -> Option<[&'a CaseResult; N]> {
        self.results.iter().find_map(|comparison| {
            let find = |settings: &str| {
                let wanted = self.base.with(settings).ok()?;
                comparison.cases.iter().find(|case| case.case == wanted && !case.runs.is_empty())
            };
            let found: Vec<&CaseResult> = settings.into_iter().filter_map(find).collect();
            found.try_into().ok()
        })
    }

    fn shipped(&self) -> Option<Goal> {
        let shipped = Case::default();
        let case = self.cases().find(|case| case.case == shipped)?;
        Some(LEAST_CONN.judge("as shipped, 64 connections".to_owned(), case))
    }

    /// With the balancing that is shipped, at the split that suits it.
    fn best_of_least_conn(&self) -> Option<Goal> {
        let shipped = Case::default().balancing;
        let best = fastest(self.durable(64).filter(|case| case.case.balancing == shipped))?;
        let what = format!("best with {shipped}, durable, 64 connections: {}", best.case.split);
        Some(LEAST_CONN.judge(what, best))
    }

    fn best(&self, connections: u32, wanted: &Throughput) -> Option<Goal> {
        let best = fastest(self.durable(connections))?;
        let Case { split, balancing, .. } = &best.case;
        let what = format!("best, durable, {connections} connections: {split}, {balancing}");
        Some(wanted.judge(what, best))
    }

    /// What can be the best: durable, batched, five clients, the contest's mix as fast as it goes.
    fn durable(&self, connections: u32) -> impl Iterator<Item = &'a CaseResult> {
        self.cases().filter(move |case| {
            let case = &case.case;
            case.mode == Mode::Batched
                && case.profile == Profile::Durable
                && (case.connections, case.clients) == (connections, 5)
                && (case.pace, case.mix) == (Pace::Saturating, Mix::Contest)
        })
    }

    fn ratios(&self) -> Vec<Goal> {
        let goal = |(what, one, other, goal, wanted): &(&str, &str, &str, &'static str, _)| {
            let [one, other] = self.together([one, other])?;
            let ratio = rate(one) / rate(other);
            let wanted: &std::ops::RangeInclusive<f64> = wanted;
            Some(Goal {
                what: (*what).to_owned(),
                measured: format!("{ratio:.2} ({} : {})", whole(rate(one)), whole(rate(other))),
                goal,
                met: wanted.contains(&ratio),
            })
        };
        RATIOS.iter().filter_map(goal).collect()
    }

    fn row_locks(&self) -> Option<Goal> {
        let [batched, direct] = self.together(["mode=batched", "mode=direct"])?;
        let mean = |case: &CaseResult| case.figure(|run| run.waits.row_lock_mean).median;
        let most = |case: &CaseResult| case.figure(|run| f64::from(run.waits.row_lock_max)).most;
        Some(Goal {
            what: "sessions waiting for a row lock, mean and most, batched : direct".to_owned(),
            measured: format!(
                "{:.1}, {:.0} : {:.1}, {:.0}",
                mean(batched),
                most(batched),
                mean(direct),
                most(direct)
            ),
            goal: "at most 1 on average",
            met: mean(batched) <= 1.0,
        })
    }

    fn tracing_off(&self) -> Option<Goal> {
        let [off, compiled_out] = self.together(["", UNTRACED])?;
        let (off, without) = (off.instructions?, compiled_out.instructions?);
        Some(Goal {
            what: "tracing, off, to compiled out: an instance’s instructions".to_owned(),
            measured: format!("{:.4} ({} : {})", off / without, whole(off), whole(without)),
            goal: "at most 1.01",
            met: off / without <= 1.01,
        })
    }

    fn at_the_contests_rate(&self) -> Vec<Goal> {
        let pair = self.together(["mode=batched,pace=contest", "mode=direct,pace=contest"]);
        let Some([batched, direct]) = pair else { return Vec::new() };
        let ms = |case: &CaseResult, of: fn(&Run) -> u64| case.figure(|run| of(run) as f64 / 1_000.0);
        let p99 = |run: &Run| run.load.outcome.latency_us.p99;
        let (ours, others) = (ms(batched, p99).median, ms(direct, p99).median);
        let max = ms(batched, |run| run.load.outcome.latency_us.max).most;
        let bytes = |of: fn(&Run) -> u64| batched.figure(|run| of(run) as f64).most / BYTES_PER_MB as f64;
        let api = bytes(|run| {
            run.services[..2].iter().map(|service| service.anonymous_peak_bytes).max().unwrap_or(0)
        });
        let stack = bytes(|run| {
            run.services.iter().map(|service| service.anonymous_peak_bytes + service.shared_peak_bytes).sum()
        });
        let goal = |what: &str, measured: String, goal, met| Goal {
            what: format!("at the contest’s rate: {what}"),
            measured,
            goal,
            met,
        };
        vec![
            goal("p99", format!("{ours:.1} ms"), "at most 3 ms", ours <= 3.0),
            goal(
                "p99 to that of direct",
                format!("{:.2} ({ours:.1} : {others:.1} ms)", ours / others),
                "at most 1.1",
                ours / others <= 1.1,
            ),
            goal("slowest", format!("{max:.1} ms"), "at most 50 ms", max <= 50.0),
            goal("memory of an instance", format!("{api:.1} MB"), "under 20 MB", api < 20.0),
            goal(
                "memory of the stack, shared buffers included",
                format!("{stack:.0} MB"),
                "under 250 MB",
                stack < 250.0,
            ),
        ]
    }
}

fn fastest<'a>(cases: impl Iterator<Item = &'a CaseResult>) -> Option<&'a CaseResult> {
    cases.max_by(|one, other| rate(one).total_cmp(&rate(other)))
}

fn rate(case: &CaseResult) -> f64 {
    case.figure(Run::requests_per_s).median
}

fn cpu(case: &CaseResult) -> f64 {
    case.figure(Run::cpu_us_per_request).median
}

fn whole(value: f64) -> String {
    grouped(value.round().max(0.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::result::tests::case;

    fn comparison(cases: &[(&str, u64)]) -> ComparisonResult {
        let cases = cases.iter().map(|(settings, per_s)| case(settings, *per_s));
        ComparisonResult { title: "Test".to_owned(), cases: cases.collect() }
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        assert_eq!(judge(&[], &Case::default()), []);
    }

    #[test]
    fn goals_are_judged_within_one_comparison() {
        let together = comparison(&[("mode=direct", 1_000), ("mode=batched", 6_000)]);
        let goals = judge(&[together], &Case::default());
        let find = |what: &str| goals.iter().find(|goal| goal.what.contains(what)).expect(what);
        assert!(find("batched to direct").met);
        assert_eq!(find("batched to direct").measured, "6.00 (6,000 : 1,000)");
        assert!(!find("as shipped").met);

        let apart = [comparison(&[("mode=direct", 1_000)]), comparison(&[("mode=batched", 6_000)])];
        let goals = judge(&apart, &Case::default());
        assert!(goals.iter().all(|goal| !goal.what.contains("to direct")), "{goals:?}");
    }

    #[test]
    fn the_best_is_named_of_the_shipped_balancing_and_of_any() {
        let splits = comparison(&[
            ("", 10_000),
            ("split=0.25/0.25/0.45/0.55", 13_000),
            ("split=0.25/0.25/0.42/0.58,balancing=layer4", 16_000),
            ("split=0.25/0.25/0.45/0.55,profile=contest", 20_000),
        ]);
        let goals = judge(&[splits], &Case::default());
        let find = |what: &str| goals.iter().find(|goal| goal.what.starts_with(what)).expect(what);
        assert!(!find("as shipped").met);
        for (what, named, measured) in [
            ("best with least_conn", "0.25/0.25/0.45/0.55", "13,000/s"),
            ("best, durable, 64", "0.25/0.25/0.42/0.58, layer4", "16,000/s"),
        ] {
            let best = find(what);
            assert!(best.met && best.what.contains(named) && best.measured.starts_with(measured), "{best:?}");
        }
    }

    #[test]
    fn what_tracing_costs_is_judged_where_it_was_counted() {
        let mut tracing = comparison(&[(UNTRACED, 5_000), ("", 5_000)]);
        let goal = |tracing: &ComparisonResult| {
            let goals = judge(std::slice::from_ref(tracing), &Case::default());
            goals.into_iter().find(|goal| goal.what.starts_with("tracing"))
        };
        assert_eq!(goal(&tracing), None);
        tracing.cases[0].instructions = Some(80_000.0);
        tracing.cases[1].instructions = Some(80_400.0);
        let counted = goal(&tracing).expect("both were counted");
        assert_eq!((counted.measured.as_str(), counted.met), ("1.0050 (80,400 : 80,000)", true));
        tracing.cases[1].instructions = Some(81_000.0);
        assert!(!goal(&tracing).expect("both were counted").met);
    }
}
