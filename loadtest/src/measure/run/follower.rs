//! A load of which k6 says itself when its measured interval begins and ends, and what is read meanwhile.

use anyhow::Result;
use tokio::sync::mpsc;
use tokio_postgres::Client;

use super::Context;
use crate::contest::costs::Meter;
use crate::files::read_json;
use crate::k6::{self, Channel, Event};
use crate::measure::interval::{self, Mark, Totals};
use crate::measure::result::Run;
use crate::measure::sampler::Sampler;
use crate::measure::{slow, users};
use crate::stalls::Answer;
use crate::stalls::watch::Watch;
use testbed::usage::Usage;

impl Context<'_> {
    /// Sends a load of which k6 says itself when the measured interval begins and ends. Half-way through
    /// the warm-up the CPU is scaled down: until then sessions of the database have begun and have compiled
    /// their functions, some 10 ms of CPU each, for which the scaled one would take seconds.
    pub(super) async fn play_marked(&self, client: &Client, sampler: Sampler) -> Result<Run> {
        let stack = self.stack;
        let watch = Some(Watch::start(None, stack.envelope.as_ref()));
        let summary = stack.dir().join("outcome.json");
        let run = k6::Run {
            script: "experiment.js".as_ref(),
            arguments: &[],
            channel: Channel::Console,
            env: users::env(self.setup, &stack.url(), self.times, &summary),
            log: &stack.dir().join("k6.log"),
            cpus: self.generator_cpus(),
        };
        let (marks, mut marked) = mpsc::unbounded_channel();
        let mut follower = Follower {
            context: self,
            marks,
            meter: Meter::default(),
            scaled: Ok(()),
            seen: Vec::new(),
            slow: Vec::new(),
        };
        let playing = async move {
            self.k6()?.run(&run, &mut |event| follower.follow(event)).await?;
            follower.scaled?;
            let seen = follower.seen.into_iter().collect::<Result<Vec<Mark>>>()?;
            let [begun, ended] = <[Mark; 2]>::try_from(seen)
                .map_err(|_| anyhow::anyhow!("k6 never said that the measured interval began and ended"))?;
            Ok(((begun, ended), follower.meter, follower.slow))
        };
        let reading = async {
            // Without a mark k6 has failed, and says why.
            marked.recv().await;
            let before = Totals::read(stack, client, false).await?;
            marked.recv().await;
            anyhow::Ok((before, Totals::read(stack, client, false).await?))
        };
        let ((ends, meter, slow), (before, after)) = tokio::try_join!(playing, reading)?;
        let seconds = self.times.measured.as_secs_f64();
        let run = Run { seconds, slow: Some(slow), ..read_json(&summary, "an outcome")? };
        interval::observed(stack, run, ends, (&before, &after), meter, (sampler, watch)).await
    }
}

/// Follows what k6 says, and reads at once what can be read without waiting.
struct Follower<'a> {
    context: &'a Context<'a>,
    marks: mpsc::UnboundedSender<()>,
    meter: Meter,
    scaled: Result<()>,
    /// The interval's ends.
    seen: Vec<Result<Mark>>,
    /// Answers that may be slow.
    slow: Vec<Answer>,
}

impl Follower<'_> {
    /// Takes notice of one event.
    fn follow(&mut self, event: Event<'_>) {
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
