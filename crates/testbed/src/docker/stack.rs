//! The four services of the contest in containers, from the image to their removal.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::task::JoinSet;

use super::compose::{Compose, unavailable};
use super::engine::{Engine, State};
use crate::disk;
use crate::http::Endpoint;
use crate::split::{INSTANCES, Service, Split};
use crate::stack::{DATABASE, Progress, READY_DEADLINE, READY_PATH, StackOptions};
use crate::usage::{ServiceUsage, Usage};

/// What is built when no image is given.
const BUILT_IMAGE: &str = "guiche:local";

/// How often it is asked whether it is ready.
const READY_POLL: Duration = Duration::from_millis(100);

/// How often the engine is asked what the containers use, and how they are.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
const STATE_INTERVAL: Duration = Duration::from_secs(2);

/// What to start. The default is what `docker compose -f compose/contest.yml up` runs.
#[derive(Clone, Debug, Default)]
pub struct DockerOptions {
    /// What natively started services are asked for too: mode, profile, balancing, split, port, settings.
    pub stack: StackOptions,
    /// The service's image; it is built when none is given.
    pub image: Option<String>,
    /// Further files of `compose/` to lay over the contest's.
    pub overlays: Vec<&'static str>,
    /// Services of these to start as well.
    pub services: Vec<&'static str>,
    /// Variables of the files in addition.
    pub variables: Vec<(&'static str, String)>,
}

/// A running stack. Dropped, it is removed with its volumes; [`DockerStack::stop`] does the same
/// and says what went wrong.
#[derive(Debug)]
pub struct DockerStack {
    /// The project, to run further commands in.
    pub compose: Compose,
    containers: [String; 4],
    engine: Option<Engine>,
    samples: Arc<Mutex<[Usage; 4]>>,
    /// Asks what is used; dropped, it ends.
    sampler: JoinSet<()>,
    /// What it was started with.
    pub options: DockerOptions,
    /// How long it took from `docker compose up` on nothing, images apart, until a statement could be read.
    pub cold_start: Duration,
    stopped: bool,
}

impl DockerStack {
    /// Builds the image, starts everything from nothing and waits until a client's statement can
    /// be read through NGINX. Dropping the future removes what has been started so far.
    ///
    /// # Errors
    /// When there is no Docker here; when a part does not start, with what Docker says of it.
    pub async fn start(options: DockerOptions, progress: Progress<'_>) -> Result<DockerStack> {
        if let Some(why) = unavailable().await {
            bail!("containers cannot be run here: {why}");
        }
        let compose = project(&options);
        if options.image.is_none() {
            progress("building the image (the first time takes some minutes)");
            compose.run(&["build", "--quiet", Service::Api(0).name()]).await?;
        }
        let mut stack = DockerStack {
            compose,
            containers: Default::default(),
            engine: Engine::local(),
            samples: Arc::default(),
            sampler: JoinSet::new(),
            options,
            cold_start: Duration::ZERO,
            stopped: false,
        };
        stack.up(progress).await?;
        progress("writing out what the disk still has to do");
        disk::settle(&crate::repository_root()).await?;
        Ok(stack)
    }

    /// Returns where NGINX listens: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.options.stack.port)
    }

    /// Returns how the superuser connects to the service's database. Docker gives it another port when it is
    /// started again.
    ///
    /// # Errors
    /// When it is not running.
    pub async fn admin_url(&self) -> Result<String> {
        let address = self.compose.address(Service::Database.name(), 5432).await?;
        Ok(format!("postgresql://postgres:local@{address}/{DATABASE}"))
    }

    /// Returns what each service had used a moment ago, in the order of [`Service::ALL`]; nothing for an
    /// engine on another machine. It starts anew with a container that was started again.
    pub fn usage(&self) -> Vec<ServiceUsage> {
        if self.engine.is_none() {
            return Vec::new();
        }
        let samples = *self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        Service::ALL
            .into_iter()
            .zip(samples)
            .map(|(service, usage)| {
                ServiceUsage::new(service, usage, Some(self.options.stack.split.share(service, INSTANCES)))
            })
            .collect()
    }

    /// Returns how a service's container is.
    ///
    /// # Errors
    /// When the engine does not answer, or is on another machine.
    pub async fn state(&self, service: Service) -> Result<State> {
        let engine = self.engine.as_ref().context("the engine is on another machine")?;
        engine.state(self.container(service)).await
    }

    /// Returns the id of a service's container.
    pub fn container(&self, service: Service) -> &str {
        let index = Service::ALL.iter().position(|other| *other == service);
        &self.containers[index.expect("all services are in ALL")]
    }

