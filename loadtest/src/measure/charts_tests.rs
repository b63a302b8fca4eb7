//! Which pictures a measurement has, and how they are drawn.

use super::*;
use crate::measure::fixture::{bench, experiment};

fn shapes(result: &Measurement) -> [Shape; 2] {
    let chart = throughput(&result.comparisons[0]);
    [chart.panels[0].shape, chart.panels[1].shape]
}

fn set_x(result: &mut Measurement, values: &[&str]) {
    let axes = result.comparisons[0].axes.as_mut().expect("axes");
    axes[0].values = values.iter().map(|value| (*value).to_owned()).collect();
}

#[test]
fn quantities_are_lines_and_categories_are_bars() {
    let mut experiment = experiment();
    assert_eq!(shapes(&experiment)[0], Shape::Lines);
    set_x(&mut experiment, &["least_conn", "round robin", "affinity"]);
    assert_eq!(shapes(&experiment)[0], Shape::Bars);
    set_x(&mut experiment, &["64"]);
    assert_eq!(shapes(&experiment)[0], Shape::Bars);
}

#[test]
fn response_times_far_apart_get_a_logarithmic_axis() {
    let mut experiment = experiment();
    assert_eq!(shapes(&experiment)[1], Shape::Lines);
    experiment.comparisons[0].cases[0].runs.iter_mut().for_each(|run| run.latency_ms.p99 = 2_000.0);
    assert_eq!(shapes(&experiment)[1], Shape::LogarithmicLines);
}

#[test]
fn modes_are_drawn_and_nothing_else() {
    let drawn = |settings: &[&str]| {
        let cases: Vec<(&str, u64)> = settings.iter().map(|settings| (*settings, 1_000)).collect();
        let result = bench(&[&cases]);
        let pictures = pictures(&result);
        pictures.iter().all(|picture| picture.to_svg().is_ok()) && !pictures.is_empty()
    };
    assert!(drawn(&["mode=direct", "mode=batched", "mode=batched,connections=1"]));
    assert!(!drawn(&["clients=1", "clients=5"]));
    assert!(!drawn(&["mode=direct,clients=1", "mode=batched,clients=1"]));
    assert!(!drawn(&[]));
}
