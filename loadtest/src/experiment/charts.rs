//! The two pictures of an experiment: throughput and p99, and who waited on what.

use super::figures::Metric;
use super::result::{ExperimentResult, Point};
use crate::bench::result::Figure;
use crate::report::groups::{GroupChart, Mark, Panel, Series, Shape};
use crate::report::svg::HUES;
use crate::report::text::significant;

/// From how many times the smallest on the largest makes a line of p99 unreadable on an even axis.
const WIDE: f64 = 20.0;

/// What a stack is made of, from the bottom up.
const LAYERS: [(Metric, &str); 4] = [
    (Metric::Running, "running"),
    (Metric::LockWaiters, "row lock"),
    (Metric::WalWaiters, "WAL"),
    (Metric::OtherWaiters, "other"),
];

/// Goodput, and beside it p99, over x by series.
pub fn throughput(result: &ExperimentResult) -> GroupChart<'_> {
    // A picture tells four series apart; more take further panels.
    let series: Vec<usize> = (0..result.series.values.len()).collect();
    let panels = series.chunks(HUES).flat_map(|series| {
        [(Metric::Goodput, "Goodput, right answers/s"), (Metric::P99, "p99 of right answers, ms")]
            .map(|(metric, title)| panel(result, metric, title, series))
    });
    GroupChart { panels: panels.collect(), ..chart(result) }
}

/// PostgreSQL's sessions by what they wait for, on average: a panel for each series.
pub fn waits(result: &ExperimentResult) -> GroupChart<'_> {
    let series = result.series.values.len();
    let panels = (0..series).map(|series| stacks(result, series));
    let columns = if series.is_multiple_of(3) { 3 } else { 2 };
    GroupChart { panels: panels.collect(), columns, same_scale: true, ..chart(result) }
}

/// Only the goodput, for where there is room for little.
pub fn goodput(result: &ExperimentResult) -> GroupChart<'_> {
    let mut chart = throughput(result);
    chart.panels.truncate(1);
    chart
}

fn chart(result: &ExperimentResult) -> GroupChart<'_> {
    GroupChart {
        group_label: &result.x.label,
        groups: result.x.values.clone(),
        panels: Vec::new(),
        columns: 2,
        same_scale: false,
    }
}

fn panel<'a>(result: &'a ExperimentResult, metric: Metric, title: &str, series: &[usize]) -> Panel<'a> {
    let lines = series
        .iter()
        .map(|series| Series { name: &result.series.values[*series], marks: marks(result, *series, metric) });
    let series: Vec<Series<'a>> = lines.collect();
    let shape = shape(result, metric, &series);
    let spaced = if shape == Shape::LogarithmicLines { ", each line ten times the one below" } else { "" };
    Panel {
        title: format!("{title}{}", if spaced.is_empty() { "" } else { " (logarithmic)" }),
        description: format!("{title}{spaced}, by {}: {}.", result.x.label, spoken(result, &series)),
        shape,
        series,
    }
}

/// Lines where x is a quantity, bars where it is not, or is only one.
fn shape(result: &ExperimentResult, metric: Metric, series: &[Series<'_>]) -> Shape {
    let x = &result.x.values;
    if x.len() < 2 || !x.iter().all(|label| label.parse::<f64>().is_ok_and(f64::is_finite)) {
        return Shape::Bars;
    }
    let values = || series.iter().flat_map(|one| one.marks.iter().flatten()).map(|mark| mark.value);
    let least = values().fold(f64::INFINITY, f64::min);
    match metric == Metric::P99 && values().any(|value| value > WIDE * least) {
        true => Shape::LogarithmicLines,
        false => Shape::Lines,
    }
}

fn stacks(result: &ExperimentResult, series: usize) -> Panel<'_> {
    let layers = LAYERS.map(|(metric, name)| Series { name, marks: marks(result, series, metric) });
    let name = &result.series.values[series];
    Panel {
        title: format!("{name}: sessions in PostgreSQL"),
        description: format!(
            "{name}: sessions in PostgreSQL on average, by {}: {}.",
            result.x.label,
            spoken(result, &layers)
        ),
        shape: Shape::Stack,
        series: layers.into(),
    }
}

