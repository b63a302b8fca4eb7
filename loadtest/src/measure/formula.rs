//! The formulas in which a declared file gives its answer and what it expects, so that both are computed
//! from the data: [minijinja](https://docs.rs/minijinja)'s, with the figures as functions.
//!
//! ```text
//! batched gives {{ goodput("batched", 1) }} answers/s: {{ (goodput("batched", 1) / goodput("direct", 1)) | times }} times direct
//! ```
//!
//! | formula                      | value                                                                 |
//! | ---------------------------- | --------------------------------------------------------------------- |
//! | `FIGURE(SERIES, X)`          | the median of that point, where the cases are on two axes             |
//! | `FIGURE(SETTINGS)`           | the median of the case with these settings in addition to the base    |
//! | `most("FIGURE", …)`          | the largest of the rounds; what follows is that of `FIGURE(…)`        |
//! | `max("FIGURE", SERIES)`, `min` | the largest and smallest median of that series, over all x          |
//! | `argmax("FIGURE", SERIES)`, `argmin` | the x at which it is                                          |
//! | `fastest(SETTINGS).NAME`     | a figure or a setting of the case with the most requests per second of all with these settings whose books were checked |
//! | `shipped.NAME`               | the same of the case with the declared file's own base                |
//!
//! `FIGURE` is a name of [`FIGURES`](super::figures::FIGURES). A number is shown with three digits; the filters `times`, `whole`
//! and `fixed(DIGITS)` show it as a factor, without a fraction, with so many digits behind the point.
//! A condition is `FORMULA OP NUMBER`, where `OP` is one of `>=`, `<=`, `>`, `<`.
//!
//! Whether a condition holds is told by the rounds, see the `rounds` module; a largest of the rounds (`most`) is
//! what it is.
//!
//! Only valid runs count. A point without any gives "(no valid figure)", and a condition that rests on it
//! cannot be told. The extremes skip such points. In a measurement of several comparisons, a condition is
//! judged within the first of them that has all its cases: the machine is another from one hour to the next.

mod functions;
mod rounds;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::result::{Axis, Comparison, Expectation, Measurement};
use crate::report::text::significant;
use functions::Formulas;
use rounds::Told;
pub(super) use rounds::ratio;

/// What is said where there is nothing to say.
const NOTHING: &str = "(no valid figure)";

/// Whether an expectation held.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The expectation in words.
    pub says: String,
    /// What was measured.
    pub measured: String,
    /// What was expected.
    pub goal: String,
    /// `None`: it cannot be told.
    pub held: Option<bool>,
    /// Why it cannot be told although it was measured, or what it rests on; empty where there is nothing to say.
    pub doubt: String,
}

/// Refuses an answer that cannot be filled in whatever the data: unknown figures and labels, and what is
/// no formula.
///
/// # Errors
/// Those; the message names the formula.
pub fn check_answer(template: &str, result: &Measurement) -> Result<()> {
    for comparison in &result.comparisons {
        Formulas::of(result, comparison).text(template)?;
    }
    Ok(())
}

/// Does the same for an expectation.
///
/// # Errors
/// As for [`check_answer`], and when a condition is not `FORMULA OP NUMBER`.
pub fn check_expectation(expectation: &Expectation, result: &Measurement) -> Result<()> {
    ensure!(!expectation.says.trim().is_empty(), "says is empty");
    for comparison in &result.comparisons {
        let formulas = Formulas::of(result, comparison);
        formulas.text(&expectation.says)?;
        formulas.text(&expectation.measured)?;
        for condition in &expectation.holds {
            Condition::parse(condition)?.measure(&formulas, comparison.axes.as_ref())?;
        }
    }
    Ok(())
}

/// Returns the answer with its figures.
///
/// # Errors
/// When the template does not fit the measurement.
pub fn answer(result: &Measurement) -> Result<String> {
    match result.comparisons.first() {
        Some(comparison) => Formulas::of(result, comparison).text(&result.answer),
        None => Ok(result.answer.clone()),
    }
}

/// Returns what became of the expectations; those whose base is another are left out.
pub fn verdicts(result: &Measurement) -> Vec<Verdict> {
    let played: Vec<Played<'_>> = result.comparisons.iter().map(|one| Played::of(result, one)).collect();
    let asked = result.expectations.iter().filter(|one| result.is_given(&one.given));
    asked.map(|one| judge(one, &played).unwrap_or_else(|error| unknown(one, format!("{error:#}")))).collect()
}

/// A comparison as formulas see it: all of it, and each of its rounds alone.
struct Played<'a> {
    axes: Option<&'a [Axis; 2]>,
    formulas: Formulas,
    rounds: Vec<Formulas>,
}

