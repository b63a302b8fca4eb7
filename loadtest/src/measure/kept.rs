//! What is kept of a measurement while it is made, so that it can go on after whatever ended it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::plan::Plan;
use super::report;
use super::result::{Conditions, Measurement, RESULTS};
use super::setup::TRACE;
use crate::files::save;
use testbed::machine;

/// Everything that was measured so far, beside the report that comes at the end.
const UNFINISHED: &str = "unfinished.json";

/// What a measurement says that ended without a word of its own.
const KILLED: &str = "it was killed";

impl Plan {
    /// Has the report go to `directory`, where it can be written; what an earlier call measured there is not measured
    /// again if it is to `resume`.
    ///
    /// # Errors
    /// When it cannot be written, or what is there is of something else.
    pub fn reported(mut self, directory: &Path, resume: bool) -> Result<Plan> {
        self.directory = directory.to_owned();
        let place = directory.join(UNFINISHED);
        if resume && let Some(earlier) = earlier(directory)? {
            self.go_on(earlier).with_context(|| format!("{} cannot go on", directory.display()))?;
        }
        let trial = directory.join(format!("{UNFINISHED}.new"));
        save(&trial, "").and_then(|()| fs::remove_file(&trial).context("cannot remove it again"))?;
        if !resume && place.exists() {
            fs::remove_file(&place).with_context(|| format!("cannot remove {}", place.display()))?;
        }
        Ok(self)
    }

    /// Takes over the runs of an earlier call. Rounds may be added.
    fn go_on(&mut self, earlier: Measurement) -> Result<()> {
        let machine = machine::describe();
        let (mine, theirs) = (&self.result.conditions, &earlier.conditions);
        ensure!(theirs.machine == machine, "it was begun on {}, and this is {machine}", theirs.machine);
        let length = |one: &Conditions| (one.warm_up_s, one.measured_s);
        let cases = |one: &Measurement| {
            let all = one.cases().map(|(comparison, case)| {
                (comparison.title.clone(), case.label.clone(), case.settings.clone())
            });
            all.collect::<Vec<_>>()
        };
        let traced = |one: &Conditions| one.base.iter().find(|(key, _)| key == TRACE).cloned();
        ensure!(
            traced(mine) == traced(theirs),
            "it was begun {} --watch or --trace; without --resume it begins anew",
            if traced(theirs).is_some() { "with" } else { "without" }
        );
        ensure!(
            length(mine) == length(theirs) && cases(&self.result) == cases(&earlier),
            "it was begun with other cases, settings or times; without --resume it begins anew"
        );
        self.result.conditions = Conditions { rounds: mine.rounds, ..earlier.conditions };
        self.result.comparisons = earlier.comparisons;
        let all = self.result.comparisons.iter_mut().flat_map(|comparison| &mut comparison.cases);
        all.for_each(|case| case.failures.clear());
        Ok(())
    }
}

fn earlier(directory: &Path) -> Result<Option<Measurement>> {
    for name in [UNFINISHED, RESULTS] {
        match fs::metadata(directory.join(name)) {
            Ok(_) => return report::read(&directory.join(name)).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", directory.display())),
        }
    }
    Ok(None)
}

/// Keeps what there is.
///
/// # Errors
/// When it cannot be written.
pub fn keep(result: &Measurement, directory: &Path) -> Result<()> {
    let (place, new) = (directory.join(UNFINISHED), directory.join(format!("{UNFINISHED}.new")));
    let result = Measurement { unfinished: KILLED.to_owned(), ..result.clone() };
    save(&new, &serde_json::to_string(&result).context("cannot express the results as JSON")?)?;
    fs::rename(&new, &place).with_context(|| format!("cannot write {}", place.display()))
}

/// Writes the report of what there is; returns its page. What was kept goes with a report that has it.
///
/// # Errors
/// When it cannot be written; what was kept stays then.
pub fn report(result: &Measurement, directory: &Path) -> Result<std::path::PathBuf> {
    let page = report::write(result, directory)?;
    match fs::remove_file(directory.join(UNFINISHED)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {UNFINISHED}"))
        }
        _ => Ok(page),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::declaration::Declaration;
    use crate::measure::fixture::Scratch;
    use crate::measure::plan::Choice;
    use crate::measure::result::Run;

    fn plan(cases: &[&str], rounds: u32) -> Plan {
        let cases = cases.iter().map(|case| (*case).to_owned()).collect();
        let mut choice = Choice { cases, ..Choice::default() };
        choice.length.rounds = Some(rounds);
        Plan::new(&Declaration::bench().expect("bench.toml is right"), &choice).expect("right")
    }

    #[test]
    fn what_was_kept_is_not_measured_again() {
        let scratch = Scratch::new("kept");
        let directory = scratch.path().join("new");
        let begun =
            plan(&["mode=direct", "mode=batched"], 2).reported(&directory, true).expect("nothing yet");
        assert_eq!(begun.estimate().0, 4);
        let mut result = begun.result;
        result.conditions.machine = machine::describe();
        result.comparisons[0].cases[1].runs.push(Run { round: 1, ..Run::default() });
        result.comparisons[0].cases[0].failures.push("round 1: no".to_owned());
        keep(&result, &directory).expect("it is written");

        let again = plan(&["mode=direct", "mode=batched"], 3).reported(&directory, true).expect("the same");
        assert_eq!(
            (again.estimate().0, again.result.problems()),
            (5, Vec::new()),
            "a failure is tried again"
        );
        assert_eq!(again.result.conditions.rounds, 3, "rounds may be added");
        let other = plan(&["mode=direct", "mode=serial"], 2).reported(&directory, true);
        let error = format!("{:#}", other.expect_err("other cases"));
        assert!(error.contains("other cases, settings or times"), "{error}");

        // The page that is served is another each time, and the setting the same.
        let watched = |base: &str| {
            let mut choice = Choice { base: vec![base.to_owned()], ..Choice::default() };
            choice.cases = ["mode=direct", "mode=batched"].map(str::to_owned).into();
            let plan = Plan::new(&Declaration::bench().expect("bench.toml is right"), &choice);
            plan.expect("right").reported(&directory, true).map(|plan| plan.estimate().0)
        };
        let error = format!("{:#}", watched("TRACE={watch}/{instance}.jsonl").expect_err("not watched"));
        assert!(error.contains("it was begun without --watch or --trace"), "{error}");

        report(&result, &directory).expect("a report");
        assert!(!directory.join(UNFINISHED).exists());
        let anew = plan(&["mode=direct", "mode=batched"], 2).reported(&directory, false).expect("anew");
        assert_eq!(anew.estimate().0, 4);
    }
}
