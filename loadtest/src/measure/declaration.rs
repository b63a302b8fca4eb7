//! A declared measurement: a file of `loadtest/experiments`, or `loadtest/bench.toml`.
//!
//! ```toml
//! title = "One hot client"
//! question = "What does it cost when all requests are for one client?"
//! answer = "{{ goodput('batched', 1) }} requests/s, {{ goodput('direct', 1) }} with direct."
//!
//! [x]                       # the horizontal axis …
//! label = "clients"
//! set = "clients={}"        # … what each of its values sets
//! values = [1, 5, 1000]
//!
//! [series]                  # the lines of the charts
//! label = "mode"
//! values = [                # a value that sets something else has a label of its own
//!     { label = "direct", set = "mode=direct" },
//!     { label = "one by one", set = "mode=batched,BATCH_MAX=1" },
//! ]
//!
//! [stays]                   # what all cases have in common; the words are those of `setup`
//! profile = "durable"
//!
//! [load]
//! users = 64                # or: rate = 500, connections = 64
//!
//! [[expect]]
//! says = "batched answers at least twice as much as direct on one client"
//! holds = "goodput('batched', 1) / goodput('direct', 1) >= 2"
//! ```
//!
//! In place of the two axes there may be `[[comparison]]`s, each with a `name`, a `title` and `cases`, see
//! [`Compared`]. `rounds`, `warm_up`, `seconds`, `[quick]` with the same for a glance, and `[envelope]`
//! (`scale`, `period_ms`, `isolated`) have defaults.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;

use super::axis::{Axis, Word};
use super::result::Expectation;
use super::setup::Setup;
use crate::report::svg::HUES;

/// The most values that the horizontal axis may have: more runs than anyone waits for.
const MOST_X: usize = 12;

/// The words of `[load]`: by wrk with `connections`, by k6 closed with `users` or open with `rate`, and how long a
/// user waits.
const LOAD: [&str; 4] = ["connections", "users", "rate", TIMEOUT];
const TIMEOUT: &str = "timeout_ms";

/// A declared measurement, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// The file's name without its ending.
    #[serde(skip)]
    pub name: String,
    /// A few words.
    pub title: String,
    /// What is asked.
    #[serde(default)]
    pub question: String,
    /// The answer's template, see [`super::formula`].
    #[serde(default)]
    pub answer: String,
    /// How often every case is run.
    #[serde(default = "three")]
    pub rounds: u32,
    /// Seconds of load before the measured interval.
    #[serde(default = "three")]
    pub warm_up: u32,
    /// Seconds of the measured interval.
    #[serde(default = "six")]
    pub seconds: u32,
    /// The same for a glance.
    #[serde(default)]
    pub quick: Quick,
    /// The horizontal axis.
    pub x: Option<Axis>,
    /// What the lines are told apart by.
    pub series: Option<Axis>,
    /// What is compared, where there are no axes.
    #[serde(default)]
    pub comparison: Vec<Compared>,
    /// What all cases have in common.
    #[serde(default)]
    pub stays: BTreeMap<String, Word>,
    /// What is sent.
    #[serde(default)]
    pub load: BTreeMap<String, Word>,
    /// How much CPU the services have.
    #[serde(default)]
    pub envelope: EnvelopeWords,
    /// What is expected of the data.
    #[serde(default)]
    pub expect: Vec<Expectation>,
}

/// `[quick]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quick {
    /// Rounds.
    pub rounds: u32,
    /// Seconds of load before the measured interval.
    pub warm_up: u32,
    /// Seconds of the measured interval.
    pub seconds: u32,
}

impl Default for Quick {
    fn default() -> Self {
        Quick { rounds: 1, warm_up: 2, seconds: 3 }
    }
}

/// `[[comparison]]`: cases that are run in turn.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// What `--only` calls it.
    pub name: String,
    /// What it asks.
    pub title: String,
    /// The cases, each as settings in addition to the base.
    pub cases: Vec<String>,
    /// Settings of which each goes with each of the cases; none for the cases as they are.
    #[serde(default)]
    pub each: Vec<String>,
    /// The cases of a glance, where there are fewer.
    pub quick: Option<Vec<String>>,
    /// Of which runs it is a part where nothing is chosen.
    #[serde(default)]
    pub part_of: Vec<Whole>,
    /// Whether an instance's instructions are counted too: what differs is lost in time's noise.
    #[serde(default)]
    pub instructions: bool,
}

/// A run of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whole {
    /// The whole.
    All,
    /// A glance at it.
    Quick,
}

/// `[envelope]`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeWords {
    /// By what the CPU of all services is divided.
    pub scale: Option<f64>,
    /// Milliseconds of the slices in which the CPU is given out.
    pub period_ms: Option<u64>,
    /// Whether the stack has a core of its own.
    pub isolated: Option<bool>,
}

impl Declaration {
    /// Returns what all cases have in common unless they say otherwise.
    ///
    /// # Errors
    /// The first setting that is unknown or out of range, with the field that has it.
    pub fn base(&self) -> Result<Setup> {
        let mut setup = Setup::default();
        setup.scale(self.envelope.scale, self.envelope.period_ms).context("envelope")?;
        setup.isolated = self.envelope.isolated.unwrap_or(setup.isolated);
        for (table, words) in [("stays", &self.stays), ("load", &self.load)] {
            for (key, value) in words {
                setup.set(key, &value.to_string()).with_context(|| format!("{table}.{key}"))?;
            }
        }
        Ok(setup)
    }

    /// Returns the axes, where there are any.
    pub fn axes(&self) -> Option<[&Axis; 2]> {
        Some([self.x.as_ref()?, self.series.as_ref()?])
    }

    /// Checks the fields by themselves; [`Declaration::parse`] does more.
    pub(super) fn check_fields(&self) -> Result<()> {
        let mut texts = vec![("title", &self.title)];
        if self.comparison.is_empty() {
            texts.extend([("question", &self.question), ("answer", &self.answer)]);
        }
        for (field, text) in texts {
            ensure!(!text.trim().is_empty(), "{field} is empty");
        }
        for (field, value, most) in
            [("rounds", self.rounds, 100), ("warm_up", self.warm_up, 600), ("seconds", self.seconds, 3600)]
        {
            ensure!((1..=most).contains(&value), "{field} is {value}, expected 1 to {most}");
        }
        match (&self.x, &self.series, self.comparison.is_empty()) {
            (Some(x), Some(series), true) => {
                x.check(MOST_X).context("x")?;
                series.check(HUES).context("series")?;
            }
            (None, None, false) => {}
            _ => bail!("a file has x and series, or comparisons"),
        }
        for word in self.load.keys() {
            ensure!(LOAD.contains(&word.as_str()), "load: {word} is none of {}", LOAD.join(", "));
        }
        if self.load.keys().filter(|word| *word != TIMEOUT).count() > 1 {
            bail!("load: a load is by wrk (connections), closed (users) or open (rate), not both");
        }
        Ok(())
    }
}

fn three() -> u32 {
    3
}

fn six() -> u32 {
    6
}
