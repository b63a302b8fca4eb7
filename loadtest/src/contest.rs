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
//! | [`live`]    | what k6's samples add up to, now and second by second                  |
//! | [`progress`]| what is shown meanwhile                                                |
//! | [`costs`]   | CPU and memory of each service                                         |
//! | [`summary`] | what the script itself says at its end                                 |
//! | [`score`]   | what the contest pays                                                  |
//! | [`result`]  | all of it together, and what is wrong with it                          |
//! | [`report`]  | text, HTML with charts, JSON                                           |
//!
//! The judgement of each response is the script's (`loadtest/k6/lib/judge.js`), so that plain
//! `k6 run` gives it too.

pub mod args;
pub mod containers;
pub mod costs;
pub mod live;
pub mod plan;
pub mod play;
pub mod ports;
pub mod progress;
pub mod report;
pub mod result;
pub mod score;
pub mod summary;
pub mod target;

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::args::StackKind;
use crate::k6::K6;
pub use args::ContestArgs;
pub(crate) use args::timestamp;
use play::Session;
use result::{ContestResult, StackConditions};
use target::Target;
use testbed::signals::interrupted;
use testbed::stack::{Limits, Stack};

/// Runs the command to its end.
///
/// # Errors
/// When it could not be played, when it was interrupted, or when anything at all was fined,
/// wrong, or not the contest's load; the error says what.
pub async fn run(args: &ContestArgs) -> Result<()> {
    let k6 = K6::find(args.k6.as_deref())?;
    let directory = args.report_directory();
    let result = match &args.target {
        None if args.stack.kind == StackKind::Docker => containers::contest(args, &k6, &directory).await?,
        None => against_own_stack(args, &k6, &directory).await?,
        Some(url) => {
            let session = Session {
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
                result = play::play(&session) => result?,
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
        let session = Session {
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
            result = play::play(&session) => result,
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
