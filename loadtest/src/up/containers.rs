//! `loadtest up --stack docker`.

use std::time::Instant;

use anyhow::{Result, bail};
use testbed::docker::{DockerOptions, DockerStack};
use testbed::signals::interrupted;
use testbed::split::Service;

use crate::args::StackArgs;

/// Starts the containers, shows where they are, and follows them until Ctrl-C.
///
/// # Errors
/// When the stack does not start, when a container ends, or when it cannot be removed.
pub(crate) async fn up(args: &StackArgs) -> Result<()> {
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

/// Starts the containers, unless Ctrl-C comes first.
///
/// # Errors
/// When the stack does not start, or was interrupted.
pub(crate) async fn start(options: DockerOptions, say: &(dyn Fn(&str) + Send + Sync)) -> Result<DockerStack> {
    tokio::select! {
        stack = DockerStack::start(options, say) => stack,
        signal = interrupted() => bail!("stopped by {signal} before it was ready; nothing is left running"),
    }
}
