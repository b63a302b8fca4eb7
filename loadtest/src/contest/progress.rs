//! What is shown while the contest is played.

use std::time::{Duration, Instant};

use super::live::Live;
use super::plan::Plan;
use super::score::Tally;
use crate::progress::{Display, clock};
use crate::report::text::grouped;

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

const TEMPLATE: &str = "{prefix:<26} [{bar:24}] {msg}";

/// One line that changes on a terminal, else a line now and then.
#[derive(Debug)]
pub struct Progress {
    plan: Plan,
    load_since: Option<Instant>,
    display: Display,
    last_line: Instant,
}

impl Progress {
    /// Starts the clock.
    pub fn new(plan: Plan) -> Progress {
        let display = Display::new(TEMPLATE, plan.expected_total());
        Progress { plan, load_since: None, display, last_line: Instant::now() }
    }

    /// Shows how far it is. To be called about once a second.
    pub fn show(&mut self, live: &Live) {
        if live.is_loaded() && self.load_since.is_none() {
            self.load_since = Some(Instant::now());
        }
        let loaded_for = self.load_since.map(|since| since.elapsed());
        let phase = phase(&self.plan, loaded_for);
        let message = self.message(live, loaded_for.unwrap_or_default());
        let bar = &self.display.bar;
        bar.set_prefix(phase);
        bar.set_position(live.tally().total());
        if bar.is_hidden() && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            out!("          {phase}: {message}");
        }
        bar.set_message(message);
    }

    fn message(&self, live: &Live, loaded_for: Duration) -> String {
        let tally = live.tally();
        format!(
            "{}/{} · {}/{} requests · {}/s · p99 {:.1} ms · {}",
            clock(loaded_for),
            clock(self.plan.duration()),
            grouped(tally.total()),
            grouped(self.plan.expected_total()),
            live.rate(),
            live.quantile_ms(0.99),
            faults(&tally),
        )
    }
}

fn phase(plan: &Plan, loaded_for: Option<Duration>) -> &'static str {
    let Some(loaded_for) = loaded_for else { return "opening and validations" };
    if loaded_for.as_secs() < plan.ramp_s {
        "open load, rising"
    } else if loaded_for < plan.duration() {
        "open load, at its peak"
    } else {
        "last answers"
    }
}

fn faults(tally: &Tally) -> String {
    let kinds = [(tally.slow, "slow"), (tally.wrong, "wrong"), (tally.inconsistent, "inconsistent")];
    let some: Vec<String> = kinds
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{} {kind}", grouped(count)))
        .collect();
    if some.is_empty() { "all right".into() } else { some.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_the_plan() {
        let at = |seconds| phase(&Plan::QUICK, Some(Duration::from_secs(seconds)));
        assert_eq!(phase(&Plan::QUICK, None), "opening and validations");
        assert_eq!([at(0), at(9)], ["open load, rising"; 2]);
        assert_eq!([at(10), at(19)], ["open load, at its peak"; 2]);
        assert_eq!(at(20), "last answers");
    }

    #[test]
    fn faults_are_named_when_there_are_any() {
        assert_eq!(faults(&Tally { right: 5, ..Tally::default() }), "all right");
        assert_eq!(
            faults(&Tally { right: 5, slow: 1_200, wrong: 0, inconsistent: 2 }),
            "1,200 slow, 2 inconsistent"
        );
    }
}
