//! Looks on while a load is played: at the sessions of the database, and at the machine.
//!
//! The machine is looked at by a thread of its own, so that its lateness is the machine's and not this program's.
//! Each look reads eight small files of the kernel. The database's session that only looks is not charged to the
//! database where cgroups permit that.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use testbed::envelope::{Envelope, ThrottleMeter};
use testbed::machine::Pressure;
use tokio::task::AbortHandle;

use super::Cause;
use crate::measure::sampler::{Looker, Sample};

/// How often it looks.
pub const INTERVAL: Duration = Duration::from_millis(50);

/// How long a database that does not answer is left alone.
const PATIENCE: Duration = Duration::from_millis(100);

/// From when on an answer to a look is late.
const PROMPT: f64 = 0.02;

/// How far back a wait may have begun that the kernel adds when it is over: a slice.
const SLICE: f64 = 0.1;

/// What was seen from one moment to the next: for how long causes held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// From when …
    pub from_s: f64,
    /// … to when.
    pub to_s: f64,
    /// What held, for how many seconds of it.
    pub held: Vec<(Cause, f64)>,
}

/// Everything that was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Of the database's sessions, in the order of time.
    pub sessions: Vec<Look>,
    /// Of the machine, in the order of time.
    pub machine: Vec<Look>,
}

impl Look {
    /// Returns for how many seconds a cause held.
    pub fn held(&self, cause: Cause) -> f64 {
        self.held.iter().find(|(own, _)| *own == cause).map_or(0.0, |(_, seconds)| *seconds)
    }
}

/// Returns the share of time in which a cause held, 0 to 1; within a span where one is given.
pub fn share(looks: &[Look], cause: Cause, span: Option<(f64, f64)>) -> f64 {
    let (mut all, mut held) = (0.0, 0.0);
    let (from_s, to_s) = span.unwrap_or((f64::MIN, f64::MAX));
    for look in looks {
        let length = look.to_s - look.from_s;
        let overlap = look.to_s.min(to_s) - look.from_s.max(from_s);
        if overlap > 0.0 {
            all += overlap;
            held += overlap * (look.held(cause) / length).min(1.0);
        }
    }
    if all > 0.0 { held / all } else { 0.0 }
}

impl Evidence {
    /// Returns the looks that could show it.
    pub fn of(&self, cause: Cause) -> &[Look] {
        if cause.is_of_sessions() { &self.sessions } else { &self.machine }
    }

    /// Adds what a sampler saw of the sessions; its times count from `begin_s`.
    pub fn with_samples(mut self, samples: &[Sample], begin_s: f64) -> Evidence {
        let asked = samples.iter().map(|sample| {
            let answered_s = begin_s + sample.at_s;
            Asked { at_s: answered_s - sample.took_s, answer: Some((answered_s, sample.clone())) }
        });
        let end_s = samples.last().map_or(begin_s, |last| begin_s + last.at_s);
        self.sessions.extend(of_sessions(&asked.collect::<Vec<_>>(), end_s));
        self
    }

    /// Keeps what was seen between two moments.
    pub fn within(mut self, from_s: f64, to_s: f64) -> Evidence {
        for looks in [&mut self.sessions, &mut self.machine] {
            looks.retain(|look| look.to_s > from_s && look.from_s < to_s);
        }
        self
    }

    /// Returns what was seen outside of these spans.
    pub(super) fn outside(&self, spans: &[(f64, f64)]) -> Evidence {
        let is_outside =
            |look: &&Look| !spans.iter().any(|(from, to)| look.to_s > *from && look.from_s < *to);
        let outside = |looks: &[Look]| looks.iter().filter(is_outside).cloned().collect();
        Evidence { sessions: outside(&self.sessions), machine: outside(&self.machine) }
    }
}

/// Returns the time in seconds since 1970.
pub fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Looks on until it is dropped or [`Watch::stop`]ped.
#[derive(Debug)]
pub struct Watch {
    ended: Arc<AtomicBool>,
    machine: Option<JoinHandle<Vec<Reading>>>,
    sessions: Arc<Mutex<Vec<Asked>>>,
    asking: Option<AbortHandle>,
}

impl Watch {
    /// Begins. `database` is the URL of a superuser: others do not see what sessions wait for. A database that
    /// cannot be asked is asked again.
    pub fn start(database: Option<String>, envelope: Option<&Envelope>) -> Watch {
        let (ended, sessions) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (meter, told) = (envelope.map(Envelope::throttle_meter).unwrap_or_default(), Arc::clone(&ended));
        let machine = thread::spawn(move || readings(&meter, &told));
        let roots = envelope.map(Envelope::outside).unwrap_or_default();
        let asking = database.map(|url| tokio::spawn(ask(url, roots, Arc::clone(&sessions))).abort_handle());
        Watch { ended, machine: Some(machine), sessions, asking }
    }

