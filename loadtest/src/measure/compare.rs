//! `loadtest compare`: two results of one measurement, of different days or commits, side by side.
//!
//! Their rounds were not run in turn, so each case's means are compared as two samples (Welch's t-test, of the logarithms):
//! one is larger where the 95 % interval of their ratio is all on one side of 1.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::figures::Figure;
use super::formula::ratio;
use super::plan::Plan;
use super::report;
use super::result::{Case, Comparison, Conditions, Measurement};
use crate::args::AgainstArgs;
use crate::report::text::{significant, table};

/// The figures that are compared.
const COMPARED: [&str; 5] = ["goodput", "p50", "p99", "cpu_us", "instructions"];

/// Which two.
#[derive(Clone, Debug, clap::Args)]
pub struct CompareArgs {
    /// The report's directory, or its results.json
    pub a: PathBuf,
    /// The other's
    pub b: PathBuf,
}

/// Runs the command to its end.
///
/// # Errors
/// When one cannot be read, or they are of different measurements.
pub fn run(args: &CompareArgs) -> Result<()> {
    let [a, b] = [report::read(&args.a)?, report::read(&args.b)?];
    check(&a, &b)?;
    out!("{}", side_by_side(&a, &b)?);
    Ok(())
}

impl Plan {
    /// Has it compared with an earlier result, if one is given.
    ///
    /// # Errors
    /// When that cannot be read, or is of something else.
    pub fn beside(mut self, args: &AgainstArgs) -> Result<Plan> {
        let Some(path) = &args.against else { return Ok(self) };
        let of_name = path.join(&self.result.name);
        let earlier = report::read(if of_name.is_dir() { &of_name } else { path })?;
        check(&earlier, &self.result).with_context(|| format!("--against {}", path.display()))?;
        self.against = Some(earlier);
        Ok(self)
    }
}

/// Makes sure that they are of one measurement.
fn check(a: &Measurement, b: &Measurement) -> Result<()> {
    ensure!(a.name == b.name, "A is of {}, and B of {}: nothing of them can be compared", a.name, b.name);
    Ok(())
}

/// Returns all that can be said of them.
///
/// # Errors
/// When they have no case in common.
pub fn side_by_side(a: &Measurement, b: &Measurement) -> Result<String> {
    let (mut lines, rows) = (warnings(a, b), rows(a, b)?);
    let missing = a.cases().filter(|(comparison, case)| counterpart(b, comparison, case).is_none());
    lines
        .extend(missing.map(|(comparison, case)| format!("only A has {}: {}", comparison.title, case.label)));
    Ok(format!("{}\n\n{}", lines.join("\n"), table(&rows)))
}

/// Returns what can be said of a case of `b` by itself, in a line; nothing where `a` has none like it.
pub fn line(a: &Measurement, comparison: &Comparison, case: &Case) -> Option<String> {
    let other = counterpart(a, comparison, case)?;
    let rows = COMPARED.iter().filter_map(|name| row(Figure::of_run(name)?, other, case));
    let told = rows.map(|row| {
        let [_, figure, a, b, ratio, least, most, says] = &row[..] else { return String::new() };
        format!("{figure} {a} → {b}, {ratio} ({least}…{most}) {says}")
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| format!("    earlier → now: {}", told.join("; ")))
}

/// Returns the case of `of` that is like one in `comparison`.
fn counterpart<'a>(of: &'a Measurement, comparison: &Comparison, case: &Case) -> Option<&'a Case> {
    let same = of.comparisons.iter().find(|other| other.title == comparison.title)?;
    same.cases.iter().find(|one| one.label == case.label)
}

