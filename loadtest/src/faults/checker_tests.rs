//! Histories of a bank in memory, right ones and such as a broken service would leave: each must be found.

use super::super::history::{Account, Asked, Call, History, Told};
use super::super::picture::draw;
use super::{Kind, judge};

const LIMIT: i64 = 1_000;

/// What the bank does wrong, now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Two transactions read the same balance, and the later write wins.
    LostUpdate,
    /// It answers, and then does not commit.
    AnswerBeforeCommit,
    /// A statement comes from a copy that lags behind.
    StaleStatement,
    /// What had no answer is sent again.
    Doubled,
    /// It says 503 to what it applied.
    RefusedThoughApplied,
    /// It does not look at the limit.
    NoLimit,
    /// It refuses by the limit what would have fitted.
    WronglyOverLimit,
}

/// Plays callers side by side against a bank with a fault. A caller's call happens at one moment
/// between its start and its end.
fn play(seed: u64, fault: Fault) -> History {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut account = Account { limit: LIMIT, ..Account::default() };
    let mut history = History::default();
    // Moments at which calls happen are 10 apart; each starts up to 35 before, and ends as much after.
    for number in 0..400_u64 {
        let moment = 100 + 10 * number;
        let (start, end) = (moment - random.u64(1..=35), moment + random.u64(1..=35));
        let faulty = fault != Fault::None && random.u8(..8) == 0;
        let (asked, told) = if random.u8(..4) == 0 {
            let lag = if faulty && fault == Fault::StaleStatement { 9.min(account.rows.len()) } else { 0 };
            let shown = &account.rows[..account.rows.len() - lag];
            let total = shown.iter().map(|(cents, _)| cents).sum();
            let latest = shown.iter().rev().take(10).map(|(_, description)| description.clone()).collect();
            (Asked::Statement, Told::Statement(total, latest))
        } else {
            let (cents, description) = (random.i64(-400..=300), format!("t{number}"));
            let row = (cents, description.clone());
            let fits = account.balance + cents >= -LIMIT;
            let told = match random.u8(..10) {
                _ if !(fits || faulty && fault == Fault::NoLimit) => Told::OverLimit,
                _ if faulty && fault == Fault::WronglyOverLimit => Told::OverLimit,
                0 => Told::Refused,
                1 if random.bool() => Told::Unknown,
                unsure => {
                    account.rows.push(row.clone());
                    account.balance += cents;
                    let applied = Told::Applied(account.balance);
                    match fault {
                        Fault::LostUpdate if faulty => account.balance -= cents,
                        Fault::AnswerBeforeCommit if faulty => {
                            account.rows.pop();
                            account.balance -= cents;
                        }
                        Fault::Doubled if faulty => {
                            account.rows.push(row);
                            account.balance += cents;
                        }
                        _ => {}
                    }
                    match unsure {
                        _ if faulty && fault == Fault::RefusedThoughApplied => Told::Refused,
                        1 => Told::Unknown,
                        _ => applied,
                    }
                }
            };
            (Asked::Transaction { cents, description, keyed: false }, told)
        };
        history.calls.push(Call { client: 1, start, end, asked, told });
    }
    history.accounts.insert(1, account);
    history
}

#[test]
fn a_bank_that_keeps_its_promises_is_right() {
    for seed in 0..200 {
        assert_eq!(judge(&play(seed, Fault::None)), [], "seed {seed}");
    }
}

#[test]
fn each_fault_is_found_and_called_by_its_name() {
    for (fault, kind) in [
        (Fault::LostUpdate, Kind::WrongBalance),
        (Fault::AnswerBeforeCommit, Kind::Lost),
        (Fault::StaleStatement, Kind::Stale),
        (Fault::Doubled, Kind::Doubled),
        (Fault::RefusedThoughApplied, Kind::AppliedThoughRefused),
        (Fault::NoLimit, Kind::BelowLimit),
        (Fault::WronglyOverLimit, Kind::WronglyOverLimit),
    ] {
        for seed in 0..20 {
            let violations = judge(&play(seed, fault));
            assert!(violations.iter().any(|violation| violation.kind == kind), "{fault:?}, seed {seed}");
        }
    }
}

