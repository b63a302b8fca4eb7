//! Under which conditions an experiment was measured, in words.

use std::process::Command;

use super::declaration::Declaration;
use super::plan::{self, Planned};
use super::result::Conditions;
use super::run::Tools;
use crate::bench::nginx_version;
use testbed::instance::find_guiche;
use testbed::machine;

/// What is known of them without a clock. `postgres` is the server's version, `disk` what its data is
/// on.
pub fn of(
    tools: &Tools,
    declaration: &Declaration,
    points: &[Planned],
    (postgres, disk): (String, String),
) -> Conditions {
    let versions = vec![
        format!("PostgreSQL {postgres}"),
        nginx_version(),
        format!("k6 {}", tools.k6.version()),
        guiche_version(),
    ];
    Conditions {
        machine: machine::describe(),
        versions,
        disk,
        envelope: points.first().map(|point| envelope(point, tools)).unwrap_or_default(),
        stays: plan::stays(points),
        rounds: declaration.rounds,
        warm_up_s: declaration.warm_up.into(),
        measured_s: declaration.seconds.into(),
        ..Conditions::default()
    }
}

/// The services' CPU and cores in a sentence.
fn envelope(point: &Planned, tools: &Tools) -> String {
    let (setup, split) = (&point.setup, point.setup.split());
    format!(
        "1/{} of {:.2} CPUs: {:.3} for each instance, {:.3} for NGINX, {:.3} for PostgreSQL, in slices of \
         {:.0} ms, all on core {}; k6 alone on core {}; memory as in the contest",
        setup.scale,
        setup.case.split.total(),
        split.api,
        split.nginx,
        split.postgres,
        setup.period().as_secs_f64() * 1e3,
        tools.cores.stack,
        tools.cores.k6,
    )
}

/// `guiche 0.1.0`, from the program itself.
fn guiche_version() -> String {
    let program = find_guiche(None).unwrap_or_else(|_| "guiche".into());
    let output = Command::new(program).arg("--version").output().map(|output| output.stdout);
    let text = String::from_utf8_lossy(&output.unwrap_or_default()).trim().to_owned();
    if text.is_empty() { "guiche of unknown version".into() } else { text }
}
