//! What the language says of an experiment with known figures.

use super::*;
use crate::experiment::fixture::experiment;

fn filled(template: &str) -> Result<String> {
    sentence(&ExperimentResult { answer: template.into(), ..experiment() })
}

fn held(condition: &str) -> Option<bool> {
    let (x, series) = (experiment().x, experiment().series);
    check_condition(condition, &x, &series).expect("a condition");
    let condition = Condition::parse(condition, &x, &series).expect("a condition");
    condition.verdict("", &experiment()).held
}

fn refusal(template: &str) -> String {
    let experiment = experiment();
    let error = check(template, &experiment.x, &experiment.series).expect_err(template);
    format!("{error:#}")
}

#[test]
fn the_answer_has_its_figures() {
    let answer = sentence(&experiment()).expect("an answer");
    assert_eq!(
        answer,
        "With one hot client, batched answers 2,610 requests per second, 9.0 times as many as direct."
    );
    let experiment = experiment();
    check(&experiment.answer, &experiment.x, &experiment.series).expect("it fits the axes");
}

#[test]
fn expressions_have_known_values() {
    for (template, expected) in [
        ("{goodput direct@5}/s", "800/s"),
        ("{max goodput direct} at {argmax goodput direct}", "880 at 1000"),
        ("{min goodput batched} at {argmin goodput batched}", "2,400 at 1000"),
        ("{ratio goodput direct@1 batched@1}", "0.11"),
        ("{p99 batched@1} ms, {batch batched@1} a call", "15.3 ms, 4 a call"),
        ("{ goodput  'direct'@'1000' }", "880"),
        ("no figure at all", "no figure at all"),
        // Without a valid run.
        (
            "{goodput serial@1000} or {ratio goodput batched@1 serial@1000}",
            "(no valid figure) or (no valid figure)",
        ),
        ("{max goodput serial} at {argmax goodput serial}", "900 at 5"),
    ] {
        assert_eq!(filled(template).expect(template), expected, "{template}");
    }
}

#[test]
fn labels_may_have_blanks_and_signs() {
    let mut experiment = experiment();
    experiment.series.values[2] = "one client {a} call, a@b".into();
    experiment.answer = "{goodput 'one client {a} call, a@b'@1}".into();
    assert_eq!(sentence(&experiment).expect("an answer"), "2,610");
}

#[test]
fn expectations_hold_or_not_or_cannot_be_told() {
    let verdicts = verdicts(&experiment());
    let held: Vec<Option<bool>> = verdicts.iter().map(|verdict| verdict.held).collect();
    assert_eq!(held, [Some(true), Some(false), None]);
    assert_eq!(verdicts[0].measured, "9, expected >= 2");
    assert_eq!(verdicts[2].measured, "no valid figure, expected < 50");
}

#[test]
fn operators_compare() {
    for (condition, expected) in [
        ("goodput direct@5 >= 800", true),
        ("goodput direct@5 > 800", false),
        ("goodput direct@5 <= 800", true),
        ("goodput direct@5 < 800", false),
        ("argmax goodput batched <= 1", true),
        ("ratio goodput batched@1 direct@1 > 8.9", true),
    ] {
        assert_eq!(held(condition), Some(expected), "{condition}");
    }
}

#[test]
fn what_cannot_be_filled_in_is_refused_with_its_reason() {
    for (template, reason) in [
        ("{speed direct@1}", "no metric \"speed\"; there are goodput, shed"),
        ("{goodput driect@1}", "no series \"driect\"; there are direct, serial, batched"),
        ("{goodput direct@2}", "no x \"2\"; there are 1, 5, 1000"),
        ("{goodput direct}", "is not SERIES@X"),
        ("{goodput direct@1 serial@1}", "one SERIES@X"),
        ("{goodput direct@1@5}", "an @ too many"),
        ("{ratio goodput direct@1}", "ratio takes"),
        ("{max goodput direct@1}", "max takes"),
        ("{}", "begins with"),
        ("{goodput direct@1", "not closed"),
        ("{goodput {p99 direct@1}}", "not closed"),
        ("goodput} direct", "was not opened"),
        ("{goodput 'direct@1}", "not closed"),
    ] {
        let told = refusal(template);
        assert!(told.contains(reason), "{template}: {told}");
    }
}

#[test]
fn a_condition_is_whole() {
    let ExperimentResult { mut x, series, .. } = experiment();
    for (condition, reason) in [
        ("goodput direct@1", "no operator"),
        ("goodput direct@1 == 5", "last word but one"),
        ("goodput direct@1 > many", "not a number"),
        ("speed direct@1 > 5", "no metric"),
        ("", "no number"),
    ] {
        let error = check_condition(condition, &x, &series).expect_err(condition);
        assert!(format!("{error:#}").contains(reason), "{condition}: {error:#}");
    }
    x.values[0] = "few".into();
    assert!(check_condition("argmax goodput direct > 3", &x, &series).is_err());
}

#[test]
fn a_fifth_series_is_refused() {
    let ExperimentResult { x, mut series, .. } = experiment();
    series.values.extend(["a", "b"].map(str::to_owned));
    let error = check("", &x, &series).expect_err("five series");
    assert!(error.to_string().contains("at most 4"), "{error}");
}
