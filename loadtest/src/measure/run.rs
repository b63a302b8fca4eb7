//! One run of one case: a stack of its own, the load, what was seen meanwhile, the books.

mod follower;
mod judge;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio_postgres::Client;

use super::batches;
use super::cores::Cores;
use super::interval::{self, Mark, Totals};
use super::plan::Times;
use super::result::Run;
use super::sampler::Sampler;
use super::setup::{Arrivals, ClientLimits, Setup};
use super::tools::{Platform, Tools};
use super::traced::Place;
use super::users;
use super::witness;
use super::wrk;
use crate::contest::costs::Meter;
use crate::k6::K6;
use crate::stalls::watch::Watch;
pub(super) use judge::GENERATOR_BUSY;
use testbed::bank::{self, SHIPPED_CLIENTS};
use testbed::check::Books;
use testbed::cluster::{ClusterOptions, connect};
use testbed::http::Endpoint;
use testbed::scrape::Work;
use testbed::stack::{DATABASE, Limits, Stack, StackOptions};

/// The limit of clients where limits are large: beyond what a run can draw, in cents.
const LARGE_LIMIT: i64 = 1_000_000_000_000;

/// How often PostgreSQL's sessions are looked at.
const LOOK_EVERY: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(100)];

/// What an isolated server is told in addition: to log who waits for a lock, and to look at that sooner.
const POSTGRES: [(&str, &str); 2] = [("log_lock_waits", "on"), ("deadlock_timeout", "100ms")];

/// Runs it, and stops the stack whatever came of it.
///
/// # Errors
/// When it could not be run. Wrong books are no error: they are problems of the run. Nor is a run
/// that says nothing of the service: it is invalid.
pub async fn run(
    tools: &Tools,
    setup: &Setup,
    times: Times,
    round: u32,
    place: &Place,
) -> Result<(Run, Platform)> {
    let cores = setup.isolated.then(Cores::of_machine).transpose()?;
    let mut options = options(setup, cores)?;
    let traced = place.prepare(setup)?;
    options.api_env.extend(traced.setting);
    let stack = Stack::start(options, &|_| ()).await?;
    let context = Context { stack: &stack, tools, setup, times, round, cores };
    let measured = match &stack.limits {
        Limits::Enforced => context.measure().await,
        limits => Err(anyhow::anyhow!("{limits}; a measurement without them means nothing")),
    };
    let outcome = stack.stop_after("a run", measured).await;
    let Some(mut trace) = traced.kept else { return outcome };
    let (mut run, platform) = outcome.inspect_err(|_| place.discard())?;
    if !trace.directory.is_empty() {
        match place.keep(&run).await {
            Ok(slowest) => trace.slowest = slowest,
            Err(error) => run.problems.push(format!("its trace cannot be shown: {error:#}")),
        }
    }
    Ok((Run { trace: Some(trace), ..run }, platform))
}

