//! Which cases a file and the command line come to.

use super::*;

const FILE: &str = r#"
title = "t"
question = "q"
answer = "a"
[x]
label = "clients"
set = "clients={}"
values = [1, 5]
[series]
label = "mode"
set = "mode={}"
values = ["direct", "batched"]
[load]
users = 8
"#;

fn bench(choice: &Choice) -> Plan {
    Plan::new(&Declaration::bench().expect("bench.toml is right"), choice).expect("right")
}

const QUICK: LengthArgs =
    LengthArgs { quick: true, rounds: None, seconds: None, warm_up: None, resume: false };

#[test]
fn every_x_meets_every_series_and_the_rest_stays() {
    let declaration = Declaration::parse("t", FILE).expect("it is right");
    let plan = Plan::new(&declaration, &Choice::default()).expect("it is right");
    let labels: Vec<&str> = plan.result.cases().map(|(_, case)| case.label.as_str()).collect();
    let expected = ["clients 1 · direct", "clients 1 · batched", "clients 5 · direct", "clients 5 · batched"];
    assert_eq!(labels, expected);
    let places: Vec<Vec<&str>> = (0..4).map(|case| plan.result.comparisons[0].place(case)).collect();
    assert_eq!(places, [["1", "direct"], ["1", "batched"], ["5", "direct"], ["5", "batched"]]);
    assert!(plan.result.conditions.base.contains(&("users".into(), "8".into())));
}

#[test]
fn every_comparison_has_cases_that_differ() {
    for compared in Declaration::bench().expect("bench.toml is right").comparison {
        let plan = bench(&Choice { only: vec![compared.name.clone()], ..Choice::default() });
        let [planned] = &plan.comparisons[..] else { panic!("one comparison") };
        assert!(planned.cases.len() >= 2, "{}", compared.name);
        for (index, (setup, _)) in planned.cases.iter().enumerate() {
            assert!(
                planned.cases[..index].iter().all(|(other, _)| other != setup),
                "{}: {index}",
                compared.name
            );
        }
    }
}

#[test]
fn comparisons_vary_around_the_base_that_is_given() {
    let plan = bench(&Choice {
        only: vec!["mode".into()],
        cases: vec![String::new(), "BATCH_MAX=4".into()],
        base: vec!["connections=128,balancing=layer4".into()],
        ..Choice::default()
    });
    assert_eq!(plan.comparisons.len(), 2);
    let connections =
        |(setup, _): &(Setup, Times)| setup.arrivals == Arrivals::Saturating { connections: 128 };
    assert!(plan.comparisons[0].cases.iter().all(connections));
    let base = &plan.result.comparisons[1].cases[0];
    assert_eq!((base.label.as_str(), &base.settings), ("base", &plan.result.conditions.base));
}

#[test]
fn the_whole_is_every_comparison() {
    let all = bench(&Choice::default());
    assert_eq!(all.comparisons.len(), 15);
    assert_eq!(all.comparisons[0].cases.len(), 15);
    let quick = bench(&Choice { length: QUICK, ..Choice::default() });
    assert_eq!((quick.comparisons.len(), quick.rounds), (3, 1));
    assert!(quick.setups().count() <= 8);
}

#[test]
fn the_contests_rate_has_times_of_its_own() {
    let seconds = |choice: &Choice| {
        let times = bench(choice).comparisons[0].cases[0].1;
        (times.warm_up.as_secs(), times.measured.as_secs())
    };
    let rate = Choice { only: vec!["contest_rate".into()], length: QUICK, ..Choice::default() };
    assert_eq!(seconds(&rate), (4, 30));
    assert_eq!(seconds(&Choice { length: LengthArgs { seconds: Some(5), ..QUICK }, ..rate }), (4, 5));
}