fn call(start: u64, end: u64, description: &str, told: Told) -> Call {
    Call {
        client: 1,
        start,
        end,
        asked: Asked::Transaction { cents: 1, description: description.into(), keyed: false },
        told,
    }
}

fn history(calls: Vec<Call>, rows: &[&str]) -> History {
    let rows: Vec<(i64, String)> = rows.iter().map(|row| (1, (*row).to_owned())).collect();
    let account = Account { limit: LIMIT, balance: rows.len() as i64, rows };
    History { calls, accounts: [(1, account)].into() }
}

fn kinds(history: &History) -> Vec<Kind> {
    judge(history).into_iter().map(|violation| violation.kind).collect()
}

#[test]
fn what_was_answered_before_stands_before() {
    let (first, second) = (call(0, 10, "a", Told::Applied(2)), call(20, 30, "b", Told::Applied(1)));
    assert_eq!(kinds(&history(vec![first, second], &["b", "a"])), [Kind::OutOfOrder]);
    // Side by side either order is right.
    let (first, second) = (call(0, 25, "a", Told::Applied(2)), call(20, 30, "b", Told::Applied(1)));
    assert_eq!(kinds(&history(vec![first, second], &["b", "a"])), []);
}

#[test]
fn what_has_no_answer_may_be_there_once_and_at_any_later_time() {
    let unknown = || call(0, 10, "a", Told::Unknown);
    let later = call(20, 30, "b", Told::Applied(1));
    assert_eq!(kinds(&history(vec![unknown(), later.clone()], &["b"])), []);
    assert_eq!(kinds(&history(vec![unknown(), later.clone()], &["b", "a"])), []);
    assert!(kinds(&history(vec![unknown(), later], &["b", "a", "a"])).contains(&Kind::Doubled));
}

#[test]
fn who_has_a_key_knows_in_the_end() {
    let keyed = |told| {
        let asked = Asked::Transaction { cents: 1, description: "a".into(), keyed: true };
        Call { asked, ..call(0, 10, "a", told) }
    };
    assert_eq!(kinds(&history(vec![keyed(Told::Applied(1))], &["a"])), []);
    for told in [Told::Unknown, Told::Unanswered] {
        assert_eq!(kinds(&history(vec![keyed(told)], &["a"])), [Kind::NeverKnown]);
    }
    assert_eq!(kinds(&history(vec![keyed(Told::Refused)], &[])), [Kind::NeverKnown]);
}

#[test]
fn a_statement_shows_nothing_that_was_not_sent() {
    let early = Call {
        client: 1,
        start: 0,
        end: 10,
        asked: Asked::Statement,
        told: Told::Statement(1, vec!["a".into()]),
    };
    let transaction = call(20, 30, "a", Told::Applied(1));
    let found = kinds(&history(vec![early, transaction], &["a"]));
    assert_eq!(found, [Kind::NeverWas, Kind::OutOfOrder]);
}

#[test]
fn what_nobody_sent_is_found() {
    assert_eq!(kinds(&history(vec![], &["x"])), [Kind::Forged]);
}

/// Every call that shows a broken promise is marked, and no other one.
#[test]
fn a_picture_marks_what_is_wrong() {
    let history = play(7, Fault::StaleStatement);
    let violations = judge(&history);
    let stale =
        violations.iter().find(|violation| violation.kind == Kind::Stale).expect("one is stale").clone();
    let page = draw(&history, std::slice::from_ref(&stale));
    let (start, end) = stale.at.expect("one call shows it");
    let marked: Vec<&str> = page.split("<rect ").filter(|bar| bar.contains("marked")).collect();
    let title = format!("<title>{start} to {end} µs: Statement");
    assert!(marked.len() == 1 && marked[0].contains(&title), "{marked:?}");
    assert!(page.matches("<rect ").count() > 10 && page.contains("client 1"), "{page}");
}