/// Says how the stack starts: with all its CPU, as what is not measured need not be slow.
pub(super) fn options(setup: &Setup, cores: Option<Cores>) -> Result<StackOptions> {
    let defaults = StackOptions::default();
    let pairs = |own: &[(&str, &str)]| -> Vec<(String, String)> {
        let own = own.iter().filter(|_| setup.isolated);
        own.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    // The last one of a name counts.
    let env = pairs(&[("SERVER_TIMING", "on")]).into_iter().chain(setup.env_in(&defaults.dir));
    let postgres = pairs(&POSTGRES).into_iter().chain(setup.postgres_settings());
    Ok(StackOptions {
        mode: setup.mode,
        profile: setup.profile,
        balancing: setup.balancing,
        split: setup.split,
        instances: setup.instances,
        transport: setup.transport,
        envelope: true,
        fsync_delay: setup.fsync_delay,
        port: 0,
        cpus: cores.map(|cores| cores.stack.to_string()),
        api_env: env.collect(),
        metrics: true,
        pg: ClusterOptions { settings: postgres.collect(), ..ClusterOptions::default() },
        guiche: Some(setup.program()?),
        ..defaults
    })
}

/// Waits until the service's calls are over: those that waited for a row are, once it is free.
async fn settle(client: &Client) -> Result<()> {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'guiche' AND state = 'active'";
    while client.query_one(sql, &[]).await.context("cannot count calls")?.try_get::<_, i64>(0)? > 0 {
        tokio::time::sleep(LOOK_EVERY[0]).await;
    }
    Ok(())
}

/// Makes the clients, their limits, their history and their keys, and a checkpoint, so that none comes in the measured
/// interval. Returns how many transactions there are then.
pub(super) async fn make_bank(client: &Client, setup: &Setup) -> Result<u64> {
    let clients = setup.clients;
    if clients > SHIPPED_CLIENTS || setup.limits == ClientLimits::Large {
        let sql = format!("UPDATE clientes SET limite = {LARGE_LIMIT}");
        client.batch_execute(&sql).await.context("cannot give the clients their limit")?;
        bank::seed(client, clients, LARGE_LIMIT).await?;
    }
    let rows = bank::lay_down(client, clients, setup.history).await?;
    bank::remember(client, clients, setup.keys).await?;
    client.batch_execute("CHECKPOINT").await.context("cannot write a checkpoint")?;
    Ok(rows)
}

/// Everything that takes part in a run.
struct Context<'a> {
    stack: &'a Stack,
    tools: &'a Tools,
    setup: &'a Setup,
    times: Times,
    round: u32,
    cores: Option<Cores>,
}

