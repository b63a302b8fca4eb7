//! What k6 says of its load, and what is read meanwhile.

use anyhow::Result;
use tokio::sync::mpsc;

use super::Context;
use crate::contest::costs::Meter;
use crate::k6::Event;
use crate::measure::interval::Mark;
use crate::measure::{slow, users};
use crate::stalls::Answer;
use testbed::usage::Usage;

/// Follows what k6 says, and reads at once what can be read without waiting.
pub(super) struct Follower<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) marks: mpsc::UnboundedSender<()>,
    pub(super) meter: Meter,
    pub(super) scaled: Result<()>,
    /// The interval's ends.
    pub(super) seen: Vec<Result<Mark>>,
    /// Answers that may be slow.
    pub(super) slow: Vec<Answer>,
}

impl Follower<'_> {
    /// Takes notice of one event.
    pub(super) fn follow(&mut self, event: Event<'_>) {
        let stack = self.context.stack;
        match event {
            Event::Line(line, _) if line.contains(users::WARM) => self.scaled = self.context.scale(true),
            Event::Line(line, k6) if line.contains(users::BEGINS) || line.contains(users::ENDS) => {
                self.seen.push(Mark::now(stack, Usage::of_tree(k6).cpu));
                self.meter.sample(stack.usage());
                // Nobody listens any more when reading has failed, which is an error of its own.
                let _ = self.marks.send(());
            }
            Event::Tick if self.seen.len() == 1 => self.meter.sample(stack.usage()),
            Event::Line(line, _) => self.slow.extend(slow::parse(line)),
            Event::Tick | Event::Sample(_) => {}
        }
    }
}
