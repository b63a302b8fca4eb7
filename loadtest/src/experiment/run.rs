//! One run of one point: a stack of its own, the load, what was seen meanwhile, the books.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio_postgres::Client;

use super::cores::Cores;
use super::interval::{Interval, Scene};
use super::load::{self, Outcome, Times};
use super::result::{PointRun, ServiceUse};
use super::setup::Setup;
use crate::contest::k6::{self, K6};
use crate::sampler::{Sampler, Waits};
use testbed::check::Books;
use testbed::cluster::{Cluster, ClusterOptions, connect};
use testbed::envelope::Envelope;
use testbed::instance::find_guiche;
use testbed::rundir;
use testbed::scrape::Work;
use testbed::slow_fsync;
use testbed::split::Split;
use testbed::stack::{Limits, Stack, StackOptions};

/// How often PostgreSQL's sessions are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The share of its core from which k6 is held to have set the pace.
const K6_BUSY: f64 = 0.8;

/// The contest's clients, which are there from the beginning.
const SHIPPED_CLIENTS: u32 = 5;

/// Every client's limit: beyond what a run can draw, in cents. A debit that is refused takes no
/// lock and commits nothing, so that refusals would be what an experiment measures.
const LIMIT: i64 = 1_000_000_000_000;

/// What the server is told in addition: to log who waits for a lock, and to look at that sooner.
const POSTGRES: [(&str, &str); 2] = [("log_lock_waits", "on"), ("deadlock_timeout", "100ms")];

/// About what a stack takes to start, to have its books read, and to stop.
const AROUND: Duration = Duration::from_secs(7);

/// What every run needs.
#[derive(Clone, Debug)]
pub struct Tools {
    /// What sends.
    pub k6: K6,
    /// Who runs where.
    pub cores: Cores,
}

impl Tools {
    /// Finds them, and makes sure of everything else that a run needs: it would fail in each.
    ///
    /// # Errors
    /// When something is missing; says what to do.
    pub fn find(delays_fsync: bool) -> Result<Tools> {
        let cores = Cores::of_machine()?;
        let k6 = K6::find(None)?;
        find_guiche(None)?;
        Cluster::check(&ClusterOptions::default())?;
        if delays_fsync {
            testbed::programs::built(slow_fsync::LIBRARY)?;
        }
        let path = rundir::fresh_path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Envelope::create(&format!("{name}-trial"), &Split::default())
            .and_then(|envelope| envelope.remove())
            .context("an experiment without limits means nothing, and there are no cgroups to be had here")?;
        Ok(Tools { k6, cores })
    }
}

impl Times {
    /// About what a run takes, the stack's start and end included.
    pub fn estimate(&self) -> Duration {
        self.warm_up + self.measured + AROUND
    }
}

/// A run, and what it was run on.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What came of it.
    pub run: PointRun,
    /// PostgreSQL's version.
    pub postgres: String,
    /// What the data is on.
    pub disk: String,
}

/// Runs it, and stops the stack whatever came of it.
///
/// # Errors
/// When it could not be run. Wrong books are no error: they are problems of the run. Nor is a run
/// that says nothing of the service: it is invalid.
pub async fn run(tools: &Tools, setup: &Setup, times: Times, round: u32) -> Result<Ran> {
    let stack = Stack::start(options(setup, tools.cores), &|_| ()).await?;
    ensure!(*stack.limits() == Limits::Enforced, "{}", stack.limits());
    let measured = measure(&stack, tools, setup, times, round).await;
    stack.stop_after("a run", measured).await
}

/// The stack starts with all its CPU; what is not measured need not be slow.
fn options(setup: &Setup, cores: Cores) -> StackOptions {
    let case = &setup.case;
    let pairs = |map: &BTreeMap<String, String>| map.clone().into_iter().collect::<Vec<_>>();
    let own = POSTGRES.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let timing = [("SERVER_TIMING".to_owned(), "on".to_owned())];
    StackOptions {
        mode: case.mode,
        profile: case.profile,
        balancing: case.balancing,
        split: case.split,
        transport: case.transport,
        envelope: true,
        fsync_delay: setup.fsync_delay,
        port: 0,
        pin: cores.pinning(),
        api_env: timing.into_iter().chain(pairs(&case.env)).collect(),
        metrics: true,
        // The last one of a name counts.
        pg: ClusterOptions {
            settings: own.into_iter().chain(pairs(&case.postgres)).collect(),
            ..ClusterOptions::default()
        },
        ..StackOptions::default()
    }
}