    /// Waits until a container ends or is started again by itself, and says which.
    pub async fn ended(&self) -> (Service, anyhow::Error) {
        loop {
            tokio::time::sleep(STATE_INTERVAL).await;
            for service in Service::ALL {
                match self.state(service).await {
                    Ok(state) if state.running && state.restarts == 0 => {}
                    Ok(state) => return (service, self.obituary(service, &state).await),
                    // An engine that is busy is asked again.
                    Err(_) => {}
                }
            }
        }
    }

    /// Removes everything.
    ///
    /// # Errors
    /// When Docker cannot.
    pub async fn stop(mut self) -> Result<()> {
        self.sampler.abort_all();
        let removed = self.compose.remove().await;
        self.stopped = removed.is_ok();
        removed
    }

    async fn up(&mut self, progress: Progress<'_>) -> Result<()> {
        progress("starting the containers");
        let begin = Instant::now();
        let mut args = vec!["up", "--detach", "--no-build", "--quiet-pull"];
        if !self.options.services.is_empty() {
            args.extend(Service::ALL.map(Service::name));
            args.extend(&self.options.services);
        }
        if let Err(error) = self.compose.run(&args).await {
            let logs = self.compose.run(&["logs", "--no-color", "--no-log-prefix", "--tail", "5"]).await;
            return Err(error.context(format!("the last the services said:\n{}", logs.unwrap_or_default())));
        }
        for (service, container) in Service::ALL.into_iter().zip(&mut self.containers) {
            *container = self.compose.container(service.name()).await?;
        }
        self.ready(begin + READY_DEADLINE).await?;
        self.cold_start = begin.elapsed();
        self.start_sampling();
        Ok(())
    }

    async fn ready(&self, deadline: Instant) -> Result<()> {
        let endpoint = Endpoint::Tcp(([127, 0, 0, 1], self.options.stack.port).into());
        loop {
            let Err(why) = endpoint.check(READY_PATH).await else { return Ok(()) };
            ensure!(
                Instant::now() < deadline,
                "GET {READY_PATH} is no 200 after {READY_DEADLINE:?}: {why:#}"
            );
            tokio::time::sleep(READY_POLL).await;
        }
    }

    fn start_sampling(&mut self) {
        let Some(engine) = self.engine.clone() else { return };
        let (containers, samples) = (self.containers.clone(), Arc::clone(&self.samples));
        self.sampler.spawn(async move {
            let mut interval = tokio::time::interval(SAMPLE_INTERVAL);
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                interval.tick().await;
                for (index, container) in containers.iter().enumerate() {
                    // Of one that is just being started again, the last sample stays.
                    if let Ok(usage) = engine.usage(container).await {
                        samples.lock().unwrap_or_else(PoisonError::into_inner)[index] = usage;
                    }
                }
            }
        });
    }

    async fn obituary(&self, service: Service, state: &State) -> anyhow::Error {
        let name = service.name();
        let logs = self.compose.run(&["logs", "--no-color", "--no-log-prefix", "--tail", "20", name]).await;
        let how = if state.out_of_memory { "was out of memory" } else { "ended" };
        anyhow::anyhow!(
            "{name} {how} and was started again {} times; it said:\n{}",
            state.restarts,
            logs.unwrap_or_default()
        )
    }
}

impl Drop for DockerStack {
    fn drop(&mut self) {
        if !self.stopped {
            self.compose.remove_now();
        }
    }
}

/// Returns a project of its own, so that it neither finds nor leaves anything of another's.
fn project(options: &DockerOptions) -> Compose {
    let id = std::process::id();
    let mut files = vec!["contest.yml", "loadtest.yml"];
    files.extend(&options.overlays);
    let stack = &options.stack;
    let Split { api, nginx, postgres } = stack.split;
    let mut compose = Compose::new(format!("guiche-loadtest-{id}"), &files)
        .variable("GUICHE_IMAGE", options.image.as_deref().unwrap_or(BUILT_IMAGE))
        .variable("PROFILE", stack.profile.name())
        .variable("MODE", stack.mode.name())
        .variable("NGINX_CONF", stack.balancing.to_string())
        .variable("PORT", stack.port.to_string())
        .variable("API_CPUS", api.to_string())
        .variable("NGINX_CPUS", nginx.to_string())
        .variable("DB_CPUS", postgres.to_string());
    for (name, value) in &options.variables {
        compose = compose.variable(*name, value);
    }
    for (name, value) in &stack.api_env {
        compose = compose.variable(name, value);
    }
    compose
}
