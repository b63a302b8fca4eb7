use super::watch::Look;
use super::*;

fn answer(start_s: f64, ms: f64) -> Answer {
    Answer { start_s, end_s: start_s + ms / 1e3, spent: None }
}

/// Ten seconds of looks at 50 ms, in which a cause holds for so many seconds of each look from 5.0 s to 5.3 s.
fn evidence(cause: Cause, usual_s: f64, held_s: f64) -> Evidence {
    let look = |index: u32| {
        let from_s = f64::from(index) * 0.05;
        let held = if (100..106).contains(&index) { held_s } else { usual_s };
        Look { from_s, to_s: from_s + 0.05, held: vec![(cause, held)] }
    };
    let looks: Vec<Look> = (0..200).map(look).collect();
    match cause.is_of_sessions() {
        true => Evidence { sessions: looks, ..Evidence::default() },
        false => Evidence { machine: looks, ..Evidence::default() },
    }
}

fn stall(evidence: &Evidence) -> Stall {
    let mut stalls = find(&[answer(5.0, 300.0)], 1.0, evidence, 2.0);
    assert_eq!(stalls.count, 1);
    stalls.longest.remove(0)
}

#[test]
fn slow_answers_that_overlap_are_one_stall() {
    let answers =
        [answer(1.2, 60.0), answer(1.0, 210.0), answer(1.1, 40.0), answer(9.0, 51.0), answer(1.05, 90.0)];
    let stalls = find(&answers, 1.0, &Evidence::default(), 1.0);
    assert_eq!((stalls.slow_ms, stalls.answers, stalls.count), (50.0, 4, 2));
    let [first, second] = &stalls.longest[..] else { panic!("{stalls:?}") };
    assert_eq!((first.answers, first.ms.round(), second.at_s), (3, 260.0, 8.0));
    assert_eq!(first.what_for(), "not known");
    assert_eq!(find(&answers, 9.5, &Evidence::default(), 1.0).answers, 1, "slow is ten medians at least");
    let late = [answer(1.0, 251.0), answer(1.0, 249.0)];
    assert_eq!(find(&late, 100.0, &Evidence::default(), 1.0).answers, 1, "and 250 ms at most");
}

#[test]
fn at_most_ten_are_told() {
    let answers: Vec<Answer> = (0..25).map(|at| answer(f64::from(at), 60.0 + f64::from(at))).collect();
    let stalls = find(&answers, 1.0, &Evidence::default(), 0.0);
    assert_eq!((stalls.count, stalls.longest.len()), (25, 10));
    assert_eq!(stalls.longest[0].ms.round(), 84.0, "the longest is first");
}

#[test]
fn every_cause_that_can_be_seen_is_named() {
    for cause in Cause::seen() {
        let stall = stall(&evidence(cause, 0.0, 0.04));
        let [finding] = &stall.causes[..] else { panic!("{cause}: {stall:?}") };
        assert_eq!((finding.cause, (finding.share * 100.0).round()), (cause, 80.0));
        assert!(stall.what_for().starts_with(&cause.to_string()), "{}", stall.what_for());
    }
}

#[test]
fn evidence_says_how_much() {
    let says = |cause, held| stall(&evidence(cause, 0.005, held)).what_for();
    assert_eq!(says(Cause::SliceOfNginx, 0.04), "NGINX’s CPU slice (throttled for 240 of 300 ms)");
    assert_eq!(says(Cause::Disk, 0.03), "the disk (disk pressure 60 %, usually 10 %)");
    assert!(says(Cause::Commit, 0.05).ends_with("looks had a session waiting for the log)"));
}

#[test]
fn what_is_usual_is_no_cause() {
    assert_eq!(stall(&evidence(Cause::Cpu, 0.03, 0.035)).causes, []);
}

#[test]
fn the_largest_share_is_first() {
    let mut both = evidence(Cause::Disk, 0.0, 0.02);
    both.sessions = evidence(Cause::Commit, 0.0, 0.045).sessions;
    let causes = stall(&both).causes;
    assert_eq!(causes.iter().map(|one| one.cause).collect::<Vec<_>>(), [Cause::Commit, Cause::Disk]);
}

#[test]
fn what_the_instances_say_is_evidence() {
    type Set = fn(&mut Spent);
    let cases: [(Set, Cause); 6] = [
        (|spent| spent.queue = 90.0, Cause::Mailbox),
        (|spent| spent.connection = 90.0, Cause::Connection),
        (|spent| (spent.database, spent.lock) = (90.0, 90.0), Cause::Row),
        (|spent| (spent.database, spent.work) = (90.0, 90.0), Cause::Work),
        (|spent| spent.database = 90.0, Cause::Call),
        (|_| (), Cause::Outside),
    ];
    for (set, cause) in cases {
        let mut spent = Spent::default();
        set(&mut spent);
        let slow = Answer { spent: Some(spent), ..answer(5.0, 100.0) };
        let stalls = find(&[slow], 1.0, &Evidence::default(), 0.0);
        let [finding] = &stalls.longest[0].causes[..] else { panic!("{stalls:?}") };
        assert_eq!(finding.cause, cause);
        let percent = if cause == Cause::Outside { 100 } else { 90 };
        assert_eq!(finding.evidence, format!("{percent} % of the time of 1 answers, as the instances say"));
    }
}

#[test]
fn two_kinds_of_evidence_name_a_cause_once() {
    let spent = Spent { database: 280.0, lock: 280.0, ..Spent::default() };
    let slow = Answer { spent: Some(spent), ..answer(5.0, 300.0) };
    let stalls = find(&[slow], 1.0, &evidence(Cause::Row, 0.0, 0.05), 0.0);
    let says = stalls.longest[0].what_for();
    assert_eq!(says.matches("the row (").count(), 1, "{says}");
    assert!(says.contains("waiting for a row lock, 93 % of the time"), "{says}");
}
