//! What formulas say of measurements with known figures.

use super::*;
use crate::measure::fixture::{bench, experiment};

fn filled(template: &str) -> Result<String> {
    answer(&Measurement { answer: template.into(), ..experiment() })
}

fn expecting(condition: &str) -> Expectation {
    Expectation { says: "it holds".into(), holds: vec![condition.into()], ..Expectation::default() }
}

fn held(condition: &str) -> Option<bool> {
    let result = Measurement { expectations: vec![expecting(condition)], ..experiment() };
    check_expectation(&result.expectations[0], &result).expect("a condition");
    verdicts(&result)[0].held
}

fn refusal(template: &str) -> String {
    format!("{:#}", check_answer(template, &experiment()).expect_err(template))
}

#[test]
fn the_answer_has_its_figures() {
    let experiment = experiment();
    assert_eq!(
        answer(&experiment).expect("an answer"),
        "With one hot client, batched answers 2,610 requests per second, 9.0 times as many as direct."
    );
    check_answer(&experiment.answer, &experiment).expect("it fits the axes");
}

#[test]
fn formulas_have_known_values() {
    for (template, expected) in [
        ("{{ goodput('direct', 5) }}/s", "800/s"),
        ("{{ max('goodput', 'direct') }} at {{ argmax('goodput', 'direct') }}", "880 at 1000"),
        ("{{ min('goodput', 'batched') }} at {{ argmin('goodput', 'batched') }}", "2,400 at 1000"),
        ("{{ (goodput('direct', 1) / goodput('batched', 1)) | times }}", "0.11"),
        ("{{ p99('batched', 1) }} ms, {{ batch('batched', 1) }} a call", "15.3 ms, 4 a call"),
        ("{{ goodput('direct', '1000') }}", "880"),
        ("no figure at all", "no figure at all"),
        // Without a valid run.
        (
            "{{ goodput('serial', 1000) }} or {{ (goodput('batched', 1) / goodput('serial', 1000)) | times }}",
            "(no valid figure) or (no valid figure)",
        ),
        ("{{ max('goodput', 'serial') }} at {{ argmax('goodput', 'serial') }}", "900 at 5"),
        ("{{ most('goodput', 'direct', 1) }}", "296"),
    ] {
        assert_eq!(filled(template).expect(template), expected, "{template}");
    }
}

#[test]
fn labels_may_have_blanks_and_signs() {
    let mut experiment = experiment();
    let axes = experiment.comparisons[0].axes.as_mut().expect("axes");
    axes[1].values[2] = "one client {a} call, a@b".into();
    experiment.answer = "{{ goodput('one client {a} call, a@b', 1) }}".into();
    assert_eq!(answer(&experiment).expect("an answer"), "2,610");
}

#[test]
fn expectations_hold_or_not_or_cannot_be_told() {
    let verdicts = verdicts(&experiment());
    let held: Vec<Option<bool>> = verdicts.iter().map(|verdict| verdict.held).collect();
    assert_eq!(held, [Some(true), Some(false), None]);
    let told = |index: usize| (verdicts[index].measured.as_str(), verdicts[index].goal.as_str());
    assert_eq!(told(0), ("9", ">= 2"));
    assert_eq!(told(2), ("no valid figure", "< 50"));
}

#[test]
fn what_differs_less_than_its_rounds_is_no_winner() {
    let mut result = experiment();
    result.expectations = vec![expecting("goodput('batched', 1000) / goodput('batched', 5) >= 0.94")];
    let of = |result: &Measurement| verdicts(result).remove(0);
    assert_eq!((of(&result).held, of(&result).doubt.as_str()), (Some(true), ""), "rounds are paired");
    // Each has its good round when the other has its bad one.
    result.comparisons[0].cases[5].runs.iter_mut().for_each(|run| run.round = (run.round + 1) % 3);
    assert_eq!(of(&result).held, None);
    assert!(of(&result).doubt.ends_with("more rounds might tell"), "{:?}", of(&result));
    result = result.of_round(0);
    assert_eq!((of(&result).held, of(&result).doubt.as_str()), (Some(true), "one round"));
}

#[test]
fn operators_compare() {
    for (condition, expected) in [
        ("most('goodput', 'direct', 5) >= 816", true),
        ("most('goodput', 'direct', 5) > 816", false),
        ("most('goodput', 'direct', 5) <= 816", true),
        ("most('goodput', 'direct', 5) < 816", false),
        ("goodput('direct', 5) >= 700", true),
        ("goodput('direct', 5) < 700", false),
        ("argmax('goodput', 'batched') <= 1", true),
        ("goodput('batched', 1) / goodput('direct', 1) > 8.9", true),
    ] {
        assert_eq!(held(condition), Some(expected), "{condition}");
    }
}

