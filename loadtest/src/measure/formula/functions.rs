//! The functions that formulas may call, each over one comparison of a measurement.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use minijinja::value::{Rest, Value};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

use super::NOTHING;
use crate::measure::figures::{FIGURES, Figure, Spread, Value as Source, whole};
use crate::measure::result::{Axis, Case, Comparison, Measurement};
use crate::measure::setup::Setup;
use crate::report::text::{factor, significant};

impl Measurement {
    /// Returns the settings of the base with others.
    fn with(&self, settings: &str) -> Result<Vec<(String, String)>> {
        let base = self.conditions.base.iter().map(|(key, value)| format!("{key}={value}"));
        let base = Setup::default().with(&base.collect::<Vec<_>>().join(","))?;
        Ok(base.with(settings)?.settings())
    }
}

fn pairs(settings: &str) -> impl Iterator<Item = (&str, &str)> {
    settings.split(',').filter_map(|pair| pair.trim().split_once('='))
}

fn is(own: &(String, String), (key, value): (&str, &str)) -> bool {
    own.0 == key && own.1 == value
}

/// Instructions that a formula may take.
const FUEL: u64 = 100_000;

/// The most digits behind the point: a double has no more.
const DIGITS: usize = 17;

/// The formulas' functions for one comparison.
pub(super) struct Formulas {
    environment: Environment<'static>,
}

/// What they look at.
struct Data {
    result: Measurement,
    comparison: Comparison,
}

impl Formulas {
    pub(super) fn of(result: &Measurement, comparison: &Comparison) -> Formulas {
        let data = Arc::new(Data { result: result.clone(), comparison: comparison.clone() });
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // A formula may loop, but not for ever.
        environment.set_fuel(Some(FUEL));
        environment.set_formatter(|out, state, value| match number(value) {
            Some(value) => Ok(out.write_str(&shown(value, significant))?),
            None => minijinja::escape_formatter(out, state, value),
        });
        environment.add_filter("times", |value: f64| shown(value, factor));
        environment.add_filter("whole", |value: f64| shown(value, whole));
        environment.add_filter("fixed", |value: f64, digits: usize| match digits {
            0..=DIGITS => Ok(shown(value, |value| format!("{value:.digits$}"))),
            _ => Err(Error::new(ErrorKind::InvalidOperation, format!("fixed shows up to {DIGITS} digits"))),
        });
        for figure in FIGURES.iter().filter(|figure| matches!(figure.value, Source::OfRun(_))) {
            let data = data.clone();
            environment.add_function(figure.name, move |place: Rest<Value>| {
                told(data.figure(figure.name, &place).map(|spread| spread.median))
            });
        }
        let most = data.clone();
        environment.add_function("most", move |name: String, place: Rest<Value>| {
            told(most.figure(&name, &place).map(|spread| spread.most))
        });
        for (name, largest) in [("max", true), ("min", false)] {
            let (of, at) = (data.clone(), data.clone());
            environment.add_function(name, move |figure: String, series: Value| {
                told(of.extreme(&figure, &series, largest).map(|(_, value)| value))
            });
            environment.add_function(format!("arg{name}"), move |figure: String, series: Value| {
                told(at.extreme(&figure, &series, largest).map(|(x, _)| x))
            });
        }
        let fastest = data.clone();
        environment.add_function("fastest", move |settings: String| told(fastest.fastest(&settings)));
        environment.add_global("shipped", data.shipped());
        Formulas { environment }
    }

    pub(super) fn text(&self, template: &str) -> Result<String> {
        self.environment
            .render_str(template, ())
            .map_err(|error| named(&error))
            .with_context(|| template.to_owned())
    }

    /// Returns the value of a formula; nothing where it is not known.
    pub(super) fn measure(&self, formula: &str, axes: Option<&[Axis; 2]>) -> Result<Option<f64>> {
        // Of argmax and argmin the value is the x itself.
        let x = axes.filter(|_| formula.starts_with("arg")).map(|[x, _]| &x.values);
        if let Some(odd) = x.into_iter().flatten().find(|label| label.parse::<f64>().is_err()) {
            bail!("an x is {odd:?}, which cannot be compared with a number");
        }
        let formula = self.environment.compile_expression(formula);
        let value = formula.and_then(|formula| formula.eval(())).map_err(|error| named(&error))?;
        let value = number(&value).or_else(|| value.as_str()?.parse().ok());
        Ok(value.filter(|value| value.is_finite()))
    }
}

