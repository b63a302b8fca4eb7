//! A running stack, whatever it runs in.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::docker::{DockerOptions, DockerStack};
use crate::envelope::Envelope;
use crate::instance::Instance;
use crate::split::Service;
use crate::stack::{Limits, Progress, Stack, StackOptions};
use crate::usage::ServiceUsage;

/// What the services run in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Topology {
    /// Processes of this machine.
    #[default]
    Native,
    /// Containers, with the Compose files of the repository; their limits always hold.
    Docker,
}

/// Says the same of a stack, whatever it runs in.
macro_rules! either {
    ($running:expr, $stack:ident => $said:expr) => {
        match $running {
            Running::Native($stack) => $said,
            Running::Docker($stack) => $said,
        }
    };
}

/// A running stack. Dropped, it is gone with everything it made.
#[derive(Debug)]
pub enum Running {
    /// Processes of this machine.
    Native(Box<Stack>),
    /// Containers.
    Docker(Box<DockerStack>),
}

impl Running {
    /// Starts it and waits until a client's statement can be read through NGINX. Dropping the future removes
    /// what has been started so far. Containers are of the image that `GUICHE_IMAGE` names, else of one that
    /// is built: what is there already need not be built, nor can what is published.
    ///
    /// # Errors
    /// As for [`Stack::start`] and [`DockerStack::start`].
    pub async fn start(topology: Topology, stack: StackOptions, progress: Progress<'_>) -> Result<Running> {
        if topology == Topology::Native {
            return Ok(Running::Native(Box::new(Stack::start(stack, progress).await?)));
        }
        let image = std::env::var("GUICHE_IMAGE").ok().filter(|image| !image.is_empty());
        let options = DockerOptions { stack, image, ..DockerOptions::default() };
        Ok(Running::Docker(Box::new(DockerStack::start(options, progress).await?)))
    }

    /// Returns where NGINX listens: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        either!(self, stack => stack.url())
    }

    /// Returns how the superuser connects to the service's database.
    ///
    /// # Errors
    /// When its container is not running.
    pub async fn admin_url(&self) -> Result<String> {
        match self {
            Running::Native(stack) => Ok(stack.admin_url()),
            Running::Docker(stack) => stack.admin_url().await,
        }
    }

    /// Returns what it was started with.
    pub fn options(&self) -> &StackOptions {
        match self {
            Running::Native(stack) => &stack.options,
            Running::Docker(stack) => &stack.options.stack,
        }
    }

    /// Returns whether the contest's limits hold.
    pub fn is_limited(&self) -> bool {
        match self {
            Running::Native(stack) => stack.limits == Limits::Enforced,
            Running::Docker(_) => true,
        }
    }

    /// Returns the cgroups of its services, where they are this program's own.
    pub fn envelope(&self) -> Option<&Envelope> {
        match self {
            Running::Native(stack) => stack.envelope.as_ref(),
            Running::Docker(_) => None,
        }
    }

    /// Returns what the data is on, in words.
    pub fn disk(&self) -> String {
        match self {
            Running::Native(stack) => stack.disk.to_string(),
            Running::Docker(_) => "a volume of Docker's".to_owned(),
        }
    }

    /// Returns how long it took from nothing until a statement could be read.
    pub fn cold_start(&self) -> Duration {
        either!(self, stack => stack.cold_start)
    }

    /// Returns what each service has used, in the order of [`Service::of`]; nothing where that is not known.
    pub fn usage(&self) -> Vec<ServiceUsage> {
        either!(self, stack => stack.usage())
    }

    /// Returns a line for each part that says where it is, and how to look into it.
    ///
    /// # Errors
    /// As for [`Running::admin_url`].
    pub async fn parts(&self) -> Result<String> {
        let row = |service: Service, address: String, pid: u32, log: &Path| {
            format!("  {:<14}  {address:<24}  pid {pid:<8} {}\n", service.name(), log.display())
        };
        let (parts, logs) = match self {
            Running::Native(stack) => {
                let (nginx, cluster) = (&stack.nginx, &stack.cluster);
                let instance = |service, index: usize| {
                    let Instance { process, endpoint, .. } = &stack.instances[index];
                    row(service, endpoint.to_string(), process.pid(), process.log())
                };
                let address = format!("127.0.0.1:{}", cluster.port());
                let part = |service| match service {
                    Service::Nginx => {
                        row(service, nginx.address.to_string(), nginx.process.pid(), nginx.process.log())
                    }
                    Service::Api(index) => instance(service, index),
                    Service::Database => {
                        row(service, address.clone(), cluster.pid().unwrap_or_default(), &cluster.log())
                    }
                };
                (stack.services().into_iter().map(part).collect::<String>(), String::new())
            }
            Running::Docker(stack) => {
                let part = |service: Service| {
                    format!("  {:<14}  container {:.12}\n", service.name(), stack.container(service))
                };
                let logs =
                    format!("docker compose -p {} logs\n{:21}", stack.compose.project(), String::new());
                (Service::ALL.map(part).concat(), logs)
            }
        };
        Ok(format!("{}  look into it with: {logs}psql '{}'", parts, self.admin_url().await?))
    }

    /// Waits until a part ends by itself; returns which, and the end of its log.
    pub async fn ended(&self) -> (Service, anyhow::Error) {
        either!(self, stack => stack.ended().await)
    }

    /// Stops everything after a load, whatever came of it, and gives back what did.
    ///
    /// # Errors
    /// As for [`Stack::stop_after`].
    pub async fn stop_after<T>(self, load: &str, outcome: Result<T>) -> Result<T> {
        match self {
            Running::Native(stack) => stack.stop_after(load, outcome).await,
            Running::Docker(stack) => {
                let stopped = stack.stop().await;
                let outcome = outcome?;
                stopped.context("the containers could not be removed")?;
                Ok(outcome)
            }
        }
    }

    /// Stops everything and removes what it made.
    ///
    /// # Errors
    /// The first thing that went wrong; the rest is stopped all the same.
    pub async fn stop(self) -> Result<()> {
        either!(self, stack => stack.stop().await)
    }
}
