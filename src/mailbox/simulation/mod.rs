//! The mailboxes under schedules that a seed decides, or all there are, in simulated time (`docs/simulation.md`).
//!
//! Registry, actors, mailboxes, gatherers and idle list are the real ones; the ledger, the callers, the clocks and
//! the order of what happens are simulated. All threads of an instance are played by one, so that a schedule is
//! played the same way each time.

mod choices;
mod fault;
mod judge;
mod ledger;
mod play;
mod stage;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use settings::Mode;

use super::{GathererOptions, MailboxOptions};
use crate::observing::Observer;
use choices::Choices;
pub(super) use fault::Fault;
use judge::MOST;
use play::{PATIENCE, Script, play, some_client};

type Tally = BTreeMap<&'static str, u64>;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}: {value}")))
}

/// Draws bounds and arrivals.
fn drawn(choices: &mut Choices) -> Script {
    let mut draw = |from: usize, to: usize| from + choices.pick(to + 1 - from);
    let mode = if draw(0, 4) == 0 { Mode::Serial } else { Mode::Batched };
    let mailboxes = MailboxOptions {
        mode,
        queue_per_client: draw(1, 5),
        live_actors: draw(1, 5),
        requests_in_flight: draw(2, 12),
        answer_deadline: Duration::from_millis(100),
        passivate_after: PATIENCE,
    };
    let calls_in_flight = draw(1, 3);
    let gatherer = GathererOptions {
        mode,
        clients_per_call: draw(1, 4),
        batch_max: draw(1, 5),
        calls_in_flight,
        overlap_calls: calls_in_flight + draw(0, 1),
        overlap_below: draw(0, 3),
        row_waits: draw(0, 2),
    };
    let (shards, clients, requests) = (draw(1, 2), draw(1, 5), draw(3, 20).min(MOST));
    let arrivals = (0..requests).map(|_| some_client(choices, clients)).collect();
    Script { mailboxes, gatherer, shards, arrivals, wild: true, moves: [1, 3] }
}

/// Plays the schedule of one seed.
fn play_seed(seed: u64, observer: &Observer, tally: &mut Tally) -> Result<(), String> {
    let mut choices = Choices::seeded(seed);
    let script = drawn(&mut choices);
    let told =
        play(&script, &mut choices, observer).map_err(|wrong| format!("{wrong}\nSEED={seed} SCHEDULES=1"))?;
    told.into_iter().for_each(|(what, times)| *tally.entry(what).or_default() += times);
    Ok(())
}

/// Plays so many seeds from `first` on, on all cores; returns how often what was told.
fn play_seeds(first: u64, schedules: u64) -> Tally {
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let played = |thread| {
        let (observer, mut tally) = (Observer::unheard(), Tally::new());
        for seed in (first..first + schedules).skip(thread as usize).step_by(threads as usize) {
            if let Err(wrong) = play_seed(seed, &observer, &mut tally) {
                panic!("{wrong}");
            }
        }
        tally.insert("passivations", observer.mailbox.passivations.get());
        tally.insert("actor panics", observer.mailbox.actor_panics.get());
        tally
    };
    let mut all = Tally::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || played(thread))).collect();
        for thread in threads {
            let tally = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            tally.into_iter().for_each(|(what, times)| *all.entry(what).or_default() += times);
        }
    });
    all
}

#[test]
fn schedules_at_random() {
    let (first, schedules) = (from_environment("SEED", 1), from_environment("SCHEDULES", 2_000));
    let began = Instant::now();
    let tally = play_seeds(first, schedules);
    println!("{schedules} schedules in {:.1?}: {tally:?}", began.elapsed());
    if schedules >= 2_000 {
        for what in [
            "applied",
            "statement",
            "unknown client",
            "no statement",
            "left",
            "unavailable",
            "outcome unknown",
            "lost",
            "timed out",
            "shed: queue",
            "shed: requests",
            "shed: actors",
            "shed: rows",
            "passivations",
            "actor panics",
        ] {
            assert!(tally.get(what).is_some_and(|times| *times > 0), "{what} never happened: {tally:?}");
        }
    }
}

/// Plays every schedule of these arrivals; returns how many there are.
fn play_all(arrivals: &[i32]) -> u64 {
    let mailboxes = MailboxOptions {
        mode: Mode::Batched,
        queue_per_client: 2,
        live_actors: 2,
        requests_in_flight: 3,
        answer_deadline: Duration::from_millis(100),
        passivate_after: PATIENCE,
    };
    let gatherer = GathererOptions {
        mode: Mode::Batched,
        clients_per_call: 2,
        batch_max: 2,
        calls_in_flight: 1,
        overlap_calls: 1,
        overlap_below: 0,
        row_waits: 0,
    };
    let moves = [1, 1];
    let script = Script { mailboxes, gatherer, shards: 1, arrivals: arrivals.to_vec(), wild: false, moves };
    let (observer, mut choices, mut schedules) = (Observer::unheard(), Choices::every(), 0);
    loop {
        schedules += 1;
        if let Err(wrong) = play(&script, &mut choices, &observer) {
            panic!("{wrong}, schedule {schedules} of {arrivals:?}");
        }
        if !choices.next() {
            return schedules;
        }
    }
}

#[test]
#[ignore = "it takes a minute or more"]
fn every_schedule_of_two_requests() {
    for arrivals in [[1, 1], [1, 2]] {
        let began = Instant::now();
        let schedules = play_all(&arrivals);
        println!("{arrivals:?}: {schedules} schedules in {:.0?}", began.elapsed());
        assert!(schedules > 500, "{schedules} are not all");
    }
}

#[test]
#[ignore = "it takes minutes"]
fn every_schedule_of_three_requests() {
    std::thread::scope(|scope| {
        for arrivals in [[1, 1, 1], [1, 1, 2], [1, 2, 1], [1, 2, 2]] {
            scope.spawn(move || {
                let began = Instant::now();
                let schedules = play_all(&arrivals);
                println!("{arrivals:?}: {schedules} schedules in {:.0?}", began.elapsed());
            });
        }
    });
}

#[test]
fn seeded_faults_are_found() {
    for (fault, words) in [
        (Fault::ForgottenWakeUp, "wait for ever"),
        (Fault::SecondRun, "two runs"),
        (Fault::CountedOutTwice, "is told Err(Shed(ClientQueue))"),
        (Fault::QueueJumper, "are sent after"),
        (Fault::SentToNobody, "whose caller had gone"),
        (Fault::AnswersSwapped, "is told Ok"),
        (Fault::LostCommit, "is told Err(Unavailable)"),
    ] {
        Fault::seed(Some(fault));
        let found = (1..=2_000).find_map(|seed| {
            // What a fault leaves counted is not to be found again by the next schedule.
            let wrong = play_seed(seed, &Observer::unheard(), &mut Tally::new()).err()?;
            wrong.contains(words).then_some(seed)
        });
        Fault::seed(None);
        println!("{fault:?}: found by seed {found:?}");
        assert!(found.is_some(), "{fault:?} is not found");
    }
}
