//! The programs and cores that a measurement needs, and under which conditions it is made, in words.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::cores::Cores;
use super::instructions::Callgrind;
use super::plan::Plan;
use super::result::Conditions;
use super::setup::{Arrivals, Setup};
use super::wrk::Wrk;
use crate::k6::K6;
use testbed::cluster::{Cluster, ClusterOptions};
use testbed::envelope::Envelope;
use testbed::instance::find_guiche;
use testbed::machine;
use testbed::programs::version;
use testbed::rundir;
use testbed::split::{INSTANCES, Split};

/// How long a program may take to name its settings, in seconds.
const PATIENCE_S: &str = "2";

/// What a run was made on.
#[derive(Clone, Debug, Default)]
pub struct Platform {
    /// PostgreSQL's version.
    pub postgres: String,
    /// What the data is on, and how long an fsync takes there.
    pub disk: String,
}

/// The programs that the cases of a plan need.
#[derive(Clone, Debug)]
pub struct Tools {
    /// For loads that saturate.
    pub wrk: Option<Wrk>,
    /// For all others.
    pub k6: Option<K6>,
    /// Where instructions are counted.
    pub callgrind: Option<Callgrind>,
}

impl Tools {
    /// Finds them, and makes sure of everything else that a run needs: it would fail in each.
    ///
    /// # Errors
    /// When something is missing, the programs that are compared included; says what to do.
    pub fn find(plans: &[Plan]) -> Result<Tools> {
        let by_wrk = |setup: &Setup| matches!(setup.arrivals, Arrivals::Saturating { .. });
        if plans.iter().all(|plan| plan.target.is_some()) {
            return Ok(Tools { wrk: Some(Wrk::find()?), k6: None, callgrind: None });
        }
        let setups = || plans.iter().flat_map(Plan::setups);
        let any = |is: fn(&Setup) -> bool| setups().any(is);
        if any(|setup| setup.isolated) {
            Cores::of_machine()?;
        }
        let counted = plans.iter().flat_map(|plan| &plan.comparisons).any(|one| one.instructions);
        let tools = Tools {
            wrk: any(by_wrk).then(Wrk::find).transpose()?,
            k6: any(|setup| {
                !matches!(setup.arrivals, Arrivals::Saturating { .. } | Arrivals::Batches { .. })
            })
            .then(|| K6::find(None))
            .transpose()?,
            callgrind: counted.then(Callgrind::find).transpose()?,
        };
        setups().try_for_each(has_settings)?;
        Cluster::check(&ClusterOptions::default())?;
        if any(|setup| !setup.fsync_delay.is_zero()) {
            testbed::programs::built(testbed::preload::LIBRARY)?;
        }
        let path = rundir::fresh_path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Envelope::create(&format!("{name}-trial"), &Split::default(), INSTANCES)
            .and_then(|envelope| envelope.remove())
            .context("a measurement without limits means nothing, and there are no cgroups to be had here")?;
        Ok(tools)
    }

    /// Returns what is known of the conditions without a clock.
    pub fn conditions(&self, plan: &Plan, platform: Platform) -> Conditions {
        let wrk = self.wrk.as_ref().map(|wrk| format!("wrk {}", wrk.version));
        if let Some(target) = &plan.target {
            return Conditions {
                machine: machine::describe(),
                versions: wrk.into_iter().collect(),
                envelope: format!(
                    "{}, which somebody else has started: its answers alone are seen",
                    target.url()
                ),
                ..plan.result.conditions.clone()
            };
        }
        let Platform { postgres, disk } = platform;
        let nginx = named("NGINX", testbed::programs::find("nginx"), "-v");
        let mut versions = vec![format!("PostgreSQL {postgres}"), nginx];
        versions.extend(wrk);
        versions.extend(self.k6.as_ref().map(|k6| format!("k6 {}", k6.version)));
        versions.push(named("guiche", find_guiche(None).ok(), "--version"));
        Conditions {
            machine: machine::describe(),
            commit: commit().unwrap_or_default(),
            versions,
            disk,
            envelope: plan.setups().next().map(envelope).unwrap_or_default(),
            ..plan.result.conditions.clone()
        }
    }
}

/// Asks a program that is compared for its settings (`--settings`): it would pass over one that it does not have. What gives
/// no answer within [`PATIENCE_S`] cannot be asked.
fn has_settings(setup: &Setup) -> Result<()> {
    let program = setup.program()?;
    if setup.guiche.is_none() || setup.env.is_empty() {
        return Ok(());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut asked = Command::new("timeout");
    asked.arg(PATIENCE_S).arg(&program).arg("--settings").env_clear().env("PATH", path).stdin(Stdio::null());
    let Ok(output) = asked.output() else { return Ok(()) };
    let Ok(known) = serde_json::from_slice::<Vec<Named>>(&output.stdout) else { return Ok(()) };
    let is_known = |name: &str| name.starts_with("OTEL_") || known.iter().any(|one| one.name == name);
    if let Some(name) = setup.env.keys().find(|name| !is_known(name)) {
        let names: Vec<&str> = known.iter().map(|one| one.name.as_str()).collect();
        bail!("{name} is no setting of {}; there are {}", program.display(), names.join(", "));
    }
    Ok(())
}

/// A setting, as a program names it.
#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Returns the services' CPU and cores in a sentence.
fn envelope(setup: &Setup) -> String {
    if !setup.isolated {
        return "the contest’s limits: 1.5 CPU and 550 MB in four services".to_owned();
    }
    let Ok(cores) = Cores::of_machine() else { return String::new() };
    let split = setup.scaled_split();
    format!(
        "1/{} of {:.2} CPUs: {:.3} for each instance, {:.3} for NGINX, {:.3} for PostgreSQL, in slices of \
         {:.0} ms, all on core {}; k6 alone on core {}; memory as in the contest",
        setup.scale,
        setup.split.total(),
        split.api,
        split.nginx,
        split.postgres,
        setup.period().as_secs_f64() * 1e3,
        cores.stack,
        cores.k6,
    )
}

/// Says which commit the repository is at.
fn commit() -> Option<String> {
    let git = ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"];
    let asked = Command::new("git").arg("-C").arg(testbed::repository_root()).args(git).output().ok()?;
    asked.status.success().then(|| String::from_utf8_lossy(&asked.stdout).trim().to_owned())
}

/// Says a program's version; where there is no such program, that it is unknown.
fn named(name: &str, program: Option<PathBuf>, option: &str) -> String {
    let version = program.and_then(|program| version(&program, option).ok());
    format!("{name} {}", version.map_or("of unknown version".to_owned(), |(version, _)| version))
}
