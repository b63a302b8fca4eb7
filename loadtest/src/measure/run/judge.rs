//! What is to be thought of a run, once it is over.

use crate::measure::result::Run;
use crate::measure::setup::{Arrivals, Setup};

/// The share of one core from which the load generator is held to have set the pace.
pub(in crate::measure) const GENERATOR_BUSY: f64 = 0.8;

/// The share of the machine's CPU time below which it had nothing left to give.
const MACHINE_FULL: f64 = 0.03;

/// Returns a run with what is to be thought of it.
pub(super) fn judged(setup: &Setup, mut run: Run) -> Run {
    if !setup.isolated {
        run.samples.clear();
    }
    match setup.arrivals {
        Arrivals::Batches { .. } => {
            run.right = run.requests;
            run.limited_from_outside = is_limited_from_outside(&run);
        }
        Arrivals::Saturating { .. } => {
            let lost = run.wrong;
            (run.shed, run.wrong) = failures(&run);
            run.right = run.requests.saturating_sub(run.shed + run.wrong - lost);
            run.limited_from_outside = is_limited_from_outside(&run);
        }
        _ => run.invalid = run.invalid.take().or_else(|| why_invalid(&run)),
    }
    run
}

/// Returns the answers that were shed, and what else is neither right nor 422, the load balancer's own
/// answers included. An answer that wrk no longer waited for at its end is in the instances' count and not
/// in wrk's.
pub(super) fn failures(run: &Run) -> (u64, u64) {
    let work = &run.work;
    let not_success = work.answers.iter().filter(|(status, _)| **status >= 400);
    let of_instances: u64 = not_success.map(|(_, count)| count).sum();
    let shed = work.answers.get(&503).copied().unwrap_or(0);
    let errors = work.errors() + run.not_success.saturating_sub(of_instances) + run.wrong;
    (shed, errors.saturating_sub(shed))
}

/// Returns whether the load generator, or a machine with nothing left to give, may have set the pace
/// instead of the service and its limits.
pub(super) fn is_limited_from_outside(run: &Run) -> bool {
    let at_its_limit = run.services.iter().any(|service| service.throttled_share > 0.5);
    run.generator_cpu_share > GENERATOR_BUSY || (run.idle_share < MACHINE_FULL && !at_its_limit)
}

/// Returns why a run says nothing of the service. For every arrival of an open load there is a caller, see
/// [`Setup::callers`], so an iteration that was dropped is k6's doing even past saturation.
pub(super) fn why_invalid(run: &Run) -> Option<String> {
    if run.requests == 0 {
        return Some("not one request was sent in the measured interval".into());
    }
    if run.generator_cpu_share > GENERATOR_BUSY {
        let percent = run.generator_cpu_share * 100.0;
        return Some(format!("k6 used {percent:.0}% of its core, so that it set the pace"));
    }
    (run.dropped > 0)
        .then(|| format!("k6 dropped {} iterations that it could not start in time", run.dropped))
}
