//! The whole topology on this machine: PostgreSQL, two instances unless more or fewer are asked for, NGINX, on loopback.

mod links;
mod options;
mod placement;
mod shards;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::future::{join_all, select_all, try_join_all};
use nix::sys::signal::Signal;

use crate::bank;
use crate::cluster::{Cluster, StopMode, connect};
use crate::disk::{self, Disk};
use crate::envelope::{Envelope, Throttling};
use crate::http::Endpoint;
use crate::instance::{Instance, find_guiche};
use crate::nginx::{Nginx, Program};
use crate::preload;
use crate::process::tail;
use crate::programs::built;
use crate::rundir::RunDir;
use crate::split::Service;
use crate::usage::{ServiceUsage, Usage};

pub use links::Links;
pub use options::{Engine, Limits, StackOptions, Transport};
use placement::{Placement, claim, loopback, make_envelope};
pub use shards::Shards;

/// The database's name, as in the Compose file.
pub const DATABASE: &str = "rinha";

/// What the contest waits for, and how long.
pub(crate) const READY_PATH: &str = "/clientes/1/extrato";
pub(crate) const READY_DEADLINE: Duration = Duration::from_secs(40);
const READY_POLL: Duration = Duration::from_millis(20);

/// How long NGINX may take to end.
const NGINX_STOP_DEADLINE: Duration = Duration::from_secs(5);

/// Told about each step, in a sentence without a full stop.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// A running stack. Dropped, it is gone with everything it made; [`Stack::stop`] does the same in
/// good order and says what went wrong.
#[derive(Debug)]
pub struct Stack {
    // Dropped from the outside in, the directory last.
    /// The load balancer.
    pub nginx: Nginx,
    /// The links between the parts, where [`StackOptions::links`] asks for proxies in them.
    pub links: Option<Links>,
    /// The instances, which may be stopped, killed and started again.
    pub instances: Vec<Instance>,
    /// Where the instances serve their metrics: at `/metrics`, one address each; none unless
    /// [`StackOptions::metrics`] asks for it.
    pub metrics: Vec<Endpoint>,
    /// The database, which may be stopped, killed and started again.
    pub cluster: Cluster,
    /// The database servers behind it.
    pub shards: Shards,
    /// The limits, where they are enforced.
    pub envelope: Option<Envelope>,
    /// Whether the contest's limits hold.
    pub limits: Limits,
    /// What it was started with; the port is the real one.
    pub options: StackOptions,
    /// What the data is on, as measured at the start.
    pub disk: Disk,
    /// How long it took from nothing until a statement could be read.
    pub cold_start: Duration,
    dir: RunDir,
}