async fn measure(stack: &Stack, tools: &Tools, setup: &Setup, times: Times, round: u32) -> Result<Ran> {
    let envelope = stack.envelope().context("the limits are enforced, so there is an envelope")?;
    let aside = |pid| envelope.release(pid).and_then(|()| tools.cores.move_aside(pid));
    let client = connect(&stack.admin_url()).await?;
    let postgres = prepare(&client, setup.case.clients, &aside).await?;
    let sampler = Sampler::start(&stack.admin_url(), LOOK_EVERY).await?;
    aside(sampler.backend())?;

    let script = testbed::repository_root().join("loadtest/k6/experiment.js");
    let summary = stack.dir().join("outcome.json");
    let run = k6::Run {
        script: &script,
        env: load::env(setup, &stack.url(), times, &summary),
        log: &stack.dir().join("k6.log"),
        cpus: Some(tools.cores.k6.to_string()),
    };
    let scene = Scene { k6: &tools.k6, script: &run, stack, setup, client: &client };
    let interval = scene.watch(sampler).await?;
    let outcome = Outcome::read(&summary)?;

    // What is left to do is not measured, and need not be slow.
    envelope.limit_cpu(&setup.case.split, setup.period())?;
    let (books, counts) = Books::read_with_counts(&stack.admin_url(), stack.metrics()).await?;
    let problems = books.problems_beside(&Work::of(&counts));
    let run = PointRun { round, problems, ..point_run(outcome, interval, times) };
    Ok(Ran { run, postgres, disk: stack.disk().to_string() })
}

/// The clients, their limits, and a checkpoint, so that none comes in the measured interval.
/// `aside` takes the session's process out of what is measured. Returns the server's version.
async fn prepare(client: &Client, clients: u32, aside: &impl Fn(u32) -> Result<()>) -> Result<String> {
    let row = client.query_one("SELECT pg_backend_pid(), current_setting('server_version')", &[]).await;
    let row = row.context("cannot ask for the version")?;
    aside(u32::try_from(row.try_get::<_, i32>(0)?)?)?;
    let sql = format!(
        "INSERT INTO clientes (id, limite, saldo)
         SELECT id, 0, 0 FROM generate_series({SHIPPED_CLIENTS} + 1, {clients}) AS id;
         UPDATE clientes SET limite = {LIMIT};"
    );
    client.batch_execute(&sql).await.context("cannot make the clients")?;
    client.batch_execute("VACUUM (ANALYZE) clientes").await.context("cannot vacuum the clients")?;
    client.batch_execute("CHECKPOINT").await.context("cannot write a checkpoint")?;
    Ok(row.try_get(1)?)
}

/// What it comes to; the round and the books are left empty.
fn point_run(outcome: Outcome, interval: Interval, times: Times) -> PointRun {
    let elapsed_s = interval.elapsed_s;
    let services = interval.costs.into_iter().zip(interval.throttled);
    PointRun {
        seconds: times.measured.as_secs_f64(),
        requests: outcome.requests,
        right: outcome.right,
        shed: outcome.shed,
        wrong: outcome.wrong,
        latency_ms: outcome.latency_ms,
        spent_ms: outcome.spent_ms,
        k6_cpu_share: interval.k6_cpu_share,
        dropped: outcome.dropped,
        services: services
            .map(|(cost, throttled_share)| ServiceUse {
                service: cost.service,
                cpu_share: cost.cpu_s / elapsed_s,
                throttled_share,
                anonymous_peak_bytes: cost.anonymous_peak_bytes,
            })
            .collect(),
        work: interval.work,
        waits: Waits::of(&interval.samples),
        samples: interval.samples,
        commits_per_s: interval.commits as f64 / elapsed_s,
        rows_per_s: interval.rows as f64 / elapsed_s,
        logged_lock_waits: interval.logged_lock_waits,
        invalid: why_invalid(&outcome, interval.k6_cpu_share),
        ..PointRun::default()
    }
}

/// Why a run says nothing of the service. For every arrival of an open load there is a caller, see
/// [`Setup::callers`], so an iteration that was dropped is k6's doing even past saturation.
fn why_invalid(outcome: &Outcome, k6_cpu_share: f64) -> Option<String> {
    if outcome.requests == 0 {
        return Some("not one request was sent in the measured interval".into());
    }
    if k6_cpu_share > K6_BUSY {
        return Some(format!("k6 used {:.0}% of its core, so that it set the pace", k6_cpu_share * 100.0));
    }
    (outcome.dropped > 0)
        .then(|| format!("k6 dropped {} iterations that it could not start in time", outcome.dropped))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_k6_could_not_send_says_nothing_of_the_service() {
        let sent = Outcome { requests: 10, ..Outcome::default() };
        assert_eq!(why_invalid(&sent, 0.8), None);
        let reason = |outcome: &Outcome, share| why_invalid(outcome, share).unwrap_or_default();
        assert!(reason(&sent, 0.93).contains("93% of its core"));
        assert!(reason(&Outcome { dropped: 3, ..sent }, 0.1).contains("dropped 3 iterations"));
        assert!(reason(&Outcome::default(), 0.1).contains("not one request"));
    }

    #[test]
    fn settings_of_the_declaration_win() {
        let mut setup = Setup::default();
        setup.set_all("SERVER_TIMING=off,pg.deadlock_timeout=1s,fsync_ms=5").expect("right");
        let options = options(&setup, Cores { stack: 0, k6: 1 });
        assert_eq!(options.api_env.last(), Some(&("SERVER_TIMING".to_owned(), "off".to_owned())));
        assert_eq!(options.pg.settings.last(), Some(&("deadlock_timeout".to_owned(), "1s".to_owned())));
        assert_eq!((options.fsync_delay, options.envelope), (Duration::from_millis(5), true));
    }
}