fn marks(result: &ExperimentResult, series: usize, metric: Metric) -> Vec<Option<Mark>> {
    let mark = |x: usize| {
        let Figure { median, least, most } = result.point(x, series)?.figure(metric)?;
        Some(Mark { value: median, range: (least, most) })
    };
    (0..result.x.values.len()).map(mark).collect()
}

/// The figures in words: `direct 1: 290, 5: 800; batched 1: 2,610, 5: no valid figure`.
fn spoken(result: &ExperimentResult, series: &[Series<'_>]) -> String {
    let of_series = |series: &Series<'_>| {
        let figures = result.x.values.iter().zip(&series.marks).map(|(x, mark)| {
            let figure = mark.map_or("no valid figure".to_owned(), |mark| significant(mark.value));
            format!("{x}: {figure}")
        });
        format!("{} {}", series.name, figures.collect::<Vec<_>>().join(", "))
    };
    series.iter().map(of_series).collect::<Vec<_>>().join("; ")
}

impl ExperimentResult {
    /// The point with these indices.
    pub fn point(&self, x: usize, series: usize) -> Option<&Point> {
        self.points.iter().find(|point| (point.x, point.series) == (x, series))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::fixture::experiment;

    #[test]
    fn quantities_are_lines_and_categories_are_bars() {
        let mut experiment = experiment();
        assert_eq!(throughput(&experiment).panels[0].shape, Shape::Lines);
        experiment.x.values = ["least_conn", "round robin", "affinity"].map(str::to_owned).into();
        assert_eq!(throughput(&experiment).panels[0].shape, Shape::Bars);
        experiment.x.values = vec!["64".into()];
        assert_eq!(throughput(&experiment).panels[0].shape, Shape::Bars);
    }

    #[test]
    fn response_times_far_apart_get_a_logarithmic_axis() {
        let mut experiment = experiment();
        assert_eq!(throughput(&experiment).panels[1].shape, Shape::Lines);
        experiment.points[0].runs.iter_mut().for_each(|run| run.latency_ms.p99 = 2_000.0);
        assert_eq!(throughput(&experiment).panels[1].shape, Shape::LogarithmicLines);
        assert_eq!(throughput(&experiment).panels[0].shape, Shape::Lines);
    }

    #[test]
    fn what_is_seen_is_said() {
        let experiment = experiment();
        let said = throughput(&experiment).description();
        for part in ["by clients: direct 1: 290, 5: 800, 1000: 880; serial", "1000: no valid figure", "2,610"]
        {
            assert!(said.contains(part), "{part} is missing in {said}");
        }
        let said = waits(&experiment).description();
        assert!(said.contains("direct: sessions in PostgreSQL on average, by clients: running"), "{said}");
        assert!(said.contains("row lock 1: 30, 5: 18, 1000: 0.4"), "{said}");
    }

    #[test]
    fn invalid_points_are_a_gap() {
        let experiment = experiment();
        let chart = throughput(&experiment);
        assert_eq!(chart.panels[0].series[1].marks[2], None);
        let mark = chart.panels[0].series[1].marks[1].expect("a valid point");
        assert_eq!((mark.value, mark.range), (900.0, (882.0, 918.0)));
        assert_eq!(waits(&experiment).panels[1].series[0].marks[2], None);
    }

    #[test]
    fn five_series_take_further_panels() {
        let mut experiment = experiment();
        experiment.series.values.extend(["a", "b"].map(str::to_owned));
        assert_eq!(throughput(&experiment).panels.len(), 4);
        throughput(&experiment).to_svg().expect("it can be drawn");
        waits(&experiment).to_svg().expect("it can be drawn");
    }
}
