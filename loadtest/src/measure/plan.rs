//! What is run: the cases of a declared measurement, and what the command line makes of it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::axis::{Axis as Declared, Value};
use super::declaration::{Compared, Declaration, Whole};
use super::instructions;
use super::result::{Axis, Case, Comparison, Conditions, Measurement};
use super::setup::{Arrivals, Setup};
use crate::args::LengthArgs;
use crate::contest::target::Target;

/// How long the contest's rate is played before and while it is measured, in seconds: its p99 is
/// that of 340 requests a second.
const CONTEST_RATE_S: (u32, u32) = (4, 30);

/// About what a stack takes to start, to have its books read, and to stop.
const AROUND: Duration = Duration::from_secs(6);

/// What the command line chooses and changes.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Only the comparisons of these names.
    pub only: Vec<String>,
    /// The cases of a comparison of one's own.
    pub cases: Vec<String>,
    /// Settings that all cases have in common, in addition to the file's.
    pub base: Vec<String>,
    /// Whether instructions are counted in every comparison.
    pub instructions: bool,
    /// How often and how long.
    pub length: LengthArgs,
}

/// What is run, and the result that it fills.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The result without a run.
    pub result: Measurement,
    /// For each of its comparisons what to run.
    pub comparisons: Vec<Planned>,
    /// How often.
    pub rounds: u32,
    /// Where its report goes.
    pub directory: PathBuf,
    /// What is loaded, where that is not a stack of its own.
    pub target: Option<Target>,
    /// Where instances trace for a page that is served meanwhile.
    pub watched: Option<PathBuf>,
    /// An earlier result that this one is compared with.
    pub against: Option<Measurement>,
}

/// What is run for one comparison.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The cases' settings, and how long each is loaded.
    pub cases: Vec<(Setup, Times)>,
    /// Whether an instance's instructions are counted too.
    pub instructions: bool,
}

impl Plan {
    /// Makes it: the comparisons that are chosen, else the cases given one by one, else the whole.
    ///
    /// # Errors
    /// When the settings of a case are wrong, or a chosen comparison is not there.
    pub fn new(declaration: &Declaration, choice: &Choice) -> Result<Plan> {
        let shipped = declaration.base()?;
        let base = choice.base.iter().try_fold(shipped.clone(), |base, settings| base.with(settings))?;
        let compared = match declaration.axes() {
            Some(axes) => vec![points(&base, axes)?],
            None => compared(declaration, &base, choice)?,
        };
        let quick = declaration.quick;
        let (rounds, warm_up, seconds) = match choice.length.quick {
            true => (quick.rounds, quick.warm_up, quick.seconds),
            false => (declaration.rounds, declaration.warm_up, declaration.seconds),
        };
        let times = |(warm_up, seconds): (u32, u32)| Times {
            warm_up: Duration::from_secs(choice.length.warm_up.unwrap_or(warm_up).into()),
            measured: Duration::from_secs(choice.length.seconds.unwrap_or(seconds).into()),
        };
        let of_case = |setup: Setup| match setup.arrivals {
            Arrivals::Contest => (setup, times(CONTEST_RATE_S)),
            _ => (setup, times((warm_up, seconds))),
        };
        let rounds = choice.length.rounds.unwrap_or(rounds);
        let of_base = of_case(base.clone()).1;
        let (comparisons, planned) = compared
            .into_iter()
            .map(|(comparison, setups, counted)| {
                let cases = setups.into_iter().map(of_case).collect();
                (comparison, Planned { cases, instructions: counted || choice.instructions })
            })
            .unzip();
        let conditions = Conditions {
            base: base.settings(),
            shipped: shipped.settings(),
            rounds,
            warm_up_s: of_base.warm_up.as_secs(),
            measured_s: of_base.measured.as_secs(),
            ..Conditions::default()
        };
        let Declaration { name, title, question, answer, expect, .. } = declaration.clone();
        let (expectations, unfinished) = (expect, String::new());
        let result =
            Measurement { name, title, question, answer, expectations, conditions, comparisons, unfinished };
        let (directory, target, watched, against) = Default::default();
        Ok(Plan { result, comparisons: planned, rounds, directory, target, watched, against })
    }

    /// Returns the settings of all cases.
    pub fn setups(&self) -> impl Iterator<Item = &Setup> {
        self.comparisons.iter().flat_map(|one| one.cases.iter().map(|(setup, _)| setup))
    }