impl Context<'_> {
    async fn measure(&self) -> Result<(Run, Platform)> {
        let Context { stack, setup, .. } = self;
        let client = connect(&stack.admin_url()).await?;
        let (postgres, laid_down) = self.prepare(&client).await?;
        let holder = self.hold_rows().await?;
        let interval = LOOK_EVERY[usize::from(setup.isolated)];
        let run = match setup.arrivals {
            Arrivals::Closed { .. } | Arrivals::Open { .. } => {
                let sampler = Sampler::start(&stack.admin_url(), interval).await?;
                self.aside(sampler.backend)?;
                self.play_marked(&client, sampler).await?
            }
            Arrivals::Saturating { .. } | Arrivals::Contest | Arrivals::Batches { .. } => {
                self.play_twice(&client, interval).await?
            }
        };
        // What is left to do is not measured, and need not be slow.
        self.scale(false)?;
        if let Some(holder) = holder {
            holder.batch_execute("COMMIT").await.context("cannot let go of the rows")?;
            settle(&client).await?;
        }
        let (mut books, counts) = Books::read_with_counts(&stack.admin_url(), &stack.metrics).await?;
        books.rows = books.rows.saturating_sub(laid_down);
        let mut run = Run { round: self.round, rows: books.rows, ..judge::judged(setup, run) };
        if setup.books {
            run.problems.extend(books.problems_beside(&Work::of(&counts)));
        }
        Ok((run, Platform { postgres, disk: stack.disk.to_string() }))
    }

    /// Makes the bank, in a session that is not measured. Returns the server's version, and how many transactions there
    /// are.
    async fn prepare(&self, client: &Client) -> Result<(String, u64)> {
        let row = client.query_one("SELECT pg_backend_pid(), current_setting('server_version')", &[]).await;
        let row = row.context("cannot ask for the version")?;
        self.aside(u32::try_from(row.try_get::<_, i32>(0)?)?)?;
        Ok((row.try_get(1)?, make_bank(client, self.setup).await?))
    }

    /// Holds the rows that the setup says, in a session of somebody else.
    async fn hold_rows(&self) -> Result<Option<Client>> {
        let locked = self.setup.locked;
        if locked == 0 {
            return Ok(None);
        }
        let holder = connect(&self.stack.admin_url()).await?;
        let sql = format!(
            "SET idle_in_transaction_session_timeout = 0;
             BEGIN; SELECT FROM clientes WHERE id <= {locked} ORDER BY id FOR UPDATE"
        );
        holder.batch_execute(&sql).await.context("cannot hold the rows")?;
        Ok(Some(holder))
    }

    /// Takes a process that only watches out of what is measured.
    fn aside(&self, pid: u32) -> Result<()> {
        let Some(cores) = self.cores else { return Ok(()) };
        let envelope =
            self.stack.envelope.as_ref().context("the limits are enforced, so there is an envelope")?;
        envelope.release(pid)?;
        cores.move_aside(pid)
    }

    /// Scales the services' CPU down, or gives it back; does nothing where there is nothing to scale.
    fn scale(&self, down: bool) -> Result<()> {
        if self.setup.scale == 1.0 {
            return Ok(());
        }
        let envelope = self.stack.envelope.as_ref().context("no limits are enforced")?;
        let split = if down { self.setup.scaled_split() } else { self.setup.split };
        envelope.limit_cpu(&split, self.setup.period())
    }

    fn generator_cpus(&self) -> Option<String> {
        self.cores.map(|cores| cores.k6.to_string())
    }

    /// Sends the load twice, to warm up and to measure, and reads everything when nothing is under way.
    async fn play_twice(&self, client: &Client, look_every: Duration) -> Result<Run> {
        let (stack, times) = (self.stack, self.times);
        self.play(&self.setup.of_warm_up(), times.warm_up, 1_000 + self.round, &mut || ())
            .await
            .context("the warm-up")?;
        self.scale(true)?;
        let sampler = Sampler::start(&stack.admin_url(), look_every).await?;
        self.aside(sampler.backend)?;
        let watch = Some(Watch::start(None, stack.envelope.as_ref()));
        let before = Totals::read(stack, client, true).await?;
        let mut meter = Meter::default();
        meter.sample(stack.usage());
        let begun = Mark::now(stack, Duration::ZERO)?;
        let Setup { clients, after, .. } = *self.setup;
        let (endpoint, mut told) = (Endpoint::Tcp(stack.nginx.address), Vec::new());
        let mut observe = || meter.sample(stack.usage());
        let run = tokio::select! {
            run = self.play(self.setup, times.measured, self.round, &mut observe) => run?,
            never = witness::ask(&endpoint, clients, |answer, _| told.push(answer)),
                if matches!(self.setup.arrivals, Arrivals::Saturating { .. }) => never,
        };
        meter.sample(stack.usage());
        let ended = Mark::now(stack, Duration::ZERO)?;
        let unwell_s = match after {
            0 => None,
            seconds => Some(witness::unwell(&endpoint, clients, seconds).await),
        };
        let run = Run { slow: run.slow.or(Some(told)), unwell_s, ..run };
        let after = Totals::read(stack, client, true).await?;
        interval::observed(stack, run, (begun, ended), (&before, &after), meter, (sampler, watch)).await
    }

    /// Sends the load of a generator that measures all of it.
    async fn play(
        &self,
        setup: &Setup,
        duration: Duration,
        seed: u32,
        observe: &mut dyn FnMut(),
    ) -> Result<Run> {
        let (url, directory, cpus) = (self.stack.url(), self.stack.dir(), self.generator_cpus());
        let run = match setup.arrivals {
            Arrivals::Contest => {
                let log = directory.join("k6.log");
                users::contest_rate(self.k6()?, (&url, duration), (&log, cpus), observe).await?
            }
            Arrivals::Batches { size } => {
                let database = self.stack.cluster.api_url(DATABASE);
                batches::play(&database, setup, size, duration, seed).await?
            }
            _ => {
                let load = wrk::Load { url: &url, setup, duration, seed, cpus: cpus.as_deref() };
                let wrk = self.tools.wrk.as_ref().context("wrk is not there")?;
                wrk.play(&load, directory, observe).await?
            }
        };
        ensure!(run.requests > 0 && run.seconds > 0.0, "not one request was answered; {} failed", run.wrong);
        Ok(run)
    }

    fn k6(&self) -> Result<&K6> {
        self.tools.k6.as_ref().context("k6 is not there")
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
