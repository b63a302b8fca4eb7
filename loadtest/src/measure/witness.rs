//! A witness beside wrk, which tells no single answers: one caller asks for a transaction twenty times a second,
//! each on a connection of its own, and remembers how long each answer took. Whatever makes everybody wait makes
//! the witness wait, too.

use std::time::Duration;

use testbed::http::Endpoint;

use crate::stalls::watch::now_s;
use crate::stalls::{Answer, TOO_SLOW_MS};

/// How many times a second it asks, unless it still waits.
pub const PER_SECOND: u32 = 20;

/// What it asks for: a credit of a cent, which no limit refuses.
const CREDIT: &str = r#"{"valor":1,"tipo":"c","descricao":"witness"}"#;

/// Asks for ever, for clients 1 to `clients` in turn, and tells each answer and whether it was right. No answer is one,
/// too: it took as long as was waited for it.
pub async fn ask(endpoint: &Endpoint, clients: u32, mut tell: impl FnMut(Answer, bool)) -> ! {
    let mut ticks = crate::ticks(Duration::from_secs(1) / PER_SECOND);
    let mut turns = (1..=clients).cycle();
    loop {
        ticks.tick().await;
        let (client, start_s) = (turns.next().unwrap_or(1), now_s());
        let answer = endpoint.post(&format!("/clientes/{client}/transacoes"), CREDIT).await;
        let right = answer.is_ok_and(|answer| answer.status == 200);
        tell(Answer { start_s, end_s: now_s(), spent: None }, right);
    }
}

/// Asks for so many seconds, once a load has ended. Returns the seconds until the last answer that was wrong or late.
pub async fn unwell(endpoint: &Endpoint, clients: u32, seconds: u32) -> f64 {
    let (ended, mut answers) = (now_s(), Vec::new());
    let asking = ask(endpoint, clients, |answer, right| answers.push((answer, right)));
    let Err(_elapsed) = tokio::time::timeout(Duration::from_secs(seconds.into()), asking).await;
    until_well(&answers, [ended, now_s()])
}

/// Returns the seconds from the beginning to the last answer that was wrong or late; whoever still waits at the end is
/// late, too.
fn until_well(answers: &[(Answer, bool)], [begin, end]: [f64; 2]) -> f64 {
    const LATE_S: f64 = TOO_SLOW_MS / 1_000.0;
    if answers.last().map_or(begin, |(last, _)| last.end_s) < end - LATE_S {
        return end - begin;
    }
    let bad = answers.iter().rfind(|(answer, right)| !right || answer.end_s - answer.start_s > LATE_S);
    bad.map_or(0.0, |(answer, _)| answer.end_s - begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_wrong_or_late_answer_is_how_long_it_took() {
        let answer = |start_s, end_s| Answer { start_s, end_s, spent: None };
        let good = [(answer(10.0, 10.1), true), (answer(10.8, 10.9), true)];
        assert_eq!(until_well(&good, [10.0, 11.0]), 0.0);
        for bad in [(answer(10.0, 10.5), true), (answer(10.4, 10.5), false)] {
            assert_eq!(until_well(&[good[0], bad, good[1]], [10.0, 11.0]), 0.5);
        }
        assert_eq!(until_well(&good[..1], [10.0, 11.0]), 1.0, "who waits is late, too");
        assert_eq!(until_well(&[], [10.0, 11.0]), 1.0);
    }
}
