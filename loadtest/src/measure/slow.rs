//! Slow answers of a run: what `experiment.js` says of them while it runs, and what the report says they waited
//! for. wrk tells no single answers: beside it they are a witness's.

use super::result::{Case, Measurement};
use super::witness::PER_SECOND;
use crate::latency::Spent;
use crate::stalls::{Answer, Stall};

/// What `experiment.js` says on its console before the figures of an answer that may be slow.
const SLOW: &str = "slow answer: ";

/// How many stalls of a case are told.
const TOLD: usize = 3;

/// Reads a line of its console: when the answer came, in milliseconds since 1970, how many it took, and, where
/// the instance said so, where they went. Returns `None` for any other line.
pub fn parse(line: &str) -> Option<Answer> {
    let (_, figures) = line.split_once(SLOW)?;
    let figures = figures.split('"').next()?.trim();
    let mut parts = figures.splitn(3, ' ');
    let mut number = || parts.next()?.parse::<f64>().ok();
    let (end_ms, took_ms) = (number()?, number()?);
    let spent = parts.next().and_then(Spent::parse);
    Some(Answer { start_s: (end_ms - took_ms) / 1e3, end_s: end_ms / 1e3, spent })
}

/// Returns Markdown: a line for each case that had slow answers, and below it one for each of its longest stalls,
/// over all rounds.
pub fn lines(result: &Measurement) -> Vec<String> {
    result.comparisons.iter().flat_map(|one| one.cases.iter().flat_map(of_case)).collect()
}

fn of_case(case: &Case) -> Vec<String> {
    let runs = || case.valid().filter_map(|run| Some((run.round + 1, run.stalls.as_ref()?)));
    let count: usize = runs().map(|(_, stalls)| stalls.count).sum();
    if count == 0 {
        return Vec::new();
    }
    let slow_ms = runs().map(|(_, stalls)| stalls.slow_ms).fold(0.0, f64::max);
    let stalls = runs().flat_map(|(round, stalls)| stalls.longest.iter().map(move |stall| (round, stall)));
    let mut stalls: Vec<(u32, &Stall)> = stalls.collect();
    stalls.sort_by(|(_, one), (_, other)| other.ms.total_cmp(&one.ms));
    let told = stalls
        .iter()
        .take(TOLD)
        .map(|(round, stall)| format!("  - round {round}, {}: {}", stall.when(), stall.what_for()));
    let whose = match case.setting("connections") {
        "" => String::new(),
        _ => format!(", a witness that asked {PER_SECOND} times a second beside wrk"),
    };
    let head =
        format!("- {}{whose}: answers took longer than {slow_ms:.0} ms, in {count} stalls", case.label);
    std::iter::once(head).chain(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::experiment;
    use crate::stalls::{Cause, Finding, Stalls};

    #[test]
    fn a_line_of_the_console_is_an_answer() {
        let line = r#"time="2026-11-29T20:00:00Z" level=info msg="slow answer: 1795367119250 250.5 1 2 30 4 5" source=console"#;
        let answer = parse(line).expect("it is one");
        assert_eq!((answer.start_s, answer.end_s), (1_795_367_118.999_5, 1_795_367_119.25));
        assert_eq!(answer.spent.map(|spent| (spent.queue, spent.work)), Some((1.0, 5.0)));
        let untimed = parse("slow answer: 1000 100").expect("it is one");
        assert_eq!((untimed.start_s, untimed.spent), (0.9, None));
        for other in ["measured interval begins", "slow answer: soon", "slow answer: 1000"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_case_tells_its_longest_stalls_over_all_rounds() {
        let mut result = experiment();
        assert_eq!(lines(&result), Vec::<String>::new(), "nobody knows which were slow");
        let evidence = "9 of 10 looks had a session waiting for a row lock".to_owned();
        let row = Finding { cause: Cause::Row, share: 0.9, evidence };
        for (index, run) in result.comparisons[0].cases[0].runs.iter_mut().enumerate() {
            let ms = 100.0 + index as f64;
            let stall = |ms| Stall { at_s: 1.0, ms, answers: 2, causes: vec![row.clone()] };
            let longest = vec![stall(ms), stall(60.0)];
            run.stalls = Some(Stalls { slow_ms: 50.0, answers: 4, count: 2, longest });
        }
        let lines = lines(&result);
        assert_eq!(lines.len(), 1 + TOLD, "{lines:?}");
        assert!(lines[0].ends_with("answers took longer than 50 ms, in 6 stalls"), "{lines:?}");
        assert!(
            lines[1].starts_with("  - round 3, at 1.00 s, for 102 ms, 2 answers: the row ("),
            "{lines:?}"
        );
        let settings = vec![("connections".to_owned(), "64".to_owned())];
        let by_wrk = Case { settings, ..result.comparisons[0].cases[0].clone() };
        let says = "a witness that asked 20 times a second beside wrk: answers took longer than 50 ms";
        assert!(of_case(&by_wrk)[0].contains(says), "{:?}", of_case(&by_wrk));
        let report = crate::measure::report::markdown(&result, true).expect("Markdown");
        assert!(report.contains("## What slow answers waited for"), "{report}");
    }
}
