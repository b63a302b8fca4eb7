//! Where each service of a stack runs, and how it is started there.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::options::{Limits, StackOptions, Transport};
use crate::cluster::{Cluster, ClusterOptions, free_port};
use crate::envelope::Envelope;
use crate::http::Endpoint;
use crate::instance::{Instance, configured};
use crate::process::Launch;
use crate::rundir::RunDir;
use crate::split::{Service, Share};

/// What each of several database servers may have: within the contest's 330 MB one was killed when clients moved.
const SHARD_MEMORY: u64 = 1 << 30;

/// Where each service runs: its cgroups and its CPUs.
pub(super) struct Placement<'a> {
    pub(super) options: &'a StackOptions,
    pub(super) envelope: Option<&'a Envelope>,
}

impl Placement<'_> {
    fn cgroups(&self, service: Service) -> Vec<PathBuf> {
        self.envelope.map(|envelope| envelope.procs(service)).unwrap_or_default()
    }

    pub(super) fn place(&self, launch: Launch, service: Service) -> Launch {
        launch.cgroups(self.cgroups(service)).cpus(self.options.cpus.clone())
    }

    pub(super) async fn start_cluster(&self, directory: &Path) -> Result<Cluster> {
        self.start_cluster_in(directory, self.cgroups(Service::Database)).await
    }

    /// Starts the database server `number` of those behind the one that the service talks to, from 1.
    pub(super) async fn start_shard(&self, dir: &RunDir, number: usize) -> Result<Cluster> {
        let path = dir.path().join(format!("shard{number}"));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let Some(cpus) = self.options.shard_cpus else { return self.start_cluster(&path).await };
        let share = Share { cpus, memory_bytes: SHARD_MEMORY };
        let envelope = adopted(dir, |name| Envelope::of_server(format!("{name}-shard{number}"), share))?;
        self.start_cluster_in(&path, envelope.procs(Service::Database)).await
    }

    async fn start_cluster_in(&self, directory: &Path, cgroups: Vec<PathBuf>) -> Result<Cluster> {
        let options = ClusterOptions {
            profile: self.options.profile,
            settings: self.options.server_settings(),
            cgroups,
            cpus: self.options.cpus.clone(),
            ..self.options.pg.clone()
        };
        Cluster::start_in(directory, &options).await
    }

    pub(super) async fn start_instance(
        &self,
        service: Service,
        program: PathBuf,
        dir: &RunDir,
        url: &str,
        metrics: Option<&Endpoint>,
    ) -> Result<Instance> {
        let name = service.name();
        let endpoint = match self.options.transport {
            Transport::Tcp => loopback()?,
            Transport::Unix => Endpoint::Unix(dir.path().join(format!("{name}.sock"))),
        };
        let launch = Launch::new(name, program, dir.path().join(format!("{name}.log")));
        let launch = configured(launch, name, url, self.options.profile, self.options.mode)
            .envs(metrics.map(|metrics| ("METRICS_LISTEN", metrics.to_string())))
            .envs(self.options.api_env.iter().map(|(name, value)| (name, value)));
        Instance::start(self.place(launch, service), endpoint).await
    }
}

/// Makes the cgroups, where they are asked for and permitted.
pub(super) fn make_envelope(options: &StackOptions, dir: &RunDir) -> (Option<Envelope>, Limits) {
    if !options.envelope {
        return (None, Limits::NotAsked);
    }
    match adopted(dir, |name| Envelope::create(name, &options.split, options.instances)) {
        Ok(envelope) => (Some(envelope), Limits::Enforced),
        Err(error) => (None, Limits::NotPermitted(error.root_cause().to_string())),
    }
}

/// Makes cgroups that are named after the run, and whose janitor is the run's.
fn adopted(dir: &RunDir, make: impl FnOnce(&str) -> Result<Envelope>) -> Result<Envelope> {
    let name = dir.path().file_name().unwrap_or_default().to_string_lossy();
    let envelope = make(&name)?;
    envelope.directories().iter().for_each(|directory| dir.adopt_cgroup(directory));
    Ok(envelope)
}

/// Returns a free port of 127.0.0.1.
pub(super) fn loopback() -> Result<Endpoint> {
    Ok(Endpoint::Tcp((Ipv4Addr::LOCALHOST, free_port()?).into()))
}

/// Returns the port itself, or a free one for 0; makes sure that nobody has it.
pub(super) fn claim(port: u16) -> Result<u16> {
    if port == 0 {
        return free_port();
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
        format!("port {port} of 127.0.0.1 is taken; stop what listens there, or choose another with --port")
    })?;
    Ok(port)
}
