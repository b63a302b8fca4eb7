//! `loadtest experiment`: one question each, answered by loading the stack while a few things vary.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::args::{AgainstArgs, LengthArgs};
use crate::measure::cores::Cores;
use crate::measure::declaration::Declaration;
use crate::measure::declared;
use crate::measure::plan::{Choice, Plan};
use crate::measure::result::Measurement;
use crate::measure::setup::{RUN_DIRECTORY, Setup, TRACE, WATCHED};
use crate::measure::{self, formula, index};
use crate::watch::WatchArgs;

/// Where the reports go unless told otherwise, one directory for each experiment.
const REPORTS: &str = "reports/experiments";

/// Which experiments to play, and how long.
#[derive(Clone, Debug, clap::Args)]
pub struct ExperimentArgs {
    /// Those of loadtest/experiments, without the ending, or files of one's own
    #[arg(value_name = "NAME|FILE.toml", required_unless_present_any = ["all", "list"])]
    pub names: Vec<String>,

    /// All of loadtest/experiments
    #[arg(long)]
    pub all: bool,

    /// Only say which there are
    #[arg(long)]
    pub list: bool,

    /// How long.
    #[command(flatten)]
    pub length: LengthArgs,

    /// Where the reports go, a directory for each experiment and an index [default:
    /// reports/experiments]
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,

    /// With what it is compared.
    #[command(flatten)]
    pub against: AgainstArgs,

    /// Have the instances trace, and keep what each run traced, with its page; as TRACE={dir}/{instance}.jsonl does in a
    /// file
    #[arg(long, conflicts_with = "watch")]
    pub trace: bool,

    /// Whether it can be watched.
    #[command(flatten)]
    pub watch: WatchArgs,
}

impl ExperimentArgs {
    /// Returns the declarations that were asked for, each once.
    fn declarations(&self) -> Result<Vec<Declaration>> {
        let shipped = declared::shipped()?;
        let all = if self.all { shipped.clone() } else { Vec::new() };
        let mut paths = Vec::new();
        for name in all.iter().chain(&self.names) {
            let path = if name.ends_with(".toml") {
                PathBuf::from(name)
            } else {
                ensure!(
                    shipped.contains(name),
                    "there is no experiment {name:?}; there are {}",
                    shipped.join(", ")
                );
                declared::directory().join(format!("{name}.toml"))
            };
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        let declarations: Vec<Declaration> =
            paths.iter().map(|path| Declaration::read(path)).collect::<Result<_>>()?;
        let names: BTreeSet<&str> = declarations.iter().map(|one| one.name.as_str()).collect();
        ensure!(names.len() == declarations.len(), "two files of one name would share one report");
        Ok(declarations)
    }
}

/// Runs the command to its end.
///
/// # Errors
/// When something that is asked for is not there or wrong, before anything is started; when a run
/// failed or left wrong books, after everything else was run; at once when the first one failed, or when it
/// was interrupted.
pub async fn run(args: &ExperimentArgs) -> Result<()> {
    if args.list {
        return list();
    }
    let say = |line: &str| out!("{line}");
    let aside = Cores::of_machine().ok().map(|cores| cores.k6.to_string());
    let watch = args.watch.start(None, aside, &say).await?;
    let place = if watch.is_some() { Some(WATCHED) } else { args.trace.then_some(RUN_DIRECTORY) };
    let trace = place.map(|place| format!("{TRACE}={place}/{{instance}}.jsonl"));
    let choice = Choice { length: args.length, base: trace.iter().cloned().collect(), ..Choice::default() };
    let directory = args.report.clone().unwrap_or_else(|| testbed::repository_root().join(REPORTS));
    let plan = |one: &Declaration| {
        let plan = Plan::new(one, &choice)?;
        let traces = |setup: &Setup| setup.env.get(TRACE).map(|value| format!("{TRACE}={value}"));
        ensure!(
            watch.is_none()
                || traces(&one.base()?).is_none() && plan.setups().all(|setup| traces(setup) == trace),
            "{}: --watch says itself where traces go: leave out TRACE",
            one.name
        );
        let watched = watch.as_ref().map(|watch| watch.directory().to_owned());
        let plan = plan.reported(&directory.join(&one.name), args.length.resume)?.beside(&args.against)?;
        anyhow::Ok(Plan { watched, ..plan })
    };
    let plans = args.declarations()?.iter().map(plan).collect::<Result<Vec<_>>>()?;
    let finished = |result: &Measurement, page: &Path, progress: &measure::progress::Progress| {
        // An answer that cannot be given is no reason to stop: the data is there.
        let answer = formula::answer(result).unwrap_or_else(|error| format!("{error:#}"));
        progress.say(&format!("{}: {answer}\n  {}\n", result.title, page.display()));
    };
    let results = measure::make(plans, finished).await;
    // What was stopped has a report too.
    index::write(&directory)?;
    let results = results?;
    let of_result = |result: &Measurement| {
        result.problems().into_iter().map(|problem| format!("{} {problem}", result.name)).collect::<Vec<_>>()
    };
    let problems: Vec<String> = results.iter().flat_map(of_result).collect();
    ensure!(problems.is_empty(), "not every run went well:\n  {}", problems.join("\n  "));
    Ok(())
}

fn list() -> Result<()> {
    for name in declared::shipped()? {
        let declaration = Declaration::read(&declared::directory().join(format!("{name}.toml")))?;
        let points: usize =
            declaration.axes().map_or(0, |axes| axes.map(|axis| axis.values.len()).iter().product());
        out!("{name:<12} {}: {} ({points} points)", declaration.title, declaration.question);
    }
    Ok(())
}