impl Data {
    /// Returns a figure of one case; not a number where it is not known.
    fn figure(&self, name: &str, place: &[Value]) -> Result<Spread> {
        known(name)?;
        let case = match (&self.comparison.axes, place) {
            (Some([x, series]), [of_series, of_x]) => {
                let (series, x) = (find("series", of_series, series)?, find("x", of_x, x)?);
                self.comparison.point(x, series)
            }
            (Some(_), _) => bail!("{name} takes (SERIES, X)"),
            (None, [settings]) => {
                let wanted = self.result.with(&settings.to_string())?;
                self.comparison.cases.iter().find(|case| case.settings == wanted)
            }
            (None, _) => bail!("{name} takes (SETTINGS)"),
        };
        let none = Spread { median: f64::NAN, least: f64::NAN, most: f64::NAN };
        Ok(case.and_then(|case| case.figure(name)).unwrap_or(none))
    }

    /// Returns the x with the largest or the smallest median, and that; the first of several.
    fn extreme(&self, name: &str, series: &Value, largest: bool) -> Result<(String, f64)> {
        known(name)?;
        let [x, of_series] = self.comparison.axes.as_ref().context("there are no axes")?;
        let series = find("series", series, of_series)?;
        let median = |(index, label): (usize, &String)| {
            Some((label.clone(), self.comparison.point(index, series)?.figure(name)?.median))
        };
        let best = x.values.iter().enumerate().filter_map(median).reduce(|best, next| {
            let better = if largest { next.1 > best.1 } else { next.1 < best.1 };
            if better { next } else { best }
        });
        Ok(best.unwrap_or((NOTHING.to_owned(), f64::NAN)))
    }

    /// Returns the case with the most requests per second of all that have these settings.
    fn fastest(&self, settings: &str) -> Result<Value> {
        Setup::default().with(settings)?;
        let has = |case: &Case, pair| case.settings.iter().any(|own| is(own, pair));
        let has_all =
            |case: &&Case| pairs(settings).all(|pair| has(case, pair)) && !has(case, ("books", "false"));
        let rate = |case: &&Case| case.figure("requests").map_or(0.0, |spread| spread.median);
        let cases = self.result.cases().map(|(_, case)| case).filter(has_all);
        Ok(of_case(cases.max_by(|one, other| rate(one).total_cmp(&rate(other)))))
    }

    fn shipped(&self) -> Value {
        let shipped = &self.result.conditions.shipped;
        of_case(self.result.cases().map(|(_, case)| case).find(|case| case.settings == *shipped))
    }
}

/// Returns a case's medians and settings by their names.
fn of_case(case: Option<&Case>) -> Value {
    let medians = FIGURES.iter().map(|figure| {
        let spread = case.and_then(|case| case.figure(figure.name));
        (figure.name, Value::from(spread.map_or(f64::NAN, |spread| spread.median)))
    });
    let settings = case.map_or(&[][..], |case| &case.settings);
    let settings = settings.iter().map(|(key, value)| (key.as_str(), Value::from(value.as_str())));
    let words = case.is_none().then(|| ["split", "balancing"].map(|word| (word, Value::from(NOTHING))));
    Value::from_iter(medians.chain(settings).chain(words.into_iter().flatten()))
}

fn known(name: &str) -> Result<&'static Figure> {
    Figure::of_run(name).with_context(|| no_figure(name))
}

fn no_figure(name: &str) -> String {
    let names = FIGURES.iter().filter(|figure| matches!(figure.value, Source::OfRun(_)));
    let names: Vec<&str> = names.map(|figure| figure.name).collect();
    format!("there is no figure {name:?}; there are {}", names.join(", "))
}

fn find(what: &str, label: &Value, axis: &Axis) -> Result<usize> {
    ensure!(!label.is_undefined(), "a {what} is undefined: a label is put in quotes");
    let label = label.to_string();
    let found = axis.values.iter().position(|value| *value == label);
    found.with_context(|| format!("there is no {what} {label:?}; there are {}", axis.values.join(", ")))
}

fn number(value: &Value) -> Option<f64> {
    if value.is_number() { f64::try_from(value.clone()).ok() } else { None }
}

fn shown(value: f64, show: impl Fn(f64) -> String) -> String {
    if value.is_finite() { show(value) } else { NOTHING.to_owned() }
}

fn told<T>(value: Result<T>) -> Result<T, Error> {
    value.map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("{error:#}")))
}

/// Returns the engine's error, with the names of all figures where one is wrong.
fn named(error: &Error) -> anyhow::Error {
    match (error.kind(), error.detail()) {
        (ErrorKind::UnknownFunction, Some(detail)) => {
            anyhow::anyhow!(no_figure(detail.split_whitespace().next().unwrap_or(detail)))
        }
        _ => anyhow::anyhow!(error.to_string()),
    }
}
