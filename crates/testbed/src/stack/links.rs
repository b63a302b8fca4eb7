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

/// Links that can be broken, one of each kind for each instance.
#[derive(Debug)]
pub struct Links {
    /// From each instance to PostgreSQL.
    pub to_database: Vec<Proxy>,
    /// From NGINX to each instance; none before it is started.
    pub to_instances: Vec<Proxy>,
    seed: u64,
    directories: Vec<PathBuf>,
}

impl Links {
    /// Makes those of so many instances to the database, which is there first.
    pub(super) fn start(dir: &RunDir, cluster: &Cluster, instances: usize, seed: u64) -> Result<Links> {
        let directory = |index| dir.path().join(format!("{}.pg", Service::Api(index).name()));
        let directories: Vec<PathBuf> = (0..instances).map(directory).collect();
        let link = |directory: &PathBuf, seed| {
            fs::create_dir(directory).with_context(|| format!("cannot make {}", directory.display()))?;
            Proxy::start(&Endpoint::Unix(socket_in(directory, cluster.port())), cluster.socket(), seed)
        };
        let seeds = (0..).map(|number| seed.wrapping_add(number));
        let to_database = directories
            .iter()
            .zip(seeds)
            .map(|(directory, seed)| link(directory, seed))
            .collect::<Result<_>>()?;
        Ok(Links { to_database, to_instances: Vec::new(), seed, directories })
    }

    /// Makes those to the instances, of the kind that each listens at; returns where NGINX reaches them.
    pub(super) fn add_instances(&mut self, dir: &RunDir, instances: &[Endpoint]) -> Result<Vec<Endpoint>> {
        for (index, instance) in instances.iter().enumerate() {
            let endpoint = match instance {
                Endpoint::Tcp(_) => loopback()?,
                Endpoint::Unix(_) => {
                    Endpoint::Unix(dir.path().join(format!("{}.link", Service::Api(index).name())))
                }
            };
            let seed = self.seed.wrapping_add((instances.len() + index) as u64);
            self.to_instances.push(Proxy::start(&endpoint, instance.clone(), seed)?);
        }
        Ok(self.to_instances.iter().map(|proxy| proxy.endpoint().clone()).collect())
    }

    /// Returns how each instance connects to the service's database.
    pub(super) fn database_urls(&self, cluster: &Cluster) -> Vec<String> {
        self.directories.iter().map(|directory| cluster.api_url_in(directory, DATABASE)).collect()
    }
}
