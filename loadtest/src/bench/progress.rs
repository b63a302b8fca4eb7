//! What is shown while the benchmark or an experiment runs.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::result::Run;
use crate::report::text::grouped;

const TEMPLATE: &str = "[{bar:24}] {pos}/{len} runs · {msg} · {prefix}";

/// How often the line is drawn anew while nothing happens.
const REDRAW: Duration = Duration::from_secs(1);

/// A line for each run, and on a terminal one below them that says how far it is.
#[derive(Debug)]
pub struct Progress {
    begin: Instant,
    /// What all runs are estimated to take together, and those that are done.
    all: Duration,
    done: Duration,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Starts the clock.
    pub fn new(runs: u64, estimate: Duration) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(TEMPLATE).expect("the template is a valid constant");
            let bar = ProgressBar::new(runs).with_style(style.progress_chars("=> "));
            bar.enable_steady_tick(REDRAW);
            bar
        });
        let progress = Progress { begin: Instant::now(), all: estimate, done: Duration::ZERO, bar };
        progress.say(&format!("{runs} runs, about {}", clock(estimate)));
        progress
    }

    /// A run begins.
    pub fn begins(&self, title: &str, label: &str) {
        if let Some(bar) = &self.bar {
            bar.set_prefix(format!("{title}: {label}"));
            bar.set_message(format!("{} left", clock(self.left())));
        }
    }

    /// Whether no run is over yet.
    pub fn is_first(&self) -> bool {
        self.done.is_zero()
    }

    /// It is over, with this outcome in half a line; `estimate` is what it was expected to take.
    pub fn ends(&mut self, label: &str, outcome: Result<String, &anyhow::Error>, estimate: Duration) {
        self.done += estimate;
        let outcome = outcome.unwrap_or_else(|error| format!("FAILED: {error:#}"));
        self.say(&format!("{label:<44} {outcome}  {} left", clock(self.left())));
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Prints a line above what is shown.
    pub fn say(&self, text: &str) {
        let line = format!("{:6.1} s  {text}", self.begin.elapsed().as_secs_f64());
        match &self.bar {
            Some(bar) => bar.println(line),
            None => println!("{line}"),
        }
    }

    fn left(&self) -> Duration {
        left(self.begin.elapsed(), self.done, self.all)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What is left when as much of `all` that was expected is `done` after `elapsed`.
fn left(elapsed: Duration, done: Duration, all: Duration) -> Duration {
    let slower = if done.is_zero() { 1.0 } else { elapsed.as_secs_f64() / done.as_secs_f64() };
    all.saturating_sub(done).mul_f64(slower)
}

fn clock(duration: Duration) -> String {
    format!("{}:{:02} min", duration.as_secs() / 60, duration.as_secs() % 60)
}

/// A run in half a line.
pub(super) fn glance(run: &Run) -> String {
    format!(
        "{:>7}/s  p99 {:>6.1} ms  {:>4.0} µs CPU  batch {:>5.1}{}{}{}",
        grouped(run.requests_per_s().round() as u64),
        run.load.outcome.latency_us.p99 as f64 / 1_000.0,
        run.cpu_us_per_request(),
        run.work.mean_batch(),
        if run.errors() > 0 { format!("  {} errors", grouped(run.errors())) } else { String::new() },
        if run.is_limited_from_outside() { "  limited from outside" } else { "" },
        run.problems.first().map_or(String::new(), |problem| format!("  WRONG BOOKS: {problem}")),
    )
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
        assert_eq!(clock(seconds(247)), "4:07 min");
    }
}
