//! Why was that one slow? Groups slow answers into stalls, and says what each waited for.
//!
//! [`watch`] looks at the sessions of the database and at the machine twenty times a second while a load is
//! played; [`find`] holds slow answers against what it saw. A cause is named where it held for a fifth of the
//! stall more than is usual outside of stalls; the largest is first. All times are seconds since 1970, until they
//! are part of a result.
//!
//! PostgreSQL's own statistics of the log (`pg_stat_wal`) are of no use here: sessions hand them in once a second.

pub mod cause;
pub mod watch;

use serde::{Deserialize, Serialize};

use crate::latency::Spent;
pub use cause::Cause;
use watch::{Evidence, share};

/// Below this many milliseconds no answer is slow.
pub const SLOW_MS: f64 = 50.0;

/// Nor is one that took less than so many medians …
const MEDIANS: f64 = 10.0;

/// … but one that took more milliseconds than this is slow in any case: the contest counts it as wrong.
pub(crate) const TOO_SLOW_MS: f64 = 250.0;

/// The most stalls that are told.
const TOLD: usize = 10;

/// How much of a stall's time a cause must have held beyond what is usual.
const NAMED: f64 = 0.2;

/// An answer that may be slow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// When it was asked for.
    pub start_s: f64,
    /// When it had come.
    pub end_s: f64,
    /// Where its time went inside the instance, where that said so.
    pub spent: Option<Spent>,
}

/// What came of a run's slow answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stalls {
    /// An answer that took longer, in milliseconds, was slow.
    pub slow_ms: f64,
    /// How many were.
    pub answers: usize,
    /// How many stalls these were.
    pub count: usize,
    /// The longest of them, the longest first.
    pub longest: Vec<Stall>,
}

/// Slow answers that overlap in time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stall {
    /// When it began, in seconds since the run's beginning.
    pub at_s: f64,
    /// How long it was from the first of its answers being asked for until the last had come.
    pub ms: f64,
    /// How many answers were slow.
    pub answers: usize,
    /// What for, the largest first; empty where nobody knows.
    pub causes: Vec<Finding>,
}

/// A cause, and what speaks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What was waited for.
    pub cause: Cause,
    /// The share of the stall in which it held beyond what is usual, 0 to 1.
    pub share: f64,
    /// The evidence, in words.
    pub evidence: String,
}

/// Returns how long an answer must take to be slow, in milliseconds.
pub fn slow_ms(median_ms: f64) -> f64 {
    (MEDIANS * median_ms).clamp(SLOW_MS, TOO_SLOW_MS)
}

/// Groups the slow ones of some `answers` into stalls and says what for; `begin_s` is the run's beginning.
pub fn find(answers: &[Answer], median_ms: f64, evidence: &Evidence, begin_s: f64) -> Stalls {
    let slow_ms = slow_ms(median_ms);
    let took = |answer: &Answer| (answer.end_s - answer.start_s) * 1e3;
    let mut slow: Vec<Answer> = answers.iter().filter(|answer| took(answer) > slow_ms).copied().collect();
    slow.sort_by(|one, other| one.start_s.total_cmp(&other.start_s));
    let mut groups: Vec<Group> = Vec::new();
    for answer in &slow {
        match groups.last_mut() {
            Some(group) if answer.start_s <= group.to_s => {
                group.to_s = group.to_s.max(answer.end_s);
                group.answers.push(*answer);
            }
            _ => groups.push(Group { from_s: answer.start_s, to_s: answer.end_s, answers: vec![*answer] }),
        }
    }
    let count = groups.len();
    let spans: Vec<(f64, f64)> = groups.iter().map(|group| (group.from_s, group.to_s)).collect();
    let usual = evidence.outside(&spans);
    groups.sort_by(|one, other| (other.to_s - other.from_s).total_cmp(&(one.to_s - one.from_s)));
    let longest = groups.iter().take(TOLD).map(|group| Stall {
        at_s: group.from_s - begin_s,
        ms: (group.to_s - group.from_s) * 1e3,
        answers: group.answers.len(),
        causes: group.causes(evidence, &usual),
    });
    Stalls { slow_ms, answers: slow.len(), count, longest: longest.collect() }
}

