//! Plays loads against a stack of the testbed, measures, and reports.
//!
//! - [`contest`] plays the official simulation, [`up`] only starts the stack and watches it.
//! - [`measure`] is the engine that measures; [`mod@bench`] and [`experiment`] are its two commands.
//! - [`faults`] breaks a running stack, and judges what its callers were told.
//! - [`k6`] plays the scripts of `loadtest/k6` for both, [`script`] those of others.
//! - [`latency`] and [`progress`] are what both know of response times and show meanwhile.
//! - [`stalls`] says what slow answers waited for.
//! - [`watch`] serves the page of a stack that is traced.
//! - `files` has where reports go, how they are written and read.
//! - [`lock`] sees to it that one of them measures at a time.
//! - [`report`] has what all reports have in common, [`docs`] the figures in the documents.

/// Prints a line. Who read it may have gone (`| head`): what runs goes on.
macro_rules! out {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// Returns a clock that ticks so often; nobody is told later of ticks that nobody waited for.
fn ticks(every: std::time::Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    ticks
}

pub mod args;
pub mod bench;
pub mod contest;
pub mod docs;
pub mod experiment;
pub mod faults;
mod files;
pub mod k6;
pub mod latency;
pub mod lock;
pub mod measure;
pub mod progress;
pub mod report;
pub mod script;
pub mod stalls;
pub mod up;
pub mod watch;
