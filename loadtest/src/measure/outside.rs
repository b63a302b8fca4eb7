//! What somebody else has started: loaded as the stack is, and seen by its answers alone.

use anyhow::{Context, Result, ensure};

use super::plan::{Plan, Times};
use super::result::Run;
use super::run::GENERATOR_BUSY;
use super::setup::{Arrivals, Setup};
use super::tools::{Platform, Tools};
use super::wrk::Load;
use crate::contest::target::Target;
use testbed::machine::Busy;
use testbed::rundir::RunDir;

/// What can be set of a load. All else is what the service's owner chose.
const LOAD: [&str; 4] = ["connections", "clients", "mix", "keyed"];

/// Figures that need no look inside.
pub(super) const FIGURES: &str = "requests p50 p98 p99 latency_max errors status_400 wrong load_percent idle_percent seconds answered right";

impl Plan {
    /// Has it load the service at `url`.
    ///
    /// # Errors
    /// When that is no address, or a case sets more than a load.
    pub fn against(mut self, url: &str) -> Result<Plan> {
        let target = Target::new(url)?;
        let conditions = &mut self.result.conditions;
        let shipped = conditions.shipped.clone();
        let all = self.result.comparisons.iter_mut().flat_map(|comparison| &mut comparison.cases);
        for settings in all.map(|case| &mut case.settings).chain([&mut conditions.base]) {
            for (key, value) in settings.iter() {
                let is_set =
                    !LOAD.contains(&key.as_str()) && !shipped.contains(&(key.clone(), value.clone()));
                ensure!(
                    !is_set,
                    "{key}={value} is for the owner of {} to set; with --target cases say {}",
                    target.url(),
                    LOAD.join(", ")
                );
            }
            settings.retain(|(key, _)| LOAD.contains(&key.as_str()));
        }
        conditions.shipped.retain(|(key, _)| LOAD.contains(&key.as_str()));
        // What is expected is expected of this service.
        self.result.expectations.clear();
        self.result.title = format!("Benchmark of {}", target.url());
        self.target = Some(target);
        Ok(self)
    }
}

/// Loads it once.
///
/// # Errors
/// When it does not answer, or wrk fails.
pub(super) async fn run(
    tools: &Tools,
    target: &Target,
    setup: &Setup,
    times: Times,
    round: u32,
) -> Result<(Run, Platform)> {
    ensure!(matches!(setup.arrivals, Arrivals::Saturating { .. }), "--target is loaded by wrk alone");
    target.until_ready().await?;
    let (directory, wrk) = (RunDir::create()?, tools.wrk.as_ref().context("wrk is not there")?);
    let load = |duration, seed| Load { url: target.url(), setup, duration, seed, cpus: None };
    wrk.play(&load(times.warm_up, 1_000 + round), directory.path(), &mut || ())
        .await
        .context("the warm-up")?;
    let before = Busy::now()?;
    let run = wrk.play(&load(times.measured, round), directory.path(), &mut || ()).await?;
    let idle_share = Busy::now()?.idle_share_since(&before);
    ensure!(run.requests > 0, "not one request was answered; {} failed", run.wrong);
    let run = Run {
        round,
        outside: true,
        right: run.requests.saturating_sub(run.not_success),
        refusals: Some(run.not_success),
        idle_share,
        limited_from_outside: run.generator_cpu_share > GENERATOR_BUSY,
        ..run
    };
    Ok((run, Platform::default()))
}
