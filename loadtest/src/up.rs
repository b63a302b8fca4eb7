//! `loadtest up`: starts the stack, shows where it listens, and follows it until Ctrl-C.

pub(crate) mod containers;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::args::{StackArgs, StackKind};
use testbed::cluster::connect;
use testbed::http::Endpoint;
use testbed::process::Process;
use testbed::signals::interrupted;
use testbed::split::Service;
use testbed::stack::{DATABASE, Stack};

/// How often each part is asked how it is.
const INTERVAL: Duration = Duration::from_secs(1);

/// Runs the command to its end.
///
/// # Errors
/// When the stack does not start, when a part of it dies, or when it does not stop cleanly.
pub async fn run(args: &StackArgs) -> Result<()> {
    if args.kind == StackKind::Docker {
        return containers::up(args).await;
    }
    let begin = Instant::now();
    let say = |step: &str| println!("{:6.1} s  {step}", begin.elapsed().as_secs_f64());
    let mut stack = tokio::select! {
        stack = Stack::start(args.options()?, &say) => stack?,
        signal = interrupted() => bail!("stopped by {signal} before it was ready; nothing is left running"),
    };
    say(&format!("ready: {}", stack.url()));
    show(&stack);

    let mut health = Health::of(&stack);
    let outcome = tokio::select! {
        error = stack.ended() => Err(error),
        signal = interrupted() => Ok(signal),
        () = health.follow(&say) => unreachable!("it is followed for ever"),
    };
    say(&format!("stopping ({})", outcome.as_ref().map_or("a part has ended", |signal| *signal)));
    let kept = stack.options().keep.then(|| stack.dir().to_owned());
    let stopped = tokio::select! {
        stopped = stack.stop() => stopped,
        // Dropped half-way, it is stopped without patience.
        signal = interrupted() => bail!("stopped by {signal} while stopping"),
    };
    if let Some(dir) = kept {
        say(&format!("kept: {}", dir.display()));
    }
    outcome?;
    stopped
}

/// Where each part listens, its process id and its log.
fn show(stack: &Stack) {
    let row = |name: &str, address: String, process: &Process| {
        println!("  {name:<14}  {address:<24}  pid {:<8} {}", process.pid(), process.log().display());
    };
    row(Service::Nginx.name(), stack.nginx().address.to_string(), &stack.nginx().process);
    for (index, service) in [Service::Api1, Service::Api2].into_iter().enumerate() {
        let instance = stack.instance(index);
        row(service.name(), instance.endpoint().to_string(), instance.process());
    }
    let cluster = stack.cluster();
    let (address, pid) = (format!("127.0.0.1:{}", cluster.port()), cluster.pid().unwrap_or_default());
    println!("  {:<14}  {address:<24}  pid {pid:<8} {}", Service::Database.name(), cluster.log().display());
    println!("  look into it with: psql '{}'", stack.admin_url());
    println!("  Ctrl-C stops and removes it all");
}

/// The parts and how each was when last asked.
struct Health {
    parts: Vec<(&'static str, Question, String)>,
}

/// How to find out how a part is.
enum Question {
    Http(Endpoint, &'static str),
    Sql(String),
}

impl Health {
    /// All parts, healthy: the stack has just been seen to work.
    fn of(stack: &Stack) -> Health {
        let well = || "healthy".to_owned();
        let ready = |index: usize| Question::Http(stack.instance(index).endpoint().clone(), "/readyz");
        Health {
            parts: vec![
                (Service::Database.name(), Question::Sql(stack.cluster().admin_url(DATABASE)), well()),
                (Service::Api1.name(), ready(0), well()),
                (Service::Api2.name(), ready(1), well()),
                (
                    Service::Nginx.name(),
                    Question::Http(Endpoint::Tcp(stack.nginx().address), "/healthz"),
                    well(),
                ),
            ],
        }
    }

    /// Asks again and again, and says what has changed.
    async fn follow(&mut self, say: &dyn Fn(&str)) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            for (name, question, last) in &mut self.parts {
                let now = question.ask().await;
                if now != *last {
                    say(&format!("{name}: {now}"));
                    *last = now;
                }
            }
        }
    }
}

impl Question {
    async fn ask(&self) -> String {
        let health = match self {
            Question::Http(endpoint, path) => endpoint.check(path).await,
            Question::Sql(url) => connect(url).await.map(drop),
        };
        health.map_or_else(|error| format!("{error:#}"), |()| "healthy".to_owned())
    }
}
