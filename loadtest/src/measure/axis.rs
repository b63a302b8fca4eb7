//! An axis of a declared experiment: what varies, and what each of its values sets.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde::Deserialize;

/// What stands for the value in what an axis sets.
const VALUE: &str = "{}";

/// An axis.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// What it measures, with its unit.
    pub label: String,
    /// What a value sets, with `{}` for the value.
    pub set: Option<String>,
    /// Its values, in order.
    pub values: Vec<Value>,
}

/// A value of an axis.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a value is a word, a number, or { label = \"…\", set = \"…\" }")]
pub enum Value {
    /// One that goes into the axis' `set`.
    Plain(Word),
    /// One that sets something of its own.
    Labelled(Labelled),
}

/// A value with a label and settings of its own, in addition to those of its axis.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labelled {
    /// How it is shown.
    pub label: String,
    /// What it sets.
    pub set: String,
}

/// A word, or a number that is taken as one.
#[derive(Clone, Debug, Deserialize, strum::Display)]
#[serde(untagged, expecting = "expected a word or a number")]
pub enum Word {
    /// A word.
    #[strum(to_string = "{0}")]
    Text(String),
    /// A whole number.
    #[strum(to_string = "{0}")]
    Whole(i64),
    /// A number.
    #[strum(to_string = "{0}")]
    Number(f64),
}

impl Axis {
    /// Returns what one of them sets, as `key=value` separated by commas.
    pub fn settings(&self, value: &Value) -> String {
        let of_axis = self.set.as_deref().unwrap_or_default().replace(VALUE, &value.label());
        match value {
            Value::Plain(_) => of_axis,
            Value::Labelled(labelled) => labelled.set.clone(),
        }
    }

    /// Fails when it makes no sense, or has more than so many values.
    ///
    /// # Errors
    /// The first mistake.
    pub fn check(&self, most: usize) -> Result<()> {
        ensure!(!self.label.trim().is_empty(), "label is empty");
        let count = self.values.len();
        ensure!((1..=most).contains(&count), "values has {count}, expected 1 to {most}");
        let labels: BTreeSet<String> = self.values.iter().map(Value::label).collect();
        ensure!(labels.len() == count, "values has one label twice");
        ensure!(labels.iter().all(|label| !label.trim().is_empty()), "values has an empty label");
        let plain = self.values.iter().any(|value| matches!(value, Value::Plain(_)));
        let takes_value = self.set.as_ref().is_some_and(|set| set.contains(VALUE));
        ensure!(!plain || takes_value, "set must say what a value sets, such as \"clients={{}}\"");
        ensure!(plain || self.set.is_none(), "set is there, but every value has its own");
        Ok(())
    }
}

impl Value {
    /// Returns how it is shown.
    pub fn label(&self) -> String {
        match self {
            Value::Plain(word) => word.to_string(),
            Value::Labelled(labelled) => labelled.label.clone(),
        }
    }
}
