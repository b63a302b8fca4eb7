//! One run of one case: a stack of its own, a warm-up, the measured load, the books.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::case::Case;
use super::load::{Generators, Load, Played};
use super::result::{LoadRun, Run, ServiceRun};
use crate::contest::costs::{Meter, ServiceCost};
use crate::sampler::{self, Sampler, Waits};
use testbed::check::Books;
use testbed::cluster::{ClusterOptions, connect};
use testbed::machine::Busy;
use testbed::scrape::{Counts, Work};
use testbed::stack::{Limits, Stack, StackOptions};

/// The contest's clients, which are there from the beginning.
const SHIPPED_CLIENTS: u32 = 5;

/// The limit of clients when there are more: beyond what a run can draw, in cents.
const LARGE_LIMIT: i64 = 1_000_000_000_000;

/// About what a stack takes to start, to have its books read, and to stop.
const AROUND: Duration = Duration::from_secs(4);

/// How long to load.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Before the measured interval.
    pub warm_up: Duration,
    /// The measured interval.
    pub measured: Duration,
}

impl Times {
    /// About what a run takes, the stack's start and end included.
    pub fn estimate(&self) -> Duration {
        self.warm_up + self.measured + AROUND
    }
}

/// The measured interval as the stack saw it.
struct Interval {
    played: Played,
    costs: Vec<ServiceCost>,
    throttled: [f64; 4],
    waits: Waits,
    idle_share: f64,
    work: Work,
}

/// Runs it, and stops the stack whatever came of it.
///
/// # Errors
/// When it could not be run. Wrong books are no error: they are problems of the run.
pub async fn run(case: &Case, generators: &Generators, times: Times, round: u32) -> Result<Run> {
    let stack = Stack::start(options(case)?, &|_| ()).await?;
    ensure!(
        *stack.limits() == Limits::Enforced,
        "{}; a benchmark without them means nothing",
        stack.limits()
    );
    let measured = measure(&stack, case, generators, times, round).await;
    stack.stop_after("a run", measured).await
}

fn options(case: &Case) -> Result<StackOptions> {
    let options = StackOptions::default();
    Ok(StackOptions {
        mode: case.mode,
        profile: case.profile,
        balancing: case.balancing,
        split: case.split,
        transport: case.transport,
        envelope: true,
        port: 0,
        api_env: case.env_in(&options.dir),
        metrics: true,
        pg: ClusterOptions { settings: case.postgres_settings(), ..ClusterOptions::default() },
        guiche: Some(case.program()?),
        ..options
    })
}

async fn measure(
    stack: &Stack,
    case: &Case,
    generators: &Generators,
    times: Times,
    round: u32,
) -> Result<Run> {
    let postgres = prepare(stack, case.clients).await?;
    let load = |duration, seed| Load {
        url: stack.url(),
        pace: case.pace,
        connections: case.connections,
        duration,
        clients: case.clients,
        mix: case.mix,
        seed,
    };
    generators
        .play(&load(times.warm_up, 1_000 + round), stack.dir(), &mut || ())
        .await
        .context("the warm-up")?;
    let interval = interval(stack, generators, &load(times.measured, round)).await?;

    let (books, counts) = Books::read_with_counts(&stack.admin_url(), stack.metrics()).await?;
    let problems = books.problems_beside(&Work::of(&counts));
    Ok(Run { postgres, disk: stack.disk().to_string(), rows: books.rows, problems, ..summary(interval) })
}

/// More clients than the contest has, where the case wants them, and a checkpoint, so that none
/// comes in the measured interval. Returns the server's version.
async fn prepare(stack: &Stack, clients: u32) -> Result<String> {
    let client = connect(&stack.admin_url()).await?;
    if clients > SHIPPED_CLIENTS {
        let sql = format!(
            "INSERT INTO clientes (id, limite, saldo)
             SELECT id, {LARGE_LIMIT}, 0 FROM generate_series({SHIPPED_CLIENTS} + 1, {clients}) AS id;
             UPDATE clientes SET limite = {LARGE_LIMIT} WHERE id <= {SHIPPED_CLIENTS};"
        );
        client.batch_execute(&sql).await.context("cannot make the clients of the case")?;
        client.batch_execute("VACUUM (ANALYZE) clientes").await.context("cannot vacuum the clients")?;
    }
    client.batch_execute("CHECKPOINT").await.context("cannot write a checkpoint")?;
    let row = client.query_one("SHOW server_version", &[]).await.context("cannot ask for the version")?;
    Ok(row.try_get(0)?)
}

async fn interval(stack: &Stack, generators: &Generators, load: &Load) -> Result<Interval> {
    let sampler = Sampler::start(&stack.admin_url(), sampler::INTERVAL).await?;
    let before = Counts::read_when_quiet(stack.metrics()).await?;
    let mut meter = Meter::default();
    meter.sample(stack.usage());
    let (throttled_before, busy_before) = (stack.throttling()?, Busy::now()?);
    let played = generators.play(load, stack.dir(), &mut || meter.sample(stack.usage())).await?;
    meter.sample(stack.usage());
    let (throttled_after, busy_after) = (stack.throttling()?, Busy::now()?);
    let samples = sampler.stop().await?;
    let after = Counts::read_when_quiet(stack.metrics()).await?;
    Ok(Interval {
        played,
        costs: meter.into_costs(),
        throttled: std::array::from_fn(|index| throttled_after[index].share_since(&throttled_before[index])),
        waits: Waits::of(&samples),
        idle_share: busy_after.idle_share_since(&busy_before),
        work: Work::of(&after.since(&before)),
    })
}

/// What the interval comes to; what was not measured in it is left empty.
fn summary(interval: Interval) -> Run {
    let Played { outcome, cpu_share } = interval.played;
    let service = |(cost, throttled_share): (ServiceCost, f64)| ServiceRun {
        service: cost.service,
        cpu_us_per_request: cost.cpu_s * 1e6 / outcome.requests as f64,
        cpu_share: cost.cpu_s * 1e6 / outcome.duration_us as f64,
        throttled_share,
        anonymous_peak_bytes: cost.anonymous_peak_bytes,
        shared_peak_bytes: cost.shared_peak_bytes,
        oom_kills: cost.oom_kills,
    };
    Run {
        load: LoadRun { outcome, cpu_share },
        services: interval.costs.into_iter().zip(interval.throttled).map(service).collect(),
        work: interval.work,
        waits: interval.waits,
        idle_share: interval.idle_share,
        disk: String::new(),
        postgres: String::new(),
        rows: 0,
        problems: Vec::new(),
    }
}
