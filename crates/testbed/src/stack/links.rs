//! The links between the parts of a stack, with a proxy in each.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::DATABASE;
use super::placement::loopback;
use crate::cluster::{Cluster, socket_in};
use crate::http::Endpoint;
use crate::proxy::Proxy;
use crate::rundir::RunDir;
use crate::split::Service;

/// The instances' names.
const NAMES: [Service; 2] = [Service::Api1, Service::Api2];

/// Links that can be broken, one of each kind for each instance.
#[derive(Debug)]
pub struct Links {
    /// From each instance to PostgreSQL.
    pub to_database: [Proxy; 2],
    /// From NGINX to each instance; none before it is started.
    pub to_instances: Vec<Proxy>,
    seed: u64,
    directories: [PathBuf; 2],
}

impl Links {
    /// Makes those to the database, which is there first.
    pub(super) fn start(dir: &RunDir, cluster: &Cluster, seed: u64) -> Result<Links> {
        let directories = NAMES.map(|service| dir.path().join(format!("{}.pg", service.name())));
        let link = |directory: &PathBuf, seed| {
            fs::create_dir(directory).with_context(|| format!("cannot make {}", directory.display()))?;
            Proxy::start(&Endpoint::Unix(socket_in(directory, cluster.port())), cluster.socket(), seed)
        };
        let to_database = [link(&directories[0], seed)?, link(&directories[1], seed.wrapping_add(1))?];
        Ok(Links { to_database, to_instances: Vec::new(), seed, directories })
    }

    /// Makes those to the instances, of the kind that each listens at; returns where NGINX reaches them.
    pub(super) fn add_instances(&mut self, dir: &RunDir, instances: [&Endpoint; 2]) -> Result<[Endpoint; 2]> {
        for (service, instance) in NAMES.iter().zip(instances) {
            let endpoint = match instance {
                Endpoint::Tcp(_) => loopback()?,
                Endpoint::Unix(_) => Endpoint::Unix(dir.path().join(format!("{}.link", service.name()))),
            };
            let seed = self.seed.wrapping_add(2 + self.to_instances.len() as u64);
            self.to_instances.push(Proxy::start(&endpoint, instance.clone(), seed)?);
        }
        Ok([0, 1].map(|index: usize| self.to_instances[index].endpoint().clone()))
    }

    /// Returns how each instance connects to the service's database.
    pub(super) fn database_urls(&self, cluster: &Cluster) -> [String; 2] {
        self.directories.each_ref().map(|directory| cluster.api_url_in(directory, DATABASE))
    }
}
