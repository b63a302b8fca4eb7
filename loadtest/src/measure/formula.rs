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
//! | `fastest(SETTINGS).NAME`     | a figure or a setting of the case with the most requests per second of all with these settings |
//! | `shipped.NAME`               | the same of the case with the declared file's own base                |
//!
//! `FIGURE` is a name of [`FIGURES`](super::figures::FIGURES). A number is shown with three digits; the filters `times`, `whole`
//! and `fixed(DIGITS)` show it as a factor, without a fraction, with so many digits behind the point.
//! A condition is `FORMULA OP NUMBER`, where `OP` is one of `>=`, `<=`, `>`, `<`.
//!
//! Only valid runs count. A point without any gives "(no valid figure)", and a condition that rests on it
//! cannot be told. The extremes skip such points. In a measurement of several comparisons, a condition is
//! judged within the first of them that has all its cases: the machine is another from one hour to the next.

mod functions;

use anyhow::{Context, Result, ensure};

use super::result::{Axis, Expectation, Measurement};
use crate::report::text::significant;
use functions::Formulas;

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
}

/// Refuses an answer that cannot be filled in whatever the data: unknown figures and labels, and what is
/// no formula.
///
/// # Errors
/// Those; the message names the formula.
pub fn check_answer(template: &str, result: &Measurement) -> Result<()> {
    for comparison in &result.comparisons {
        Formulas::of(result, comparison)?.text(template)?;
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
        let formulas = Formulas::of(result, comparison)?;
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
        Some(comparison) => Formulas::of(result, comparison)?.text(&result.answer),
        None => Ok(result.answer.clone()),
    }
}

/// Returns what became of the expectations; those whose base is another are left out.
pub fn verdicts(result: &Measurement) -> Vec<Verdict> {
    let asked = result.expectations.iter().filter(|one| result.is_given(&one.given));
    asked.map(|one| judge(one, result).unwrap_or_else(|error| unknown(one, format!("{error:#}")))).collect()
}

/// Judges it within the first comparison that can tell.
fn judge(expectation: &Expectation, result: &Measurement) -> Result<Verdict> {
    let mut verdict = unknown(expectation, String::new());
    for comparison in &result.comparisons {
        let formulas = Formulas::of(result, comparison)?;
        let conditions = expectation.holds.iter().map(|text| Condition::parse(text));
        let conditions = conditions.collect::<Result<Vec<Condition<'_>>>>()?;
        let values = conditions.iter().map(|one| one.measure(&formulas, comparison.axes.as_ref()));
        let values = values.collect::<Result<Vec<Option<f64>>>>()?;
        let held = values.iter().zip(&conditions).map(|(value, one)| value.map(|value| one.holds(value)));
        let held = held.collect::<Option<Vec<bool>>>().map(|all| all.into_iter().all(|one| one));
        let shown = values.iter().map(|value| value.map_or("no valid figure".to_owned(), significant));
        let bounds = conditions.iter().map(|one| format!("{} {}", one.operator, one.bound));
        let or = |text: &str, otherwise: String| match text {
            "" => Ok(otherwise),
            text => formulas.text(text),
        };
        verdict = Verdict {
            says: formulas.text(&expectation.says)?,
            measured: or(&expectation.measured, shown.collect::<Vec<_>>().join(", "))?,
            goal: or(&expectation.goal, bounds.collect::<Vec<_>>().join(", "))?,
            held,
        };
        if held.is_some() {
            break;
        }
    }
    Ok(verdict)
}

fn unknown(expectation: &Expectation, measured: String) -> Verdict {
    let Expectation { says, goal, .. } = expectation.clone();
    Verdict { says, measured, goal, held: None }
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
