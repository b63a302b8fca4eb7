//! The small language in which a declared experiment gives its answer and what it expects, so
//! that both are computed from the data.
//!
//! An `answer` is a sentence with expressions in braces:
//!
//! ```text
//! batched answers {goodput batched@1} requests/s, {ratio goodput batched@1 direct@1} times direct
//! ```
//!
//! | expression                     | value                                                    |
//! | ------------------------------ | -------------------------------------------------------- |
//! | `METRIC SERIES@X`              | the median of that point                                 |
//! | `ratio METRIC S1@X1 S2@X2`     | the first point's median over the second's               |
//! | `max METRIC SERIES`            | the largest median of that series, over all x            |
//! | `min METRIC SERIES`            | the smallest                                             |
//! | `argmax METRIC SERIES`         | the x at which the largest is                            |
//! | `argmin METRIC SERIES`         | the x at which the smallest is                           |
//!
//! `METRIC` is a [`Metric`]'s name: goodput, shed (per second), p50, p99 (ms), lock_waiters,
//! wal_waiters, active (mean sessions), batch (transactions per call), queue_ms, db_ms, lock_ms,
//! commits (per second), cpu_us (per request) and some more. `SERIES` and `X` are labels from the
//! axes; one with a blank, an `@` or a brace is put in single quotes: `'one client a call'@64`.
//!
//! An expectation's `holds` is a condition, `EXPRESSION OP NUMBER` without braces, where `OP` is
//! one of `>=`, `<=`, `>`, `<`: `ratio goodput batched@1 direct@1 >= 2`. With argmax and argmin
//! it compares the x itself, which is then to be a number.
//!
//! Only valid runs count. A point without any gives "(no valid figure)" in the answer, and an
//! expectation that rests on it cannot be told. The extremes skip such points.

use anyhow::{Context, Result, bail, ensure};

use super::figures::Metric;
use super::result::{AxisResult, Expectation, ExperimentResult};
use crate::report::svg::HUES;
use crate::report::text::{factor, significant};

/// What the answer says where there is nothing to say.
const NOTHING: &str = "(no valid figure)";

/// Whether an expectation held.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The expectation in words.
    pub says: String,
    /// `None`: it cannot be told.
    pub held: Option<bool>,
    /// What was measured beside what was expected: `4.4, expected >= 2`.
    pub measured: String,
}

/// Refuses a template that cannot be filled in whatever the data: unknown metrics and labels,
/// unbalanced braces and quotes, and more series than a chart tells apart.
///
/// # Errors
/// Those; the message names the expression.
pub fn check(template: &str, x: &AxisResult, series: &AxisResult) -> Result<()> {
    ensure!(
        series.values.len() <= HUES,
        "{} series ({}): a chart tells at most {HUES} apart",
        series.values.len(),
        series.values.join(", ")
    );
    fill(template, |inner| Expression::parse(inner, x, series).map(|_| String::new())).map(drop)
}

/// The same for an expectation's condition.
///
/// # Errors
/// As for [`check`], and when it is not `EXPRESSION OP NUMBER`.
pub fn check_condition(condition: &str, x: &AxisResult, series: &AxisResult) -> Result<()> {
    Condition::parse(condition, x, series).map(drop)
}

/// The answer with its figures.
///
/// # Errors
/// When the template does not fit the axes.
pub fn sentence(result: &ExperimentResult) -> Result<String> {
    fill(&result.answer, |inner| {
        let expression = Expression::parse(inner, &result.x, &result.series)?;
        Ok(expression.shown(result).unwrap_or_else(|| NOTHING.to_owned()))
    })
}

/// The expectations against the data.
pub fn verdicts(result: &ExperimentResult) -> Vec<Verdict> {
    let judge = |one: &Expectation| match Condition::parse(&one.holds, &result.x, &result.series) {
        Ok(condition) => condition.verdict(&one.says, result),
        Err(error) => Verdict { says: one.says.clone(), held: None, measured: format!("{error:#}") },
    };
    result.expectations.iter().map(judge).collect()
}

