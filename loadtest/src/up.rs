//! `loadtest up`: starts the stack, shows where it listens, and follows it until Ctrl-C.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::args::StackArgs;
use testbed::Running;
use testbed::bank::SHIPPED_CLIENTS;
use testbed::cluster::connect;
use testbed::http::Endpoint;
use testbed::signals::interrupted;
use testbed::split::{INSTANCES, MOST_INSTANCES, Service};
use testbed::stack::Stack;

/// How often each part is asked how it is.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is said of a part that is well.
const HEALTHY: &str = "healthy";

/// The most clients that a bank is made with: a row takes a fifth of a kilobyte.
const MOST_CLIENTS: i64 = 100_000_000;

/// The longest history that is laid down: a transaction takes a tenth of a kilobyte.
const MOST_ROWS: u64 = 1_000_000_000;

/// What `up` takes.
#[derive(clap::Args, Debug)]
pub struct UpArgs {
    #[command(flatten)]
    args: StackArgs,
    /// How many instances there are: more or fewer than two share the CPU and memory that two have
    #[arg(long, default_value_t = INSTANCES as u8, value_name = "N",
          value_parser = clap::value_parser!(u8).range(1..=MOST_INSTANCES as i64))]
    instances: u8,
    /// How many clients the bank has: the contest's five, and as many more with the limit of the first
    #[arg(long, default_value_t = SHIPPED_CLIENTS, value_name = "N",
          value_parser = clap::value_parser!(u32).range(i64::from(SHIPPED_CLIENTS)..=MOST_CLIENTS))]
    clients: u32,
    /// At least how many transactions there are from the beginning, shared out over all clients
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u64).range(..=MOST_ROWS))]
    history: u64,
    /// Ends with the first part that does, in place of starting that again
    #[arg(long)]
    no_restart: bool,
}

/// Runs the command to its end.
///
/// # Errors
/// When the stack does not start, when a part of it dies for good, or when it does not stop cleanly.
pub async fn run(UpArgs { args, instances, clients, history, no_restart }: &UpArgs) -> Result<()> {
    let mut args = args.clone();
    (args.stack.instances, args.stack.clients, args.stack.history) =
        (usize::from(*instances), *clients, *history);
    let begin = Instant::now();
    let say = |step: &str| out!("{:6.1} s  {step}", begin.elapsed().as_secs_f64());
    let (args, _watch) = args.watched(&say).await?;
    let mut running = args.start(&say).await?;
    say(&format!("ready: {}", running.url()));
    out!("{}\n  Ctrl-C stops and removes it all", running.parts().await?);

    let outcome = loop {
        let (service, obituary) = tokio::select! {
            ended = running.ended() => ended,
            signal = interrupted() => break Ok(signal),
            () = follow(&running, &say) => unreachable!("it is followed for ever"),
        };
        // Containers are started again by Docker.
        let Running::Native(stack) = &mut running else { break Err(obituary) };
        if *no_restart {
            break Err(obituary);
        }
        say(&format!("{obituary}"));
        tokio::select! {
            () = start_again(stack, service, &say) => {}
            signal = interrupted() => break Ok(signal),
        }
    };
    say(&format!("stopping ({})", outcome.as_ref().map_or("a part has ended", |signal| *signal)));
    let kept = args.stack.keep.then(|| running.options().dir.clone());
    let stopped = tokio::select! {
        stopped = running.stop() => stopped,
        // Dropped half-way, it is stopped without patience.
        signal = interrupted() => bail!("stopped by {signal} while stopping"),
    };
    if let Some(dir) = kept {
        say(&format!("kept: {}", dir.display()));
    }
    outcome?;
    stopped
}

/// Starts a part again, as often as it takes: a database that was killed may have to wait for its last processes.
async fn start_again(stack: &mut Stack, service: Service, say: &dyn Fn(&str)) {
    say(&format!("{}: is started again", service.name()));
    while let Err(error) = stack.start_again(service).await {
        say(&format!("{}: {error}", service.name()));
        tokio::time::sleep(INTERVAL).await;
    }
    say(&format!("{}: runs again", service.name()));
}

/// Asks every part again and again how it is, and says what has changed: all have just been seen to work. Of
/// containers Docker itself knows.
async fn follow(running: &Running, say: &dyn Fn(&str)) {
    let Running::Native(stack) = running else { return std::future::pending().await };
    let services = stack.services().into_iter();
    let mut health: Vec<_> = services.map(|service| (service, HEALTHY.to_owned())).collect();
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        for (service, last) in &mut health {
            let asked = ask(stack, *service).await;
            let now = asked.map_or_else(|error| format!("{error:#}"), |()| HEALTHY.to_owned());
            if now != *last {
                say(&format!("{}: {now}", service.name()));
                *last = now;
            }
        }
    }
}

async fn ask(stack: &Stack, service: Service) -> Result<()> {
    match service {
        Service::Api(index) => stack.instances[index].endpoint.check("/readyz").await,
        Service::Nginx => Endpoint::Tcp(stack.nginx.address).check("/healthz").await,
        Service::Database => connect(&stack.admin_url()).await.map(drop),
    }
}
