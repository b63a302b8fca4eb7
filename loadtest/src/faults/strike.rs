//! One fault in the middle of the load, and what callers saw of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testbed::nginx::Balancing;
use testbed::stack::Stack;

use super::callers::Callers;
use super::checker::{Kind, Violation};
use super::disaster::Fault;
use super::history::{Call, Told};
use crate::measure::figures::Spread;
use crate::stalls::watch::{Watch, now_s};
use crate::stalls::{self, Answer, Stalls};

/// How long all goes well before a fault, and at least after it.
const CALM: Duration = Duration::from_secs(1);

/// How long it may take after a fault until all goes well again.
const RECOVERY: Duration = Duration::from_secs(30);

/// One fault under one way to share out, and what callers saw of it.
pub struct Strike {
    /// How NGINX shared out.
    pub balancing: Balancing,
    /// What was done.
    pub fault: Fault,
    /// The answers to what was over between its beginning and the calm after it.
    pub seen: Seen,
    /// From when everything was there again to the last answer that was not as it should be.
    pub recovery: Duration,
    /// What slow answers waited for; its seconds count from the fault's beginning.
    pub stalls: Stalls,
    /// The promises that were broken meanwhile.
    pub broken: BTreeMap<Kind, u64>,
    /// When the calm was there again, in microseconds of the history.
    end: u64,
}

/// Answers by what they said.
#[derive(Clone, Copy, Default)]
pub struct Seen {
    /// 200 or 422.
    pub answered: u64,
    /// 503.
    pub refused: u64,
    /// 504.
    pub unknown: u64,
    /// None, or none that there should be.
    pub unanswered: u64,
}

/// Strikes once, in calm, and waits until all goes well again.
///
/// # Errors
/// When the fault cannot be done, a part does not start again, or not all goes well in time.
pub async fn strike(
    stack: &mut Stack,
    callers: &Callers,
    balancing: Balancing,
    fault: Fault,
    random: &mut fastrand::Rng,
) -> Result<Strike> {
    let watch = Watch::start(Some(stack.admin_url()), None);
    tokio::time::sleep(CALM).await;
    let first = callers.count();
    let began_us = callers.now();
    fault.strike(stack, random).await.with_context(|| fault.to_string())?;
    let healed = callers.now();
    let deadline = Instant::now() + RECOVERY;
    loop {
        tokio::time::sleep(CALM / 4).await;
        let (last_bad, seen) = callers.look(|calls| {
            let of_strike = &calls[first..];
            let last_bad = of_strike.iter().rev().find(|call| !call.is_answered()).map_or(0, |call| call.end);
            (last_bad, Seen::of(of_strike))
        });
        let calm_since = last_bad.max(healed);
        let end = callers.now();
        // Somebody is answered, too: those who wait for an answer are no calm.
        let answers = callers.look(|calls| calls.last().is_some_and(|call| call.end > calm_since));
        if answers && end - calm_since >= CALM.as_micros() as u64 {
            let recovery = Duration::from_micros(calm_since - healed);
            // It waits for its thread, and callers are not to.
            let evidence = tokio::task::spawn_blocking(|| watch.stop()).await.context("the watch died")?;
            let history_s = now_s() - callers.now() as f64 / 1e6;
            let stalls = callers.look(|calls| {
                let answers: Vec<Answer> =
                    calls[first..].iter().map(|call| answer(call, history_s)).collect();
                stalls::find(&answers, median_ms(&answers), &evidence, history_s + began_us as f64 / 1e6)
            });
            return Ok(Strike { balancing, fault, seen, recovery, stalls, broken: BTreeMap::new(), end });
        }
        ensure!(Instant::now() < deadline, "{fault}: not well after {RECOVERY:?}");
    }
}

/// Returns a call as an answer; `history_s` is when the history began, in seconds since 1970.
fn answer(call: &Call, history_s: f64) -> Answer {
    let [start_s, end_s] = [call.start, call.end].map(|us| history_s + us as f64 / 1e6);
    Answer { start_s, end_s, spent: None }
}

fn median_ms(answers: &[Answer]) -> f64 {
    Spread::of(answers.iter().map(|answer| (answer.end_s - answer.start_s) * 1e3).collect()).median
}

/// Counts each violation with the strike in which its call ended.
pub fn attribute(strikes: &mut [Strike], violations: &[Violation]) {
    for violation in violations {
        let Some((_, end)) = violation.at else { continue };
        let first = strikes.partition_point(|strike| strike.end < end);
        if let Some(strike) = strikes.get_mut(first) {
            *strike.broken.entry(violation.kind).or_default() += 1;
        }
    }
}

impl Seen {
    fn of(calls: &[Call]) -> Seen {
        let mut seen = Seen::default();
        for call in calls {
            match call.told {
                Told::Refused => seen.refused += 1,
                Told::Unknown => seen.unknown += 1,
                Told::Unanswered | Told::Wrong(_) => seen.unanswered += 1,
                _ => seen.answered += 1,
            }
        }
        seen
    }
}