impl Stack {
    /// Starts everything and waits until a client's statement can be read through NGINX. Dropping
    /// the future stops and removes what has been started so far.
    ///
    /// # Errors
    /// When something is missing or the port is taken, before anything is started; when a part
    /// does not start, with the end of its log.
    pub async fn start(mut options: StackOptions, progress: Progress<'_>) -> Result<Stack> {
        let begin = Instant::now();
        let guiche = find_guiche(options.guiche.as_deref())?;
        let nginx = Program::find(options.balancing)?;
        Cluster::check(&options.pg)?;
        Shards::check(&options)?;
        if !options.fsync_delay.is_zero() {
            built(preload::LIBRARY)?;
        }
        // Only to say it before anything is started.
        claim(options.port)?;

        let mut dir = RunDir::at(&options.dir)?;
        if options.keep {
            dir.keep();
        }
        let (envelope, limits) = make_envelope(&options, &dir);
        progress(&limits.to_string());
        let placement = Placement { options: &options, envelope: envelope.as_ref() };

        progress("starting PostgreSQL");
        let mut cluster = placement.start_cluster(dir.path()).await?;
        let disk = cluster.disk()?;
        progress(&format!("the data is on {disk}"));
        let shards = Shards::start(&placement, &dir, &cluster, progress).await?;
        if options.clients > bank::SHIPPED_CLIENTS || options.history > 0 {
            progress(&format!("making {} clients and {} transactions", options.clients, options.history));
            let client = connect(&cluster.admin_url(DATABASE)).await?;
            bank::seed(&client, options.clients, bank::LIMIT).await?;
            bank::lay_down(&client, options.clients, options.history).await?;
        }
        if !options.fsync_delay.is_zero() {
            progress(&format!("starting PostgreSQL again, each fsync {:?} slower", options.fsync_delay));
            cluster.delay_fsync(options.fsync_delay).await?;
        }

        progress("writing out what the disk still has to do");
        disk::settle(cluster.data_dir()).await?;

        let count = options.instances;
        progress(&match count {
            1 => format!("starting one instance, mode {}", options.mode),
            _ => format!("starting {count} instances, mode {}", options.mode),
        });
        let mut links = options.links.map(|seed| Links::start(&dir, &cluster, count, seed)).transpose()?;
        let urls = match &links {
            Some(links) => links.database_urls(&cluster),
            None => vec![cluster.api_url(DATABASE); count],
        };
        let metrics =
            (0..count).filter(|_| options.metrics).map(|_| loopback()).collect::<Result<Vec<_>>>()?;
        let start = |index: usize| {
            let (service, program) = (Service::Api(index), guiche.clone());
            placement.start_instance(service, program, &dir, &urls[index], metrics.get(index))
        };
        let instances = try_join_all((0..count).map(start)).await?;

        progress(&format!("starting NGINX, {}", options.balancing));
        // A free one may be taken at any moment, so it is looked for as late as can be.
        let port = claim(options.port)?;
        let mut endpoints: Vec<Endpoint> = instances.iter().map(|one| one.endpoint.clone()).collect();
        if let Some(links) = &mut links {
            endpoints = links.add_instances(&dir, &endpoints)?;
        }
        let launch = nginx.launch(options.balancing, dir.path(), port, &endpoints)?;
        let nginx = Nginx::start(&placement.place(launch, Service::Nginx), port)?;
        options.port = port;
        let cold_start = Duration::ZERO;
        let mut stack = Stack {
            nginx,
            links,
            instances,
            metrics,
            cluster,
            shards,
            envelope,
            limits,
            options,
            disk,
            cold_start,
            dir,
        };
        stack.ready().await?;
        stack.cold_start = begin.elapsed();
        Ok(stack)
    }

