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
//! | [`report`]  | Markdown, a page with charts, text, JSON                               |
//!
//! The judgement of each response is the script's (`loadtest/k6/lib/judge.js`), so that plain
//! `k6 run` gives it too.

pub mod args;
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

use anyhow::{Result, bail, ensure};

use crate::k6::K6;
use crate::report::text::grouped;
pub use args::ContestArgs;
use play::Session;
use result::ContestResult;
use target::Target;
use testbed::Running;
use testbed::signals::interrupted;

/// Runs the command to its end.
///
/// # Errors
/// When it could not be played, when it was interrupted, or when anything at all was fined,
/// wrong, or not the contest's load; the error says what.
pub async fn run(args: &ContestArgs) -> Result<()> {
    let directory = args.report_directory();
    let (k6, plan) = (K6::find(args.k6.as_deref())?, args.plan());
    let session = |target, database_url| Session {
        k6: &k6,
        target,
        plan,
        database_url,
        running: None,
        directory: &directory,
    };
    let result = match &args.target {
        None => against_own_stack(args, session).await?,
        Some(url) => {
            let session = session(Target::new(url)?, args.database_url.clone());
            tokio::select! {
                result = play::play(&session) => result?,
                signal = interrupted() => bail!("stopped by {signal}"),
            }
        }
    };
    let page = report::write(&result, &directory)?;
    out!("\n{}", report::text(&result)?.trim_end());
    out!("Report: {}", page.canonicalize().unwrap_or(page).display());
    ensure!(result.problems.is_empty(), "the contest is lost:\n  {}", result.problems.join("\n  "));
    Ok(())
}

/// Starts the stack, plays, and stops it again, whatever came of it.
async fn against_own_stack<'a>(
    args: &ContestArgs,
    session: impl Fn(Target, Option<String>) -> Session<'a>,
) -> Result<ContestResult> {
    // The instances say of each answer where its time went; what the command line says counts.
    let env = [("SERVER_TIMING", "on")];
    let play = async |running: &Running, say: &dyn Fn(&str)| {
        say(&format!(
            "ready after {:.1} s: {}; playing {} requests",
            running.cold_start().as_secs_f64(),
            running.url(),
            grouped(args.plan().expected_total())
        ));
        let session = session(Target::new(&running.url())?, Some(running.admin_url().await?));
        play::play(&Session { running: Some(running), ..session }).await
    };
    args.stack.play_on("the contest", &env, play).await
}