/// Slow answers that overlap.
struct Group {
    from_s: f64,
    to_s: f64,
    answers: Vec<Answer>,
}

impl Group {
    /// Returns what they waited for.
    fn causes(&self, evidence: &Evidence, usual: &Evidence) -> Vec<Finding> {
        let (span, ms) = ((self.from_s, self.to_s), (self.to_s - self.from_s) * 1e3);
        let seen = Cause::seen().filter_map(|cause| {
            let (looks, usual) = (evidence.of(cause), share(usual.of(cause), cause, None));
            let held = share(looks, cause, Some(span));
            let within = looks.iter().filter(|look| look.to_s > span.0 && look.from_s < span.1);
            let hits = within.clone().filter(|look| look.held(cause) > 0.0).count();
            let evidence = cause.evidence(held, usual, ms, (hits, within.count()));
            (held - usual >= NAMED).then_some(Finding { cause, share: held - usual, evidence })
        });
        let mut causes: Vec<Finding> = seen.chain(self.told()).collect();
        causes.sort_by(|one, other| other.share.total_cmp(&one.share));
        causes
    }

    /// Returns what the instances say of those answers that they timed.
    fn told(&self) -> impl Iterator<Item = Finding> {
        let timed = self.answers.iter().filter_map(|one| Some(((one.end_s - one.start_s) * 1e3, one.spent?)));
        let timed: Vec<(f64, Spent)> = timed.collect();
        let total: f64 = timed.iter().map(|(took, _)| took).sum();
        type Part = fn(&(f64, Spent)) -> f64;
        let parts: [(Cause, Part); 6] = [
            (Cause::Mailbox, |(_, spent)| spent.queue),
            (Cause::Connection, |(_, spent)| spent.connection),
            (Cause::Row, |(_, spent)| spent.lock),
            (Cause::Work, |(_, spent)| spent.work),
            (Cause::Call, |(_, spent)| spent.database - spent.lock - spent.work),
            (Cause::Outside, |(took, spent)| took - spent.queue - spent.connection - spent.database),
        ];
        parts.into_iter().filter_map(move |(cause, part)| {
            let sum: f64 = timed.iter().map(part).sum();
            let share = if total > 0.0 { sum / total } else { 0.0 };
            let (percent, count) = (share * 100.0, timed.len());
            let evidence = format!("{percent:.0} % of the time of {count} answers, as the instances say");
            (share >= NAMED).then_some(Finding { cause, share, evidence })
        })
    }
}

impl Stalls {
    /// Says in a sentence what was slow.
    pub fn summary(&self) -> String {
        match self.answers {
            0 => format!("No answer took longer than {:.0} ms.", self.slow_ms),
            answers => format!(
                "{answers} answers took longer than {:.0} ms, in {} stalls (the longest first, {} at most).",
                self.slow_ms, self.count, TOLD
            ),
        }
    }

    /// Returns a line for each stall that is told.
    pub fn lines(&self) -> Vec<String> {
        self.longest.iter().map(|stall| format!("{}: {}", stall.when(), stall.what_for())).collect()
    }
}

impl Stall {
    /// Says when, how long and how many.
    pub fn when(&self) -> String {
        format!("at {:.2} s, for {:.0} ms, {} answers", self.at_s, self.ms, self.answers)
    }

    /// Says what for; a cause of which there are two kinds of evidence is named once.
    pub fn what_for(&self) -> String {
        let mut names: Vec<(String, Vec<&str>)> = Vec::new();
        for finding in &self.causes {
            let name = finding.cause.to_string();
            match names.iter_mut().find(|(known, _)| *known == name) {
                Some((_, evidence)) => evidence.push(&finding.evidence),
                None => names.push((name, vec![&finding.evidence])),
            }
        }
        let words = names.into_iter().map(|(name, evidence)| format!("{name} ({})", evidence.join(", ")));
        let words: Vec<String> = words.collect();
        if words.is_empty() { "not known".to_owned() } else { words.join("; ") }
    }
}

#[cfg(test)]
#[path = "stalls_tests.rs"]
mod tests;