impl<'a> Played<'a> {
    fn of(result: &Measurement, comparison: &'a Comparison) -> Played<'a> {
        let rounds = comparison.cases.iter().flat_map(|case| case.valid().map(|run| run.round));
        let rounds: BTreeSet<u32> = rounds.collect();
        let alone = |round| Formulas::of(&result.of_round(round), &comparison.of_round(round));
        Played {
            axes: comparison.axes.as_ref(),
            formulas: Formulas::of(result, comparison),
            rounds: rounds.into_iter().map(alone).collect(),
        }
    }
}

/// Judges it within the first comparison that can tell.
fn judge(expectation: &Expectation, played: &[Played<'_>]) -> Result<Verdict> {
    let conditions = expectation.holds.iter().map(|text| Condition::parse(text));
    let conditions = conditions.collect::<Result<Vec<Condition<'_>>>>()?;
    let bounds: Vec<String> =
        conditions.iter().map(|one| format!("{} {}", one.operator, one.bound)).collect();
    let mut verdict = unknown(expectation, String::new());
    for comparison in played {
        let values = conditions.iter().map(|one| one.measure(&comparison.formulas, comparison.axes));
        let values = values.collect::<Result<Vec<Option<f64>>>>()?;
        let told = values
            .iter()
            .zip(&conditions)
            .map(|(value, one)| value.map(|value| one.judge(value, comparison)).transpose());
        let told = told.collect::<Result<Option<Vec<Told>>>>()?;
        let told = told.and_then(|all| all.into_iter().reduce(Told::and));
        let shown = values.iter().map(|value| value.map_or("no valid figure".to_owned(), significant));
        let or = |text: &str, otherwise: String| match text {
            "" => Ok(otherwise),
            text => comparison.formulas.text(text),
        };
        verdict = Verdict {
            says: comparison.formulas.text(&expectation.says)?,
            measured: or(&expectation.measured, shown.collect::<Vec<_>>().join(", "))?,
            goal: or(&expectation.goal, bounds.join(", "))?,
            held: told.and_then(Told::held),
            doubt: told.map_or(String::new(), Told::doubt),
        };
        if told.is_some() {
            break;
        }
    }
    Ok(verdict)
}

fn unknown(expectation: &Expectation, measured: String) -> Verdict {
    let Expectation { says, goal, .. } = expectation.clone();
    Verdict { says, measured, goal, held: None, doubt: String::new() }
}

impl Measurement {
    /// Returns whether the base has this setting; it has none of an empty name, which is asked of all.
    fn is_given(&self, setting: &str) -> bool {
        setting.is_empty() || self.conditions.base.iter().any(|(key, _)| key == setting)
    }
}

struct Condition<'a> {
    text: &'a str,
    formula: &'a str,
    operator: &'static str,
    bound: f64,
}

impl<'a> Condition<'a> {
    fn parse(text: &'a str) -> Result<Condition<'a>> {
        let parsed = || {
            // The number is last, the operator before it; a label may contain either.
            let (rest, bound) =
                text.trim().rsplit_once(char::is_whitespace).context("no number at its end")?;
            let (formula, operator) =
                rest.trim_end().rsplit_once(char::is_whitespace).context("no operator")?;
            let operator = [">=", "<=", ">", "<"].into_iter().find(|one| *one == operator);
            let operator = operator.context("the last word but one is to be >=, <=, > or <")?;
            let bound: f64 = bound.parse().with_context(|| format!("{bound:?} is not a number"))?;
            anyhow::Ok(Condition { text, formula: formula.trim(), operator, bound })
        };
        parsed().with_context(|| format!("the condition {text:?}"))
    }

    /// Returns the value of its formula; nothing where it is not known.
    fn measure(&self, formulas: &Formulas, axes: Option<&[Axis; 2]>) -> Result<Option<f64>> {
        formulas.measure(self.formula, axes).with_context(|| format!("the condition {:?}", self.text))
    }

    /// Judges it by what its formula is in each round in which it has a value.
    fn judge(&self, median: f64, comparison: &Played<'_>) -> Result<Told> {
        let holds = |value| self.holds(value);
        if self.formula.contains("most(") {
            return Ok(Told::Clearly(holds(median)));
        }
        let values = comparison.rounds.iter().map(|round| self.measure(round, comparison.axes));
        let values: Vec<f64> = values.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        Ok(rounds::judge(&values, median, self.bound, &holds))
    }

    /// Compares the value itself: rounded, a miss could look like a hit.
    fn holds(&self, value: f64) -> bool {
        match self.operator {
            ">=" => value >= self.bound,
            "<=" => value <= self.bound,
            ">" => value > self.bound,
            _ => value < self.bound,
        }
    }
}

#[cfg(test)]
#[path = "formula_tests.rs"]
mod tests;