    /// Returns how many runs are to come, the counts of instructions included, and about how long they take.
    pub fn estimate(&self) -> (u64, Duration) {
        let mut all = (0, Duration::ZERO);
        for (comparison, made) in self.comparisons.iter().zip(&self.result.comparisons) {
            for ((_, times), case) in comparison.cases.iter().zip(&made.cases) {
                let rounds = (0..self.rounds).filter(|round| !case.has_round(*round)).count() as u32;
                all.0 += u64::from(rounds) + u64::from(comparison.instructions);
                all.1 += times.estimate() * rounds;
                all.1 += instructions::ESTIMATE * u32::from(comparison.instructions);
            }
        }
        all
    }
}

/// How long a run loads.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Before the measured interval.
    pub warm_up: Duration,
    /// The measured interval.
    pub measured: Duration,
}

impl Times {
    /// Returns about what a run takes, the stack's start and end included.
    pub fn estimate(&self) -> Duration {
        self.warm_up + self.measured + AROUND
    }
}

/// A comparison without runs, the settings of its cases, and whether instructions are counted.
type Prepared = (Comparison, Vec<Setup>, bool);

/// Returns all points of the axes, x by x: what is compared with each other is run next to each other.
fn points(base: &Setup, [x, series]: [&Declared; 2]) -> Result<Prepared> {
    let (mut cases, mut setups) = (Vec::new(), Vec::new());
    for x_value in &x.values {
        for series_value in &series.values {
            let with = |setup: Setup, name: &str, axis: &Declared, value: &Value| {
                setup.with(&axis.settings(value)).with_context(|| format!("{name}, value {}", value.label()))
            };
            let setup = with(base.clone(), "x", x, x_value)?;
            let setup = with(setup, "series", series, series_value)?;
            let place = || format!("x {}, series {}", x_value.label(), series_value.label());
            setup.check().with_context(place)?;
            let label = format!("{} {} · {}", x.label, x_value.label(), series_value.label());
            cases.push(Case { label, settings: setup.settings(), ..Case::default() });
            setups.push(setup);
        }
    }
    let axes = [x, series].map(|axis| Axis {
        label: axis.label.clone(),
        values: axis.values.iter().map(Value::label).collect(),
    });
    Ok((Comparison { title: "Figures".to_owned(), axes: Some(axes), cases }, setups, false))
}

fn compared(declaration: &Declaration, base: &Setup, choice: &Choice) -> Result<Vec<Prepared>> {
    let names: Vec<&str> = declaration.comparison.iter().map(|one| one.name.as_str()).collect();
    for name in &choice.only {
        ensure!(names.contains(&name.as_str()), "there is no {name:?}; there are {}", names.join(", "));
    }
    let whole = if choice.length.quick { Whole::Quick } else { Whole::All };
    let is_chosen = |one: &&Compared| match (&choice.only[..], &choice.cases[..]) {
        ([], []) => one.part_of.contains(&whole),
        (only, _) => only.contains(&one.name),
    };
    let chosen = declaration.comparison.iter().filter(is_chosen).map(|one| {
        let cases = one.quick.as_ref().filter(|_| choice.length.quick).unwrap_or(&one.cases);
        let compared = Compared { cases: cases.clone(), ..one.clone() };
        prepared(&compared, base).with_context(|| format!("comparison {}", one.name))
    });
    let own = Compared { title: "Cases".to_owned(), cases: choice.cases.clone(), ..Compared::default() };
    let own = (!choice.cases.is_empty()).then(|| prepared(&own, base));
    chosen.chain(own).collect()
}

fn prepared(compared: &Compared, base: &Setup) -> Result<Prepared> {
    let none = [String::new()];
    let each = if compared.each.is_empty() { &none[..] } else { &compared.each };
    let settings = compared.cases.iter().flat_map(|case| each.iter().map(move |each| [case, each]));
    let (mut cases, mut setups) = (Vec::new(), Vec::new());
    for settings in settings {
        let settings: Vec<&str> =
            settings.into_iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        let setup = base.with(&settings.join(","))?;
        let label =
            if settings.is_empty() { "base".to_owned() } else { settings.join(",").replace(',', " ") };
        setup.check().with_context(|| label.clone())?;
        cases.push(Case { label, settings: setup.settings(), ..Case::default() });
        setups.push(setup);
    }
    let comparison = Comparison { title: compared.title.clone(), axes: None, cases };
    Ok((comparison, setups, compared.instructions))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
