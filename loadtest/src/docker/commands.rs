//! `loadtest up --stack docker` and `loadtest contest --stack docker`.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::ports;
use super::stack::{DockerOptions, DockerStack};
use crate::args::StackArgs;
use crate::contest::ContestArgs;
use crate::contest::k6::K6;
use crate::contest::plan::Plan;
use crate::contest::play::{self, Game};
use crate::contest::result::{ContestResult, StackConditions};
use crate::contest::score;
use crate::contest::target::Target;
use crate::signals::interrupted;
use crate::split::Service;

/// Starts the containers, shows where they are, and follows them until Ctrl-C.
///
/// # Errors
/// When the stack does not start, when a container ends, or when it cannot be removed.
pub async fn up(args: &StackArgs) -> Result<()> {
    let begin = Instant::now();
    let say = |step: &str| println!("{:6.1} s  {step}", begin.elapsed().as_secs_f64());
    let stack = start(args.docker_options()?, &say).await?;
    say(&format!("ready: {}", stack.url()));
    for service in Service::ALL {
        println!("  {:<14}  container {:.12}", service.name(), stack.container(service));
    }
    println!("  look into it with: docker compose -p {} logs", stack.compose().project());
    println!("                     psql '{}'", stack.admin_url().await?);
    println!("  Ctrl-C stops and removes it all");
    let outcome = tokio::select! {
        error = stack.ended() => Err(error),
        signal = interrupted() => Ok(signal),
    };
    say(&format!("stopping ({})", outcome.as_ref().map_or("a container has ended", |signal| *signal)));
    let stopped = stack.stop().await;
    outcome?;
    stopped
}

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
    let game = Game {
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
        result = play::play(&game) => result,
        error = stack.ended() => Err(error.context("a container ended during the contest")),
        signal = interrupted() => Err(anyhow::anyhow!("stopped by {signal}")),
    };
    say("removing the containers");
    let stopped = stack.stop().await;
    let result = played?;
    stopped.context("the containers could not be removed")?;
    Ok(result)
}

async fn start(options: DockerOptions, say: &(dyn Fn(&str) + Send + Sync)) -> Result<DockerStack> {
    tokio::select! {
        stack = DockerStack::start(options, say) => stack,
        signal = interrupted() => bail!("stopped by {signal} before it was ready; nothing is left running"),
    }
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
