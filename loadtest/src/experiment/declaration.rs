//! A declared experiment: the file `loadtest/experiments/NAME.toml`.
//!
//! ```toml
//! title = "One hot client"
//! question = "What does it cost when all requests are for one client?"
//! answer = "{goodput batched@1} requests/s, {ratio goodput batched@1 direct@1} times direct."
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
//! [stays]                   # what all points have in common; the words are those of `setup`
//! profile = "durable"
//!
//! [load]
//! users = 64                # or: rate = 500
//!
//! [[expect]]
//! says = "batched answers at least twice as much as direct on one client"
//! holds = "ratio goodput batched@1 direct@1 >= 2"
//! ```
//!
//! `rounds`, `warm_up`, `seconds` and `[envelope]` (`scale`, `period_ms`) have defaults.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::answer;
use super::axis::{Axis, Word};
use super::result::Expectation;
use super::setup::Setup;

/// The most values that the horizontal axis may have: more runs than anyone waits for.
const MOST_X: usize = 12;

/// The most lines that a chart tells apart.
const MOST_SERIES: usize = 4;

/// A declared experiment, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// The file's name without its ending.
    #[serde(skip)]
    pub name: String,
    /// A few words.
    pub title: String,
    /// What is asked.
    pub question: String,
    /// The answer's template, see [`answer`].
    pub answer: String,
    /// How often every point is run.
    #[serde(default = "three")]
    pub rounds: u32,
    /// Seconds of load before the measured interval.
    #[serde(default = "three")]
    pub warm_up: u32,
    /// Seconds of the measured interval.
    #[serde(default = "six")]
    pub seconds: u32,
    /// The horizontal axis.
    pub x: Axis,
    /// What the lines are told apart by.
    pub series: Axis,
    /// What all points have in common.
    #[serde(default)]
    pub stays: BTreeMap<String, Word>,
    /// What is sent.
    #[serde(default)]
    pub load: LoadWords,
    /// How much CPU the services have.
    #[serde(default)]
    pub envelope: EnvelopeWords,
    /// What is expected of the data.
    #[serde(default)]
    pub expect: Vec<Expect>,
}

/// `[load]`: closed with `users`, open with `rate`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadWords {
    /// Users, each of whom sends the next request when the answer is there.
    pub users: Option<Word>,
    /// Arrivals a second, whatever the answers take.
    pub rate: Option<Word>,
    /// Milliseconds that a user waits for an answer.
    pub timeout_ms: Option<Word>,
}

/// `[envelope]`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeWords {
    /// By what the CPU of all services is divided.
    pub scale: Option<f64>,
    /// Milliseconds of the slices in which the CPU is given out.
    pub period_ms: Option<u64>,
}

/// `[[expect]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// In words.
    pub says: String,
    /// As a condition on the data, see [`answer`].
    pub holds: String,
}

impl Declaration {
    /// Reads a file and checks everything that can be known before it is run.
    ///
    /// # Errors
    /// The first mistake, with the file's name and the field.
    pub fn read(path: &Path) -> Result<Declaration> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Declaration::parse(&name, &text).with_context(|| path.display().to_string())
    }

    /// The same from a file's text.
    ///
    /// # Errors
    /// The first mistake, with the field.
    pub fn parse(name: &str, text: &str) -> Result<Declaration> {
        let mut declaration: Declaration = toml::from_str(text)?;
        declaration.name = name.to_owned();
        declaration.check()?;
        Ok(declaration)
    }

    /// The settings of one point: those that stay, then those of its x and of its series.
    ///
    /// # Errors
    /// The first setting that is unknown or out of range, with the field that has it.
    pub fn setup(&self, x: usize, series: usize) -> Result<Setup> {
        let mut setup = Setup::default();
        setup.scale(self.envelope.scale, self.envelope.period_ms).context("envelope")?;
        for (key, value) in &self.stays {
            setup.set(key, &value.to_string()).with_context(|| format!("stays.{key}"))?;
        }
        let LoadWords { users, rate, timeout_ms } = &self.load;
        for (key, value) in [("users", users), ("rate", rate), ("timeout_ms", timeout_ms)] {
            if let Some(value) = value {
                setup.set(key, &value.to_string()).with_context(|| format!("load.{key}"))?;
            }
        }
        for (name, axis, index) in [("x", &self.x, x), ("series", &self.series, series)] {
            let value = &axis.values[index];
            let settings = axis.settings(value);
            setup.set_all(&settings).with_context(|| format!("{name}, value {}", value.label()))?;
        }
        setup.check().with_context(|| {
            format!("x {}, series {}", self.x.values[x].label(), self.series.values[series].label())
        })?;
        Ok(setup)
    }

    /// What is expected, as the result has it.
    pub fn expectations(&self) -> Vec<Expectation> {
        let expected =
            |expect: &Expect| Expectation { says: expect.says.clone(), holds: expect.holds.clone() };
        self.expect.iter().map(expected).collect()
    }

    fn check(&self) -> Result<()> {
        for (field, text) in [("title", &self.title), ("question", &self.question), ("answer", &self.answer)]
        {
            ensure!(!text.trim().is_empty(), "{field} is empty");
        }
        for (field, value, most) in
            [("rounds", self.rounds, 100), ("warm_up", self.warm_up, 600), ("seconds", self.seconds, 3600)]
        {
            ensure!((1..=most).contains(&value), "{field} is {value}, expected 1 to {most}");
        }
        self.x.check(MOST_X).context("x")?;
        self.series.check(MOST_SERIES).context("series")?;
        if self.load.users.is_some() && self.load.rate.is_some() {
            bail!("load: a load is closed (users) or open (rate), not both");
        }
        for x in 0..self.x.values.len() {
            for series in 0..self.series.values.len() {
                self.setup(x, series)?;
            }
        }
        let (x, series) = (self.x.as_result(), self.series.as_result());
        answer::check(&self.answer, &x, &series).context("answer")?;
        for (index, expect) in self.expect.iter().enumerate() {
            let field = || format!("expect number {}", index + 1);
            ensure!(!expect.says.trim().is_empty(), "{}: says is empty", field());
            answer::check_condition(&expect.holds, &x, &series).with_context(field)?;
        }
        Ok(())
    }
}

/// The directory of those that are shipped.
pub fn directory() -> PathBuf {
    testbed::repository_root().join("loadtest/experiments")
}

/// The names of those that are shipped, sorted.
///
/// # Errors
/// When their directory cannot be read.
pub fn shipped() -> Result<Vec<String>> {
    let directory = directory();
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn three() -> u32 {
    3
}

fn six() -> u32 {
    6
}

#[cfg(test)]
#[path = "declaration_tests.rs"]
mod tests;
