//! `loadtest bench`: the cost of a request within the contest's limits, one case beside the other.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::args::{AgainstArgs, LengthArgs};
use crate::files::report_directory;
use crate::measure::declaration::Declaration;
use crate::measure::plan::{Choice, Plan};
use crate::measure::progress::Progress;
use crate::measure::result::Measurement;
use crate::measure::{self, words};
use crate::report::text;

/// The comparison that `--contest-rate` means.
const CONTEST_RATE: &str = "contest_rate";

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchArgs {
    /// Only this comparison of loadtest/bench.toml; may be repeated
    #[arg(long, value_name = "COMPARISON", value_delimiter = ',', value_parser = comparisons())]
    pub only: Vec<String>,

    /// Only the contest's own 340 requests/s, mode by mode: the same as --only contest_rate
    #[arg(long)]
    pub contest_rate: bool,

    /// A case of a comparison of one's own, as settings in addition to the base: mode, profile,
    /// connections, clients, balancing, split, transport, mix, pace, guiche (a program; {target} is the
    /// repository's target), a setting of the service in capitals ({dir} in it is the run's directory),
    /// pg.SETTING; may be repeated
    #[arg(long = "case", value_name = "KEY=VALUE,…")]
    pub cases: Vec<String>,

    /// What all cases have in common, where it is not what is shipped
    #[arg(long, default_value = "", value_name = "KEY=VALUE,…", hide_default_value = true)]
    pub base: String,

    /// A setting of the service for all cases, such as BATCH_MAX=64; may be repeated
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub env: Vec<String>,

    /// A setting of PostgreSQL for all cases, such as wal_buffers=1MB; may be repeated
    #[arg(long = "pg", value_name = "NAME=VALUE")]
    pub pg: Vec<String>,

    /// Count an instance's instructions for each case too, with valgrind; comparing tracing does it anyway
    #[arg(long)]
    pub instructions: bool,

    /// Load what somebody else has started, http://HOST:PORT; cases then say connections, clients, mix and keyed, and what is
    /// inside is not seen
    #[arg(long, value_name = "URL", conflicts_with_all = ["only", "contest_rate", "env", "pg", "instructions"])]
    pub target: Option<String>,

    /// How long; --quick takes a few cases, in under two minutes.
    #[command(flatten)]
    pub length: LengthArgs,

    /// With what it is compared.
    #[command(flatten)]
    pub against: AgainstArgs,

    /// Where the report goes [default: reports/bench-TIME]
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
}

/// Returns the names that the file declares; a broken file is told when the command runs.
fn comparisons() -> PossibleValuesParser {
    let declared = Declaration::bench().map(|declaration| declaration.comparison).unwrap_or_default();
    PossibleValuesParser::new(declared.into_iter().map(|one| PossibleValue::new(one.name).help(one.title)))
}

impl BenchArgs {
    fn choice(&self) -> Choice {
        let rate = self.contest_rate.then(|| CONTEST_RATE.to_owned());
        let pg = self.pg.iter().map(|setting| format!("pg.{setting}"));
        Choice {
            only: self.only.iter().cloned().chain(rate).collect(),
            // Without a case the base is one.
            cases: if self.target.is_some() && self.cases.is_empty() {
                vec![String::new()]
            } else {
                self.cases.clone()
            },
            base: std::iter::once(self.base.clone()).chain(self.env.iter().cloned()).chain(pg).collect(),
            instructions: self.instructions,
            length: self.length,
        }
    }
}

/// Runs the command to its end.
///
/// # Errors
/// When any run failed or left wrong books, after everything else was run; at once when the first
/// one failed, or when it was interrupted.
pub async fn run(args: &BenchArgs) -> Result<()> {
    let directory = report_directory(args.report.as_deref(), "bench");
    ensure!(!args.length.resume || args.report.is_some(), "--resume needs --report: what is to go on?");
    let mut plan = Plan::new(&Declaration::bench()?, &args.choice())?;
    if let Some(url) = &args.target {
        plan = plan.against(url)?;
    }
    let plan = plan.reported(&directory, args.length.resume)?.beside(&args.against)?;
    let finished = |result: &Measurement, page: &Path, progress: &Progress| {
        let goals = words::goals(result);
        if !goals.is_empty() {
            progress.say(&text::table(&goals));
        }
        progress.say(&format!("Report: {}", page.display()));
    };
    for result in measure::make(vec![plan], finished).await? {
        let problems = result.problems();
        ensure!(problems.is_empty(), "not every run went well:\n  {}", problems.join("\n  "));
    }
    Ok(())
}
