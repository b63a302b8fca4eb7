//! The parts of a stack, each for one disaster at a time.

use anyhow::Result;
use testbed::cluster::StopMode;
use testbed::nginx::Nginx;
use testbed::stack::Stack;
use testbed::{Cluster, Instance, Proxy};
use tokio::sync::{Mutex, RwLock};

/// A stack that disasters strike. Who only asks the database something reads it; who stops it writes.
pub(super) struct Site<'a> {
    pub(super) nginx: Mutex<&'a mut Nginx>,
    pub(super) instances: Vec<Mutex<&'a mut Instance>>,
    pub(super) cluster: RwLock<&'a mut Cluster>,
    /// The links of each instance, where the stack has proxies in them.
    pub(super) to_database: Vec<Mutex<&'a mut Proxy>>,
    pub(super) to_instances: Vec<Mutex<&'a mut Proxy>>,
    pub(super) admin_url: String,
}

impl<'a> Site<'a> {
    pub(super) fn of(stack: &'a mut Stack) -> Site<'a> {
        let admin_url = stack.admin_url();
        let (to_database, to_instances) = match &mut stack.links {
            Some(links) => (locks(&mut links.to_database), locks(&mut links.to_instances)),
            None => Default::default(),
        };
        Site {
            nginx: Mutex::new(&mut stack.nginx),
            instances: stack.instances.iter_mut().map(Mutex::new).collect(),
            cluster: RwLock::new(&mut stack.cluster),
            to_database,
            to_instances,
            admin_url,
        }
    }

    pub(super) async fn restart(&self, instance: usize) -> Result<()> {
        let mut instance = self.instances[instance].lock().await;
        instance.stop().await?;
        instance.start_again().await
    }

    pub(super) async fn restart_database(&self, mode: StopMode) -> Result<()> {
        let mut cluster = self.cluster.write().await;
        cluster.stop(mode).await?;
        cluster.start_again().await
    }
}

fn locks(proxies: &mut [Proxy]) -> Vec<Mutex<&mut Proxy>> {
    proxies.iter_mut().map(Mutex::new).collect()
}