/// Replaces what is in braces.
fn fill(template: &str, mut replace: impl FnMut(&str) -> Result<String>) -> Result<String> {
    let (mut text, mut rest) = (String::new(), template);
    while let Some(at) = rest.find(['{', '}']) {
        ensure!(
            rest[at..].starts_with('{'),
            "a brace is closed that was not opened, after {:?}",
            &rest[..at]
        );
        let inner = &rest[at + 1..];
        let end = closing(inner).with_context(|| format!("a brace is not closed: {:?}", &rest[at..]))?;
        text += &rest[..at];
        text += &replace(&inner[..end]).with_context(|| format!("{{{}}}", &inner[..end]))?;
        rest = &inner[end + 1..];
    }
    Ok(text + rest)
}

/// Where the closing brace is; those in quotes are part of a label.
fn closing(text: &str) -> Option<usize> {
    let mut quoted = false;
    for (at, character) in text.char_indices() {
        match character {
            '\'' => quoted = !quoted,
            '{' if !quoted => return None,
            '}' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// A point, by its indices.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    x: usize,
    series: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Expression {
    Value(Metric, Place),
    Ratio(Metric, Place, Place),
    Extreme { metric: Metric, series: usize, largest: bool, place: bool },
}

impl Expression {
    fn parse(text: &str, x: &AxisResult, series: &AxisResult) -> Result<Expression> {
        let words = words(text)?;
        let Some((Word::Plain(first), rest)) = words.split_first() else {
            bail!("an expression begins with a metric, ratio, max, min, argmax or argmin");
        };
        let place = |word: &Word| match word {
            Word::Pair(of_series, of_x) => {
                Ok(Place { x: find("x", of_x, x)?, series: find("series", of_series, series)? })
            }
            Word::Plain(word) => bail!("{word:?} is not SERIES@X"),
        };
        match (first.as_str(), rest) {
            ("ratio", [Word::Plain(name), over, under]) => {
                Ok(Expression::Ratio(metric(name)?, place(over)?, place(under)?))
            }
            ("ratio", _) => bail!("ratio takes METRIC SERIES@X SERIES@X"),
            ("max" | "min" | "argmax" | "argmin", [Word::Plain(name), Word::Plain(label)]) => {
                Ok(Expression::Extreme {
                    metric: metric(name)?,
                    series: find("series", label, series)?,
                    largest: first.ends_with("max"),
                    place: first.starts_with("arg"),
                })
            }
            ("max" | "min" | "argmax" | "argmin", _) => bail!("{first} takes METRIC SERIES"),
            (name, rest) => {
                let metric = metric(name)?;
                let [point] = rest else { bail!("a metric takes one SERIES@X") };
                Ok(Expression::Value(metric, place(point)?))
            }
        }
    }

    /// Its value; of argmax and argmin the label as a number.
    fn value(&self, result: &ExperimentResult) -> Option<f64> {
        let median = |metric, place: Place| {
            let point = result.points.iter().find(|point| (point.x, point.series) == (place.x, place.series));
            Some(point?.figure(metric)?.median)
        };
        match self {
            Expression::Value(metric, place) => median(*metric, *place),
            Expression::Ratio(metric, over, under) => {
                let ratio = median(*metric, *over)? / median(*metric, *under)?;
                ratio.is_finite().then_some(ratio)
            }
            Expression::Extreme { place: false, .. } => self.extreme(result).map(|(_, value)| value),
            Expression::Extreme { place: true, .. } => self.label(result)?.parse().ok(),
        }
    }

    fn shown(&self, result: &ExperimentResult) -> Option<String> {
        match self {
            Expression::Extreme { place: true, .. } => self.label(result).map(str::to_owned),
            Expression::Ratio(..) => self.value(result).map(factor),
            _ => self.value(result).map(significant),
        }
    }

    fn label<'a>(&self, result: &'a ExperimentResult) -> Option<&'a str> {
        let (x, _) = self.extreme(result)?;
        result.x.values.get(x).map(String::as_str)
    }

    /// The x with the largest or the smallest median, and that; the first of several.
    fn extreme(&self, result: &ExperimentResult) -> Option<(usize, f64)> {
        let Expression::Extreme { metric, series, largest, .. } = self else { return None };
        let points = result.points.iter().filter(|point| point.series == *series);
        let medians = points.filter_map(|point| Some((point.x, point.figure(*metric)?.median)));
        medians.reduce(|best, next| {
            let better = if *largest { next.1 > best.1 } else { next.1 < best.1 };
            if better { next } else { best }
        })
    }
}

struct Condition {
    expression: Expression,
    operator: &'static str,
    bound: f64,
}

impl Condition {
    fn parse(text: &str, x: &AxisResult, series: &AxisResult) -> Result<Condition> {
        let parsed = || {
            // The number is last, the operator before it; a label may contain either in quotes.
            let (rest, bound) =
                text.trim().rsplit_once(char::is_whitespace).context("no number at its end")?;
            let (rest, operator) = rest.trim_end().rsplit_once(char::is_whitespace).context("no operator")?;
            let operators = [">=", "<=", ">", "<"];
            let operator = operators.into_iter().find(|one| *one == operator);
            let operator = operator.context("the last word but one is to be >=, <=, > or <")?;
            let bound: f64 = bound.parse().with_context(|| format!("{bound:?} is not a number"))?;
            let expression = Expression::parse(rest, x, series)?;
            if matches!(expression, Expression::Extreme { place: true, .. }) {
                let odd = x.values.iter().find(|label| label.parse::<f64>().is_err());
                if let Some(odd) = odd {
                    bail!("an x is {odd:?}, which cannot be compared with a number");
                }
            }
            Ok(Condition { expression, operator, bound })
        };
        parsed().with_context(|| format!("the condition {text:?}"))
    }

    fn verdict(&self, says: &str, result: &ExperimentResult) -> Verdict {
        let value = self.expression.value(result);
        let held = value.map(|value| match self.operator {
            ">=" => value >= self.bound,
            "<=" => value <= self.bound,
            ">" => value > self.bound,
            _ => value < self.bound,
        });
        let measured = match value {
            // Rounded, a miss could look like a hit.
            Some(value) => format!("{}, expected {} {}", significant(value), self.operator, self.bound),
            None => format!("no valid figure, expected {} {}", self.operator, self.bound),
        };
        Verdict { says: says.to_owned(), held, measured }
    }
}

fn metric(name: &str) -> Result<Metric> {
    Metric::of_name(name).with_context(|| {
        let names: Vec<&str> = Metric::ALL.into_iter().map(Metric::name).collect();
        format!("there is no metric {name:?}; there are {}", names.join(", "))
    })
}

fn find(what: &str, label: &str, axis: &AxisResult) -> Result<usize> {
    let found = axis.values.iter().position(|value| value == label);
    found.with_context(|| format!("there is no {what} {label:?}; there are {}", axis.values.join(", ")))
}

#[derive(Clone, Debug, PartialEq)]
enum Word {
    Plain(String),
    Pair(String, String),
}

/// Words between blanks; `@` parts a word in two; in single quotes both are letters like others.
fn words(text: &str) -> Result<Vec<Word>> {
    let (mut words, mut word, mut before) = (Vec::new(), String::new(), None);
    let mut quoted = false;
    for character in text.chars().chain([' ']) {
        match character {
            '\'' => quoted = !quoted,
            '@' if !quoted => {
                ensure!(before.is_none(), "{text:?} has an @ too many; quote labels that contain one");
                before = Some(std::mem::take(&mut word));
            }
            blank if blank.is_whitespace() && !quoted => {
                let after = std::mem::take(&mut word);
                match before.take() {
                    Some(before) => words.push(Word::Pair(before, after)),
                    None if after.is_empty() => {}
                    None => words.push(Word::Plain(after)),
                }
            }
            other => word.push(other),
        }
    }
    ensure!(!quoted, "a quote is not closed in {text:?}");
    Ok(words)
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
