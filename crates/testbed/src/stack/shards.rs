//! The database servers that hold the clients, where those are on several.

use anyhow::{Context, Result, ensure};
use settings::Profile;

use super::options::Engine;
use super::placement::Placement;
use super::{DATABASE, Progress};
use crate::bank::SHIPPED_CLIENTS;
use crate::cluster::{Cluster, StopMode, connect};
use crate::rundir::RunDir;

/// The servers behind the one that the service talks to; none where that has the clients itself.
#[derive(Debug)]
pub struct Shards(pub Vec<Cluster>);

impl Shards {
    /// Refuses what does not go together, before anything is started.
    pub(super) fn check(options: &super::StackOptions) -> Result<()> {
        let Some(count) = options.shards else { return Ok(()) };
        ensure!(options.pg.data.is_none(), "--data does not go with --shards");
        ensure!(
            options.clients == SHIPPED_CLIENTS && options.history == 0,
            "--clients and --history do not go with --shards"
        );
        match options.engine {
            Engine::Plproxy => {
                ensure!(count.is_power_of_two(), "--shards {count}: PL/Proxy takes 1, 2, 4, 8 … servers");
                Ok(())
            }
            Engine::Citus => {
                ensure!(options.profile == Profile::Durable, "--engine citus has logged tables only");
                Cluster::check_library(&options.pg, "citus")
            }
        }
    }

    /// Starts them, and makes the service's database of `front` and them; that alone, where none are asked for.
    pub(super) async fn start(
        placement: &Placement<'_>,
        dir: &RunDir,
        front: &Cluster,
        progress: Progress<'_>,
    ) -> Result<Shards> {
        let options = placement.options;
        let Some(count) = options.shards else {
            if !front.has_database(DATABASE).await? {
                progress(&format!("making the database {DATABASE}, profile {}", options.profile));
                front.create_database(DATABASE).await?;
            }
            return Ok(Shards(Vec::new()));
        };
        let mut shards = Shards(Vec::new());
        for number in 1..=count {
            progress(&format!("starting database server {number} of {count} behind it"));
            shards.0.push(placement.start_shard(dir, number.into()).await?);
        }
        progress(&format!(
            "making the database {DATABASE} of them, profile {}, {}",
            options.profile, options.engine
        ));
        match options.engine {
            Engine::Plproxy => shards.behind_plproxy(front).await?,
            Engine::Citus => front.create_coordinator(DATABASE, &shards.0).await?,
        }
        Ok(shards)
    }

    /// Starts another worker of Citus, which has no client yet.
    pub(super) async fn grow(
        &mut self,
        placement: &Placement<'_>,
        dir: &RunDir,
        front: &Cluster,
    ) -> Result<()> {
        let worker = placement.start_shard(dir, self.0.len() + 1).await?;
        front.add_worker(DATABASE, &worker).await?;
        self.0.push(worker);
        Ok(())
    }

    /// Makes a bank of its own on each, with the clients that PL/Proxy looks for there.
    async fn behind_plproxy(&self, front: &Cluster) -> Result<()> {
        let mut urls = Vec::new();
        for (number, shard) in self.0.iter().enumerate() {
            shard.create_database(DATABASE).await?;
            let sql = format!("DELETE FROM clientes WHERE id & {} <> {number}", self.0.len() - 1);
            let client = connect(&shard.admin_url(DATABASE)).await?;
            client.batch_execute(&sql).await.with_context(|| sql)?;
            shard.be_part(DATABASE, number, self.0.len()).await?;
            urls.push(format!(
                "host={} port={} dbname={DATABASE}",
                shard.socket_dir().display(),
                shard.port()
            ));
        }
        front.create_front(DATABASE, &urls).await
    }

    /// Waits until one of them ends by itself; for ever where there are none.
    pub(super) async fn ended(&self) -> anyhow::Error {
        let ended = self.0.iter().map(|shard| Box::pin(shard.ended()));
        if ended.len() == 0 {
            return std::future::pending().await;
        }
        futures_util::future::select_all(ended).await.0
    }

    /// Starts those again that have ended, and the one in front of them.
    pub(super) async fn start_again(&mut self, front: &mut Cluster) -> Result<()> {
        for server in self.0.iter_mut().chain([front]) {
            if server.pid().is_none() {
                server.start_again().await?;
            }
        }
        Ok(())
    }

    /// Stops them.
    pub(super) async fn stop(&mut self) -> Result<()> {
        let mut stopped = Ok(());
        for shard in &mut self.0 {
            stopped = stopped.and(shard.stop(StopMode::Fast).await);
        }
        stopped
    }
}
