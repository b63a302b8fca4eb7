//! `loadtest contest --stack docker`.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use testbed::docker::DockerStack;
use testbed::signals::interrupted;

use super::args::ContestArgs;
use super::plan::Plan;
use super::play::{self, Session};
use super::ports;
use super::result::{ContestResult, StackConditions};
use super::score;
use super::target::Target;
use crate::k6::K6;
use crate::up::containers::start;

/// Starts the containers, plays the contest, and removes them again, whatever came of it.
///
/// # Errors
/// When it could not be played, or when a container ended meanwhile.
pub async fn contest(args: &ContestArgs, k6: &K6, directory: &Path) -> Result<ContestResult> {
    let begin = Instant::now();
    let say = |step: &str| println!("{:6.1} s  {step}", begin.elapsed().as_secs_f64());
    let stack = start(args.stack.docker_options()?, &say).await?;
    say(&format!(
        "ready {:.1} s after `docker compose up`: {}; playing {} requests",
        stack.cold_start().as_secs_f64(),
        stack.url(),
        score::grouped(args.plan().expected_total())
    ));
    let target = Target::new(&stack.url())?;
    let usage = || stack.usage();
    let session = Session {
        k6,
        target: &target,
        plan: args.plan(),
        database_url: Some(stack.admin_url().await?),
        stack: Some(conditions_of(&stack, &args.plan())),
        usage: Some(&usage),
        directory,
        since: Instant::now() - stack.cold_start(),
    };
    let played = tokio::select! {
        result = play::play(&session) => result,
        error = stack.ended() => Err(error.context("a container ended during the contest")),
        signal = interrupted() => Err(anyhow::anyhow!("stopped by {signal}")),
    };
    say("removing the containers");
    let stopped = stack.stop().await;
    let result = played?;
    stopped.context("the containers could not be removed")?;
    Ok(result)
}

fn conditions_of(stack: &DockerStack, plan: &Plan) -> StackConditions {
    let options = stack.options();
    StackConditions {
        mode: options.mode.to_string(),
        profile: options.profile.to_string(),
        balancing: options.balancing.to_string(),
        cpus: options.split.to_string(),
        envelope: true,
        disk: "a volume of Docker's".to_owned(),
        caveat: ports::caveat(plan),
    }
}
