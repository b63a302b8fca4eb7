//! `loadtest up`: starts the stack, shows where it listens, and follows it until Ctrl-C.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::args::StackArgs;
use testbed::Running;
use testbed::cluster::connect;
use testbed::http::Endpoint;
use testbed::signals::interrupted;
use testbed::split::Service;
use testbed::stack::DATABASE;

/// How often each part is asked how it is.
const INTERVAL: Duration = Duration::from_secs(1);

/// Runs the command to its end.
///
/// # Errors
/// When the stack does not start, when a part of it dies, or when it does not stop cleanly.
pub async fn run(args: &StackArgs) -> Result<()> {
    let begin = Instant::now();
    let say = |step: &str| println!("{:6.1} s  {step}", begin.elapsed().as_secs_f64());
    let running = args.start(&say).await?;
    say(&format!("ready: {}", running.url()));
    println!("{}\n  Ctrl-C stops and removes it all", running.parts().await?);

    let mut health = Health::of(&running);
    let outcome = tokio::select! {
        error = running.ended() => Err(error),
        signal = interrupted() => Ok(signal),
        () = health.follow(&say) => unreachable!("it is followed for ever"),
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
    /// Returns all parts that can be asked, healthy: the stack has just been seen to work. Of containers Docker
    /// itself knows.
    fn of(running: &Running) -> Health {
        let Running::Native(stack) = running else { return Health { parts: Vec::new() } };
        let ready = |index: usize| Question::Http(stack.instances[index].endpoint.clone(), "/readyz");
        let questions = [
            (Service::Database, Question::Sql(stack.cluster.admin_url(DATABASE))),
            (Service::Api1, ready(0)),
            (Service::Api2, ready(1)),
            (Service::Nginx, Question::Http(Endpoint::Tcp(stack.nginx.address), "/healthz")),
        ];
        let healthy =
            |(service, question): (Service, Question)| (service.name(), question, "healthy".to_owned());
        Health { parts: questions.map(healthy).into() }
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
