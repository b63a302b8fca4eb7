//! What is shown while a measurement runs.

use std::time::Duration;

use super::figures::whole;
use super::result::Run;
use crate::progress::{Display, clock};

const TEMPLATE: &str = "[{bar:24}] {pos}/{len} runs · {msg} · {prefix}";

/// A line for each run, and on a terminal one below them that says how far it is.
#[derive(Debug)]
pub struct Progress {
    display: Display,
    /// What all runs are estimated to take together, and those that are done.
    all: Duration,
    done: Duration,
}

impl Progress {
    /// Starts the clock.
    pub fn new(runs: u64, estimate: Duration) -> Progress {
        let display = Display::new(TEMPLATE, runs);
        display.say(&format!("{runs} runs, about {} min", clock(estimate)));
        Progress { display, all: estimate, done: Duration::ZERO }
    }

    /// Shows that a run begins.
    pub fn begins(&self, title: &str, label: &str) {
        self.display.bar.set_prefix(format!("{title}: {label}"));
        self.display.bar.set_message(format!("{} min left", self.left()));
    }

    /// Returns whether no run is over yet.
    pub fn is_first(&self) -> bool {
        self.done.is_zero()
    }

    /// Says that it is over, with this outcome in half a line; `estimate` is what it was expected to take.
    pub fn ends(&mut self, label: &str, outcome: Result<String, &anyhow::Error>, estimate: Duration) {
        self.done += estimate;
        let outcome = outcome.unwrap_or_else(|error| format!("FAILED: {error:#}"));
        self.say(&format!("{label:<44} {outcome}  {} min left", self.left()));
        self.display.bar.inc(1);
    }

    /// Leaves out one that was expected to take `estimate`.
    pub fn passes(&mut self, estimate: Duration) {
        self.all = self.all.saturating_sub(estimate);
        self.display.bar.inc(1);
    }

    /// Prints a line above what is shown.
    pub fn say(&self, text: &str) {
        self.display.say(text);
    }

    fn left(&self) -> String {
        clock(left(self.display.bar.elapsed(), self.done, self.all))
    }
}

/// Returns what is left when as much of `all` that was expected is `done` after `elapsed`.
fn left(elapsed: Duration, done: Duration, all: Duration) -> Duration {
    let slower = if done.is_zero() { 1.0 } else { elapsed.as_secs_f64() / done.as_secs_f64() };
    all.saturating_sub(done).mul_f64(slower)
}

/// Says a run in half a line.
pub fn summary(run: &Run) -> String {
    let per_s = |count: u64| whole(count as f64 / run.seconds);
    let mut text = format!(
        "{:>7}/s  p99 {:>7.1} ms  batch {:>5.1}  {:>4.1} wait for rows  load {:>3.0}%",
        per_s(run.requests),
        run.latency_ms.p99,
        run.work.mean_batch(),
        run.waits.row_lock_mean,
        run.generator_cpu_share * 100.0,
    );
    for (count, what) in [(run.shed, "shed"), (run.wrong, "wrong")] {
        if count > 0 {
            text.push_str(&format!("  {} {what}/s", per_s(count)));
        }
    }
    if run.limited_from_outside {
        text.push_str("  limited from outside");
    }
    if let Some(reason) = &run.invalid {
        text.push_str(&format!("  INVALID: {reason}"));
    }
    if let Some(problem) = run.problems.first() {
        text.push_str(&format!("  WRONG BOOKS: {problem}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_the_pace_so_far() {
        let seconds = Duration::from_secs;
        assert_eq!(left(seconds(0), seconds(0), seconds(60)), seconds(60));
        assert_eq!(left(seconds(30), seconds(20), seconds(60)), seconds(60));
        assert_eq!(left(seconds(99), seconds(60), seconds(60)), seconds(0));
    }

    #[test]
    fn a_run_is_told_in_half_a_line() {
        let mut run = Run { seconds: 2.0, requests: 2_468, generator_cpu_share: 0.31, ..Run::default() };
        assert_eq!(summary(&run), "  1,234/s  p99     0.0 ms  batch   0.0   0.0 wait for rows  load  31%");
        run.shed = 5;
        run.invalid = Some("k6 was slow".into());
        run.problems.push("a row is missing".into());
        assert!(summary(&run).ends_with("  3 shed/s  INVALID: k6 was slow  WRONG BOOKS: a row is missing"));
    }
}
