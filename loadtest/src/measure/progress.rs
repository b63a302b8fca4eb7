//! What is shown while a measurement runs.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::figures::whole;
use super::result::Run;

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

/// Says a run in half a line.
pub fn glance(run: &Run) -> String {
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
        assert_eq!(clock(seconds(247)), "4:07 min");
    }

    #[test]
    fn a_run_is_told_in_half_a_line() {
        let mut run = Run { seconds: 2.0, requests: 2_468, generator_cpu_share: 0.31, ..Run::default() };
        assert_eq!(glance(&run), "  1,234/s  p99     0.0 ms  batch   0.0   0.0 wait for rows  load  31%");
        run.shed = 5;
        run.invalid = Some("k6 was slow".into());
        run.problems.push("a row is missing".into());
        assert!(glance(&run).ends_with("  3 shed/s  INVALID: k6 was slow  WRONG BOOKS: a row is missing"));
    }
}