    /// Ends, and returns what was seen.
    pub fn stop(mut self) -> Evidence {
        self.end();
        let machine = self.machine.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let asked = mem::take(&mut *self.sessions.lock().unwrap_or_else(PoisonError::into_inner));
        Evidence { sessions: of_sessions(&asked, now_s()), machine: of_machine(&machine) }
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.asking.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

/// A question to the database, and what came back.
#[derive(Clone, Debug)]
struct Asked {
    at_s: f64,
    answer: Option<(f64, Sample)>,
}

/// The machine at one moment: counters, and how late it was looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    at_s: f64,
    late: Duration,
    pressure: Pressure,
    throttled: [Duration; 4],
}

fn readings(meter: &ThrottleMeter, ended: &AtomicBool) -> Vec<Reading> {
    let (mut readings, mut due) = (Vec::new(), Instant::now());
    while !ended.load(Ordering::Relaxed) {
        let late = due.elapsed();
        readings.push(Reading { at_s: now_s(), late, pressure: Pressure::now(), throttled: meter.now() });
        due = Instant::now() + INTERVAL;
        thread::sleep(INTERVAL);
    }
    readings
}

/// Asks for the sessions for ever.
async fn ask(url: String, outside: Vec<std::path::PathBuf>, looks: Arc<Mutex<Vec<Asked>>>) {
    let mut ticks = crate::ticks(INTERVAL);
    let with_last = |change: &dyn Fn(&mut Asked)| {
        looks.lock().unwrap_or_else(PoisonError::into_inner).last_mut().map(change)
    };
    let begin =
        |at_s| looks.lock().unwrap_or_else(PoisonError::into_inner).push(Asked { at_s, answer: None });
    loop {
        begin(now_s());
        let Ok(looker) = Looker::connect(&url).await else {
            tokio::time::sleep(PATIENCE).await;
            continue;
        };
        for procs in &outside {
            // Where that is not permitted, the looks are charged to the database.
            let _ = std::fs::write(procs, looker.backend.to_string());
        }
        while let Ok(sample) = looker.look().await {
            with_last(&|last| last.answer = Some((now_s(), sample.clone())));
            ticks.tick().await;
            begin(now_s());
        }
    }
}

/// A look lasts until the next; it tells what sessions waited for, unless its answer was late.
fn of_sessions(asked: &[Asked], end_s: f64) -> Vec<Look> {
    let ends = asked.iter().skip(1).map(|next| next.at_s).chain([end_s]);
    let look = |(asked, to_s): (&Asked, f64)| {
        let from_s = asked.at_s;
        let answered_s = asked.answer.as_ref().map_or(to_s, |(at_s, _)| *at_s);
        let silent = if answered_s - from_s > PROMPT { answered_s - from_s } else { 0.0 };
        let mut held = vec![(Cause::Silence, silent)];
        if let Some((_, sample)) = &asked.answer {
            let waiting = sample.row_lock + sample.wal + sample.other;
            let counts = [
                (Cause::Row, sample.row_lock),
                (Cause::Commit, sample.wal),
                (Cause::Inside, sample.other),
                (Cause::Work, sample.active.saturating_sub(waiting)),
            ];
            let there = counts.into_iter().filter(|(_, sessions)| *sessions > 0);
            held.extend(there.map(|(cause, _)| (cause, to_s - from_s - silent)));
        }
        held.retain(|(_, seconds)| *seconds > 0.0);
        Look { from_s, to_s, held }
    };
    asked.iter().zip(ends).filter(|(asked, to_s)| *to_s > asked.at_s).map(look).collect()
}

/// Subtracts each reading from the next. What is more than the time between them began before.
///
/// To the kernel whoever has used up a quota waits for a CPU, so the machine's pressure holds that time too: what
/// the quotas explain is taken out of it.
fn of_machine(readings: &[Reading]) -> Vec<Look> {
    let mut carried = Vec::<(Cause, f64)>::new();
    let mut looks: Vec<Look> = Vec::new();
    for pair in readings.windows(2).rev() {
        let [before, after] = pair else { continue };
        let length = after.at_s - before.at_s;
        let [api1, api2, nginx, database] =
            [0, 1, 2, 3].map(|index: usize| after.throttled[index].saturating_sub(before.throttled[index]));
        let (then, now) = (&before.pressure, &after.pressure);
        let held = [
            (Cause::SliceOfApi1, api1),
            (Cause::SliceOfApi2, api2),
            (Cause::SliceOfNginx, nginx),
            (Cause::SliceOfDatabase, database),
            (Cause::Cpu, now.cpu.saturating_sub(then.cpu)),
            (Cause::Disk, now.io.saturating_sub(then.io)),
            (Cause::Memory, now.memory.saturating_sub(then.memory)),
            (Cause::Steal, now.steal.saturating_sub(then.steal)),
            (Cause::Asleep, after.late),
        ];
        let held = held.map(|(cause, duration)| {
            let before = carried.iter().find(|(own, _)| *own == cause).map_or(0.0, |(_, rest)| *rest);
            (cause, duration.as_secs_f64() + before)
        });
        carried = held.iter().map(|(cause, total)| (*cause, (total - length).clamp(0.0, SLICE))).collect();
        let mut held = held.map(|(cause, total)| (cause, total.min(length)));
        let [quotas @ .., (_, cpu), _, _, _, _] = &mut held;
        let throttled = quotas.iter().map(|(_, seconds)| *seconds).fold(0.0, f64::max);
        *cpu = (*cpu - throttled).max(0.0);
        let held = held.into_iter().filter(|(_, seconds)| *seconds > 0.0).collect();
        looks.push(Look { from_s: before.at_s, to_s: after.at_s, held });
    }
    looks.reverse();
    looks
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
