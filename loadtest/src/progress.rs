//! What is shown while something runs: lines with their time, and on a terminal one below them that changes.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

/// How often the changing line is drawn anew while nothing happens.
const REDRAW: Duration = Duration::from_secs(1);

/// The display. Dropped, it takes the changing line away.
#[derive(Debug)]
pub struct Display {
    /// The line that changes; hidden where standard error is no terminal.
    pub bar: ProgressBar,
}

impl Display {
    /// Starts the clock. The changing line looks like `template`, and its bar counts up to `length`.
    pub fn new(template: &str, length: u64) -> Display {
        let style = ProgressStyle::with_template(template).expect("the template is a valid constant");
        let bar = ProgressBar::new(length).with_style(style.progress_chars("=> "));
        bar.enable_steady_tick(REDRAW);
        Display { bar: bar.with_finish(ProgressFinish::AndClear) }
    }

    /// Prints a line above what is shown.
    pub fn say(&self, text: &str) {
        let elapsed = self.bar.elapsed().as_secs_f64();
        self.bar.suspend(|| out!("{elapsed:6.1} s  {text}"));
    }
}

/// Says a time in minutes and seconds: `4:07`.
pub fn clock(duration: Duration) -> String {
    format!("{}:{:02}", duration.as_secs() / 60, duration.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_minutes_and_seconds() {
        assert_eq!(clock(Duration::from_secs(247)), "4:07");
    }
}
