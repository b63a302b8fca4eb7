//! What came of a measurement: everything that its page, its tables and its charts are made from.
//! `results.json` is a [`Measurement`], so that all of them can be written again from it.

mod run;

pub use run::{Run, ServiceUse};

use serde::{Deserialize, Deserializer, Serialize};

/// The file that everything else can be written from again.
pub const RESULTS: &str = "results.json";

/// A measurement, made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// The declared file's name without its ending: `hot`.
    pub name: String,
    /// What was measured, in a few words.
    pub title: String,
    /// The question; empty where none is asked.
    pub question: String,
    /// The answer's template, see the `formula` module.
    pub answer: String,
    /// What was expected, to be held against the data.
    pub expectations: Vec<Expectation>,
    /// Under which conditions it was measured.
    pub conditions: Conditions,
    /// The comparisons: the cases of each were run in turn.
    pub comparisons: Vec<Comparison>,
    /// Why runs are missing; empty where none is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unfinished: String,
}

/// Something that is expected of the data.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// In words, a template.
    pub says: String,
    /// Conditions on the data, all of which are to hold, see the `formula` module.
    #[serde(deserialize_with = "one_or_several")]
    pub holds: Vec<String>,
    /// The measured figures, a template; the conditions say them where it is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub measured: String,
    /// What is expected of them, in words; the conditions say it where it is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub goal: String,
    /// A setting without which in the base it is not asked, such as `connections` of a load that saturates.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub given: String,
}

/// Under which conditions it was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Conditions {
    /// When it began: RFC 3339, UTC.
    pub started_at: String,
    /// How long it took, in seconds.
    pub took_s: f64,
    /// The machine, which the load generator shares.
    pub machine: String,
    /// PostgreSQL, NGINX, the generators, guiche.
    pub versions: Vec<String>,
    /// The repository's commit, and whether something was changed since; empty where that is not known.
    #[serde(default)]
    pub commit: String,
    /// What the data is on, and how long an fsync takes there.
    pub disk: String,
    /// CPU of the four services, and who runs where: one sentence.
    pub envelope: String,
    /// What all cases have in common unless they say otherwise.
    pub base: Vec<(String, String)>,
    /// The declared file's own base, where the command line changed it; what is shipped.
    pub shipped: Vec<(String, String)>,
    /// Rounds.
    pub rounds: u32,
    /// Seconds of load before the measured interval, unless a comparison has its own.
    pub warm_up_s: u64,
    /// Seconds of the measured interval, unless a comparison has its own.
    pub measured_s: u64,
}

/// Cases that were run in turn, round after round.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// What is compared.
    pub title: String,
    /// Two axes where the cases are every value of the first with every value of the second, in this
    /// order: the horizontal one and what lines are told apart by.
    pub axes: Option<[Axis; 2]>,
    /// The cases.
    pub cases: Vec<Case>,
}

/// An axis and its values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Axis {
    /// What it measures, with its unit: `clients`.
    pub label: String,
    /// Its values, as they are shown: `1`, `5`, `1000`.
    pub values: Vec<String>,
}

/// One case, over all rounds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Case {
    /// What tells it from the others.
    pub label: String,
    /// All its settings.
    pub settings: Vec<(String, String)>,
    /// One run for each round in which it could be run.
    pub runs: Vec<Run>,
    /// Why runs failed that are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

impl Measurement {
    /// Returns all cases, each with the comparison that it is in.
    pub fn cases(&self) -> impl Iterator<Item = (&Comparison, &Case)> {
        self.comparisons
            .iter()
            .flat_map(|comparison| comparison.cases.iter().map(move |case| (comparison, case)))
    }

    /// Returns what one round alone would have given.
    pub(super) fn of_round(&self, round: u32) -> Measurement {
        let comparisons = self.comparisons.iter().map(|comparison| comparison.of_round(round));
        Measurement { comparisons: comparisons.collect(), ..self.clone() }
    }

    /// Returns everything that makes the command fail, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let of_case = |(_, case): (&Comparison, &Case)| {
            let of_runs = case.runs.iter().flat_map(|run| &run.problems);
            let all = of_runs.chain(&case.failures).map(|problem| format!("{}: {problem}", case.label));
            all.collect::<Vec<_>>()
        };
        self.cases().flat_map(of_case).collect()
    }
}

impl Comparison {
    /// Returns what one round alone would have given.
    pub(super) fn of_round(&self, round: u32) -> Comparison {
        let mut one = self.clone();
        one.cases.iter_mut().for_each(|case| case.runs.retain(|run| run.round == round));
        one
    }

    /// Returns the place of a case: its values on the axes, or its label.
    pub fn place(&self, case: usize) -> Vec<&str> {
        match &self.axes {
            Some([x, series]) => {
                let count = series.values.len().max(1);
                [(x, case / count), (series, case % count)]
                    .map(|(axis, index)| axis.values.get(index).map_or("?", String::as_str))
                    .into()
            }
            None => vec![&self.cases[case].label],
        }
    }

    /// Returns the case with these indices on the axes.
    pub fn point(&self, x: usize, series: usize) -> Option<&Case> {
        let [_, of_series] = self.axes.as_ref()?;
        self.cases.get(x * of_series.values.len() + series)
    }
}

impl Case {
    /// Returns whether it was run in this round.
    pub fn has_round(&self, round: u32) -> bool {
        self.runs.iter().any(|run| run.round == round)
    }

    /// Returns whether it could not be run even once.
    pub fn is_hopeless(&self) -> bool {
        self.runs.is_empty() && !self.failures.is_empty()
    }

    /// Returns the runs that say something about the service.
    pub fn valid(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.invalid.is_none())
    }

    /// Returns one of its settings; empty where it has none of that name.
    pub fn setting(&self, name: &str) -> &str {
        self.settings.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Returns whether something else than the service and its limits may have set the pace of a run.
    pub fn is_limited_from_outside(&self) -> bool {
        self.runs.iter().any(|run| run.limited_from_outside)
    }
}

fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a condition or a list of them")]
    enum Conditions {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Conditions::deserialize(deserializer)? {
        Conditions::One(condition) => vec![condition],
        Conditions::Several(conditions) => conditions,
    })
}

#[cfg(test)]
mod tests {
    use crate::measure::fixture::{bench, experiment};

    #[test]
    fn wrong_books_and_failures_are_problems_and_invalid_runs_are_none() {
        let mut result = experiment();
        let found = result.problems();
        assert!(found.iter().any(|problem| problem.contains("the balance of client 1")), "{found:?}");
        for case in &mut result.comparisons[0].cases {
            case.failures.clear();
            case.runs.iter_mut().for_each(|run| run.problems.clear());
        }
        assert!(result.cases().flat_map(|(_, case)| &case.runs).any(|run| run.invalid.is_some()));
        assert_eq!(result.problems(), Vec::<String>::new());
    }

    #[test]
    fn problems_name_their_case() {
        let mut result = bench(&[&[("mode=direct", 1)]]);
        assert_eq!(result.problems().len(), 0);
        result.comparisons[0].cases[0].runs[1].problems.push("a row is missing".into());
        result.comparisons[0].cases[0].failures.push("wrk failed".into());
        assert_eq!(result.problems(), ["mode=direct: a row is missing", "mode=direct: wrk failed"]);
    }
}