/// Says in which conditions they differ, and which of them is not whole.
fn warnings(a: &Measurement, b: &Measurement) -> Vec<String> {
    let text = |settings: &[(String, String)]| {
        settings.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
    };
    let facts = |c: &Conditions| {
        let length =
            format!("{} s of warm-up, {} s measured, {} rounds", c.warm_up_s, c.measured_s, c.rounds);
        [
            ("commit", c.commit.clone()),
            ("versions", c.versions.join(", ")),
            ("machine", c.machine.clone()),
            ("disk", c.disk.clone()),
            ("CPU", c.envelope.clone()),
            ("base", text(&c.base)),
            ("runs", length),
        ]
    };
    let begun = format!("A was begun {}, B {}", a.conditions.started_at, b.conditions.started_at);
    let differ = facts(&a.conditions).into_iter().zip(facts(&b.conditions)).filter(|(a, b)| a.1 != b.1);
    let known = |text: String| if text.is_empty() { "not known".to_owned() } else { text };
    let differ =
        differ.map(|((name, a), (_, b))| format!("they differ in {name}: A {}; B {}", known(a), known(b)));
    let unfinished = [("A", a), ("B", b)].into_iter().filter(|(_, one)| !one.unfinished.is_empty());
    let unfinished = unfinished.map(|(name, one)| format!("{name} is not finished: {}", one.unfinished));
    std::iter::once(begun).chain(differ).chain(unfinished).collect()
}

/// Returns a row for each case that both have and each figure that is known of it, the header first.
fn rows(a: &Measurement, b: &Measurement) -> Result<Vec<Vec<String>>> {
    let header = ["case", "figure", "A", "B", "B/A", "from", "to", "B is"].map(str::to_owned).to_vec();
    let mut rows = vec![header];
    for (comparison, case) in a.cases() {
        let Some(other) = counterpart(b, comparison, case) else { continue };
        rows.extend(COMPARED.iter().filter_map(|name| row(Figure::of_run(name)?, case, other)));
    }
    ensure!(rows.len() > 1, "they have no case in common that was run");
    Ok(rows)
}

fn row(figure: &Figure, a: &Case, b: &Case) -> Option<Vec<String>> {
    let values = |case: &Case| case.valid().flat_map(|run| figure.values(run)).collect::<Vec<f64>>();
    let found = ratio(&values(a), &values(b))?;
    let shown =
        |case: &Case| figure.of(case).first().map_or("–".to_owned(), |one| (figure.show)(one.median));
    let name = if figure.unit.is_empty() {
        figure.name.to_owned()
    } else {
        format!("{} {}", figure.name, figure.unit)
    };
    let is_range = found.least < found.most;
    let [least, most] =
        [found.least, found.most].map(|end| if is_range { significant(end) } else { "–".to_owned() });
    let ratio = significant(found.ratio);
    Some(vec![a.label.clone(), name, shown(a), shown(b), ratio, least, most, found.says()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::{bench, experiment};

    #[test]
    fn the_same_twice_is_no_winner_and_what_is_clear_is_told() {
        let (a, mut b) = (experiment(), experiment());
        let row = |b: &Measurement| rows(&a, b).expect("of one experiment")[1].clone();
        assert_eq!(row(&b)[..5], ["clients 1 · direct", "goodput 1/s", "290", "290", "1"]);
        assert_eq!(row(&b)[7], "cannot be told");
        for run in &mut b.comparisons[0].cases[0].runs {
            run.right *= 2;
        }
        assert_eq!((row(&b)[4].as_str(), row(&b)[7].as_str()), ("2", "higher"));
        let case = &b.comparisons[0].cases[0];
        let told = line(&a, &b.comparisons[0], case).expect("A has it");
        assert!(
            told.starts_with("    earlier → now: goodput 1/s 290 → 580, 2 (1.91…2.09) higher; "),
            "{told}"
        );
        b.comparisons[0].cases[0].runs.truncate(1);
        assert_eq!(row(&b)[7], "higher (one round)");
    }

    #[test]
    fn what_differs_is_told_and_others_are_refused() {
        let (a, mut b) = (experiment(), experiment());
        assert_eq!(warnings(&a, &b).len(), 1, "{:?}", warnings(&a, &b));
        b.conditions.machine = "64 CPUs".into();
        b.conditions.commit = "abc".into();
        b.unfinished = "stopped by SIGINT".into();
        let told = warnings(&a, &b);
        b.comparisons[0].cases.truncate(1);
        assert!(side_by_side(&a, &b).expect("one case").contains("only A has Figures: clients 1 · serial"));
        for says in ["commit: A not known; B abc", "machine: A ", "B is not finished: stopped by SIGINT"] {
            assert!(told.iter().any(|line| line.contains(says)), "{told:?}");
        }
        let other = Measurement { name: "bench".into(), ..bench(&[&[("", 5)]]) };
        let error = check(&a, &other).expect_err("another");
        assert!(error.to_string().contains("A is of hot, and B of bench"), "{error}");
    }
}