#[test]
fn what_cannot_be_filled_in_is_refused_with_its_reason() {
    for (template, reason) in [
        ("{{ speed('direct', 1) }}", "no figure \"speed\"; there are requests, goodput"),
        ("{{ most('speed', 'direct', 1) }}", "no figure \"speed\""),
        ("{{ goodput('driect', 1) }}", "no series \"driect\"; there are direct, serial, batched"),
        ("{{ goodput('direct', 2) }}", "no x \"2\"; there are 1, 5, 1000"),
        ("{{ goodput('direct') }}", "goodput takes (SERIES, X)"),
        ("{{ goodput('direct', 1, 'serial') }}", "goodput takes (SERIES, X)"),
        ("{{ goodput(direct, 1) }}", "undefined"),
        ("{{ max('goodput', 'direct', 1) }}", "too many arguments"),
        ("{{ max('speed', 'direct') }}", "no figure \"speed\""),
        ("{{ }}", "syntax error"),
        ("{{ goodput('direct', 1)", "syntax error"),
        ("{{ goodput('direct, 1) }}", "syntax error"),
    ] {
        let told = refusal(template);
        assert!(told.contains(reason) && told.contains(template), "{template}: {told}");
    }
}

#[test]
fn a_condition_is_whole() {
    let mut experiment = experiment();
    for (condition, reason) in [
        ("goodput('direct',1)", "no number"),
        ("goodput('direct',1) 5", "no operator"),
        ("goodput('direct', 1) == 5", "last word but one"),
        ("goodput('direct', 1) > many", "not a number"),
        ("speed('direct', 1) > 5", "no figure"),
        ("", "no number"),
    ] {
        let error = check_expectation(&expecting(condition), &experiment).expect_err(condition);
        assert!(format!("{error:#}").contains(reason), "{condition}: {error:#}");
    }
    let axes = experiment.comparisons[0].axes.as_mut().expect("axes");
    axes[0].values[0] = "few".into();
    let error = check_expectation(&expecting("argmax('goodput', 'direct') > 3"), &experiment);
    assert!(format!("{:#}", error.expect_err("few")).contains("cannot be compared"));
}

#[test]
fn what_was_not_measured_is_not_judged() {
    assert!(verdicts(&bench(&[])).iter().all(|verdict| verdict.held.is_none()));
}

/// Returns the goal of which the words begin so.
fn goal(result: &Measurement, what: &str) -> Option<Verdict> {
    verdicts(result).into_iter().find(|one| one.says.starts_with(what) && one.held.is_some())
}

#[test]
fn goals_are_judged_within_one_comparison() {
    let together = bench(&[&[("mode=direct", 1_000), ("mode=batched", 6_000)]]);
    let ratio = goal(&together, "batched to direct").expect("both are there");
    assert_eq!((ratio.held, ratio.measured.as_str()), (Some(true), "6.00 (6,000 : 1,000)"));
    assert_eq!(goal(&together, "as shipped").expect("it is there").held, Some(false));

    let apart = bench(&[&[("mode=direct", 1_000)], &[("mode=batched", 6_000)]]);
    assert_eq!(goal(&apart, "batched to direct"), None);
    let elsewhere = bench(&[&[("clients=1", 5)], &[("mode=direct", 1_000), ("mode=batched", 6_000)]]);
    assert_eq!(goal(&elsewhere, "batched to direct"), Some(ratio));
}

#[test]
fn at_a_given_rate_there_is_nothing_to_compare() {
    let mut result = bench(&[&[("mode=direct", 1_000), ("mode=batched", 1_000)]]);
    result.conditions.base.retain(|(key, _)| key != "connections");
    assert_eq!(goal(&result, "batched to direct"), None);
}

#[test]
fn the_best_is_named_of_the_shipped_balancing_and_of_any() {
    let splits = bench(&[&[
        ("", 10_000),
        ("split=0.25/0.25/0.45/0.55", 13_000),
        ("split=0.25/0.25/0.42/0.58,balancing=layer4", 16_000),
        ("split=0.25/0.25/0.45/0.55,profile=contest", 20_000),
    ]]);
    assert_eq!(goal(&splits, "as shipped").expect("it is there").held, Some(false));
    for (what, named, measured) in [
        ("best with least_conn", "0.25/0.25/0.45/0.55", "13,000/s"),
        ("best, durable, 64", "0.25/0.25/0.42/0.58, layer4", "16,000/s"),
    ] {
        let best = goal(&splits, what).expect(what);
        assert_eq!(best.held, Some(true), "{best:?}");
        assert!(best.says.contains(named) && best.measured.starts_with(measured), "{best:?}");
    }
}

#[test]
fn what_tracing_costs_is_judged_where_it_was_counted() {
    let mut tracing = bench(&[&[("guiche={target}/untraced/release/guiche", 5_000), ("", 5_000)]]);
    assert_eq!(goal(&tracing, "tracing"), None);
    let count = |result: &mut Measurement, case: usize, instructions| {
        let runs = &mut result.comparisons[0].cases[case].runs;
        runs.iter_mut().for_each(|run| run.instructions = Some(instructions));
    };
    count(&mut tracing, 0, 80_000.0);
    count(&mut tracing, 1, 80_400.0);
    let counted = goal(&tracing, "tracing").expect("both were counted");
    assert_eq!((counted.measured.as_str(), counted.held), ("1.0050 (80,400 : 80,000)", Some(true)));
    count(&mut tracing, 1, 81_000.0);
    assert_eq!(goal(&tracing, "tracing").expect("both were counted").held, Some(false));
}

#[test]
fn a_formula_neither_runs_for_ever_nor_shows_more_digits_than_there_are() {
    for (template, says) in [
        ("{{ goodput('direct', 5) | fixed(70000) }}", "fixed shows up to 17 digits"),
        ("{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}", "fuel"),
    ] {
        let told = refusal(template);
        assert!(told.contains(says), "{told}");
    }
}