    /// Returns where NGINX listens: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.nginx.address)
    }

    /// Returns how the superuser connects to the service's database.
    pub fn admin_url(&self) -> String {
        self.cluster.admin_url(DATABASE)
    }

    /// Returns the run directory, which has the logs.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Returns its services, in the order of [`Service::of`].
    pub fn services(&self) -> Vec<Service> {
        Service::of(self.instances.len())
    }

    /// Returns what each service has used since its start, in the order of [`Service::of`]. Without cgroups
    /// it comes from `/proc`, and starts anew with an instance that was started again.
    pub fn usage(&self) -> Vec<ServiceUsage> {
        self.services().into_iter().map(|service| self.usage_of(service)).collect()
    }

    /// Returns how often each service has used up its quota so far, in the order of [`Service::of`].
    ///
    /// # Errors
    /// When no limits are enforced, or the kernel's files are not as they should be.
    pub fn throttling(&self) -> Result<Vec<Throttling>> {
        let envelope = self.envelope.as_ref().context("no limits are enforced")?;
        self.services().into_iter().map(|service| envelope.throttling(service)).collect()
    }

    /// Waits until a part ends by itself; returns which, and the end of its log.
    pub async fn ended(&self) -> (Service, anyhow::Error) {
        let instances = select_all(self.instances.iter().map(|one| Box::pin(one.ended())));
        let (service, error) = tokio::select! {
            error = self.cluster.ended() => (Service::Database, error),
            (error, index, _) = instances => (Service::Api(index), error),
            error = self.shards.ended() => (Service::Database, error),
            _ = self.nginx.process.wait() => (Service::Nginx, self.nginx.process.obituary()),
        };
        let error = match self.usage().into_iter().find(|usage| usage.used.oom_kills > 0) {
            Some(usage) => {
                error.context(format!("the kernel killed {} at its memory limit", usage.service.name()))
            }
            None => error,
        };
        (service, error)
    }

    /// Starts a part again that has ended, where it was, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_again(&mut self, service: Service) -> Result<()> {
        match service {
            Service::Database => self.shards.start_again(&mut self.cluster).await,
            Service::Api(index) => self.instances[index].start_again().await,
            Service::Nginx => self.nginx.start_again(),
        }
    }

    /// Starts another worker of Citus, which has no client yet.
    ///
    /// # Errors
    /// When it does not start, or the coordinator does not take it.
    pub async fn grow(&mut self) -> Result<()> {
        let placement = Placement { options: &self.options, envelope: self.envelope.as_ref() };
        self.shards.grow(&placement, &self.dir, &self.cluster).await
    }

    /// Stops everything after a load, whatever came of it, and gives back what did. `load` says in
    /// an error what it was: `a run`.
    ///
    /// # Errors
    /// A part that ended meanwhile, which explains everything else; then the outcome's own; then
    /// those of [`Stack::stop`].
    pub async fn stop_after<T>(self, load: &str, outcome: Result<T>) -> Result<T> {
        let ended = tokio::time::timeout(Duration::ZERO, self.ended()).await;
        let stopped = self.stop().await;
        if let Ok((_, obituary)) = ended {
            return Err(obituary.context(format!("a part of the stack ended during {load}")));
        }
        let outcome = outcome?;
        stopped.context("the stack did not stop in good order")?;
        Ok(outcome)
    }

    /// Stops everything, from the outside in, and removes what it made.
    ///
    /// # Errors
    /// The first thing that went wrong; the rest is stopped all the same.
    pub async fn stop(mut self) -> Result<()> {
        let nginx = self.nginx.process.stop(Signal::SIGTERM, NGINX_STOP_DEADLINE).await.map(drop);
        let instances = join_all(self.instances.iter().map(Instance::stop)).await;
        let cluster = self.cluster.stop(StopMode::Fast).await.and(self.shards.stop().await);
        let envelope = self.envelope.as_ref().map_or(Ok(()), Envelope::remove);
        instances.into_iter().fold(nginx, Result::and).and(cluster).and(envelope)
    }

    fn usage_of(&self, service: Service) -> ServiceUsage {
        let pid = match service {
            Service::Api(index) => Some(self.instances[index].process.pid()),
            Service::Nginx => Some(self.nginx.process.pid()),
            Service::Database => self.cluster.pid(),
        };
        let boxed = self.envelope.as_ref();
        let accounted = boxed.and_then(|envelope| envelope.usage(service).ok());
        let usage = accounted.unwrap_or_else(|| pid.map(Usage::of_tree).unwrap_or_default());
        let share = self.options.split.share(service, self.instances.len());
        ServiceUsage::new(service, usage, boxed.map(|_| share))
    }

    async fn ready(&self) -> Result<()> {
        let endpoint = Endpoint::Tcp(self.nginx.address);
        let deadline = Instant::now() + READY_DEADLINE;
        loop {
            let Err(why) = endpoint.check(READY_PATH).await else { return Ok(()) };
            if Instant::now() >= deadline {
                let log = tail(self.nginx.process.log());
                bail!("GET {READY_PATH} through NGINX is no 200 after {READY_DEADLINE:?}: {why:#}{log}");
            }
            if let Ok((_, error)) = tokio::time::timeout(READY_POLL, self.ended()).await {
                return Err(error);
            }
        }
    }
}
