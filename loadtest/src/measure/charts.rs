//! The pictures of a measurement: throughput and p99, who waited on what, and modes beside each other.

use anyhow::{Result, bail};

use super::figures::Spread;
use super::result::{Case, Comparison, Measurement};
use super::words;
use crate::report::document::{Chart, Picture};
use crate::report::groups::{GroupChart, Mark, Panel, Series, Shape};
use crate::report::svg::HUES;
use crate::report::text::significant;

/// From how many times the smallest on the largest makes a line of p99 unreadable on an even axis.
const WIDE: f64 = 20.0;

/// What a stack is made of, from the bottom up.
const LAYERS: [(&str, &str); 4] = [
    ("running", "running"),
    ("lock_waiters", "row lock"),
    ("wal_waiters", "WAL"),
    ("other_waiters", "other"),
];

/// The figure of which a panel of response times is made.
const P99: &str = "p99";

/// Returns all pictures of a report, in order.
pub fn pictures(result: &Measurement) -> Vec<Picture<'_>> {
    let picture = |file, title, note: Option<String>, chart| Picture {
        file,
        title,
        note: note.unwrap_or_default(),
        chart: Chart::Groups(chart),
    };
    match result.comparisons.iter().find(|comparison| comparison.axes.is_some()) {
        Some(one) => vec![
            picture("throughput.svg", "Throughput and response time", None, throughput(one)),
            picture("waits.svg", "Who waited on what", words::others(one), waits(one)),
        ],
        None => modes(result).map(|chart| picture("bench.svg", "", None, chart)).into_iter().collect(),
    }
}

/// Returns the first panel alone, for where there is room for little.
///
/// # Errors
/// When it cannot be drawn.
pub fn thumbnail(result: &Measurement) -> Result<String> {
    let Some(Chart::Groups(mut chart)) = pictures(result).into_iter().next().map(|picture| picture.chart)
    else {
        bail!("there is nothing to draw");
    };
    chart.panels.truncate(1);
    chart.to_svg()
}

/// Draws goodput, and beside it p99, over x by series.
fn throughput(comparison: &Comparison) -> GroupChart<'_> {
    // A picture tells four series apart; more take further panels.
    let series: Vec<usize> = (0..axis(comparison, 1).len()).collect();
    let panels = series.chunks(HUES).flat_map(|series| {
        [("goodput", "Goodput, right answers/s"), (P99, "p99 of right answers, ms")]
            .map(|(figure, title)| panel(comparison, figure, title, series))
    });
    GroupChart { panels: panels.collect(), ..chart(comparison) }
}

/// Draws PostgreSQL's sessions by what they wait for, on average: a panel for each series.
fn waits(comparison: &Comparison) -> GroupChart<'_> {
    let series = axis(comparison, 1).len();
    let panels = (0..series).map(|series| stacks(comparison, series));
    let columns = if series.is_multiple_of(3) { 3 } else { 2 };
    GroupChart { panels: panels.collect(), columns, same_scale: true, ..chart(comparison) }
}

/// Returns the labels of an axis.
fn axis(comparison: &Comparison, index: usize) -> &[String] {
    comparison.axes.as_ref().map_or(&[], |axes| &axes[index].values)
}

/// Returns the name of the horizontal axis.
fn x_label(comparison: &Comparison) -> &str {
    comparison.axes.as_ref().map_or("", |[x, _]| &x.label)
}

fn chart(comparison: &Comparison) -> GroupChart<'_> {
    GroupChart {
        group_label: x_label(comparison),
        groups: axis(comparison, 0).to_vec(),
        panels: Vec::new(),
        columns: 2,
        same_scale: false,
    }
}

fn panel<'a>(comparison: &'a Comparison, figure: &str, title: &str, series: &[usize]) -> Panel<'a> {
    let names = axis(comparison, 1);
    let lines =
        series.iter().map(|one| Series { name: &names[*one], marks: marks(comparison, *one, figure) });
    let series: Vec<Series<'a>> = lines.collect();
    let shape = shape(comparison, figure, &series);
    let spaced = if shape == Shape::LogarithmicLines { ", each line ten times the one below" } else { "" };
    Panel {
        title: format!("{title}{}", if spaced.is_empty() { "" } else { " (logarithmic)" }),
        description: format!("{title}{spaced}, by {}: {}.", x_label(comparison), spoken(comparison, &series)),
        shape,
        series,
    }
}

/// Returns lines where x is a quantity, bars where it is not, or is only one.
fn shape(comparison: &Comparison, figure: &str, series: &[Series<'_>]) -> Shape {
    let x = axis(comparison, 0);
    if x.len() < 2 || !x.iter().all(|label| label.parse::<f64>().is_ok_and(f64::is_finite)) {
        return Shape::Bars;
    }
    let values = || series.iter().flat_map(|one| one.marks.iter().flatten()).map(|mark| mark.value);
    let least = values().fold(f64::INFINITY, f64::min);
    match figure == P99 && values().any(|value| value > WIDE * least) {
        true => Shape::LogarithmicLines,
        false => Shape::Lines,
    }
}

fn stacks(comparison: &Comparison, series: usize) -> Panel<'_> {
    let layers = LAYERS.map(|(figure, name)| Series { name, marks: marks(comparison, series, figure) });
    let name = &axis(comparison, 1)[series];
    Panel {
        title: format!("{name}: sessions in PostgreSQL"),
        description: format!(
            "{name}: sessions in PostgreSQL on average, by {}: {}.",
            x_label(comparison),
            spoken(comparison, &layers)
        ),
        shape: Shape::Stack,
        series: layers.into(),
    }
}

fn marks(comparison: &Comparison, series: usize, figure: &str) -> Vec<Option<Mark>> {
    let of_x = |x: usize| comparison.point(x, series)?.figure(figure).map(mark);
    (0..axis(comparison, 0).len()).map(of_x).collect()
}

fn mark(Spread { median, least, most }: Spread) -> Mark {
    Mark { value: median, range: (least, most) }
}

/// Returns the figures in words: `direct 1: 290, 5: 800; batched 1: 2,610, 5: no valid figure`.
fn spoken(comparison: &Comparison, series: &[Series<'_>]) -> String {
    let of_series = |series: &Series<'_>| {
        let figures = axis(comparison, 0).iter().zip(&series.marks).map(|(x, mark)| {
            let figure = mark.map_or("no valid figure".to_owned(), |mark| significant(mark.value));
            format!("{x}: {figure}")
        });
        format!("{} {}", series.name, figures.collect::<Vec<_>>().join(", "))
    };
    series.iter().map(of_series).collect::<Vec<_>>().join("; ")
}

/// Draws throughput by mode and connections, and beside it who waited for row locks, from the first comparison
/// that has several modes and nothing else around the base but connections.
fn modes(result: &Measurement) -> Option<GroupChart<'static>> {
    let others = |settings: &[(String, String)]| -> Vec<(String, String)> {
        settings.iter().filter(|(key, _)| key != "mode" && key != "connections").cloned().collect()
    };
    let base = others(&result.conditions.base);
    let fits = |case: &&Case| case.valid().next().is_some() && others(&case.settings) == base;
    let mut grids = result.comparisons.iter().map(|one| one.cases.iter().filter(fits).collect::<Vec<_>>());
    let grid =
        grids.find(|cases| cases.iter().any(|case| case.setting("mode") != cases[0].setting("mode")))?;
    let mut groups: Vec<u32> =
        grid.iter().filter_map(|case| case.setting("connections").parse().ok()).collect();
    groups.sort_unstable();
    groups.dedup();
    let panel = |title: &str, description: &str, bar: &dyn Fn(&Case) -> Option<Mark>| {
        let of_mode = |name: &'static str| {
            let marks = groups.iter().map(|connections| {
                let place = (name, &*connections.to_string());
                bar(grid.iter().find(|case| (case.setting("mode"), case.setting("connections")) == place)?)
            });
            Series { name, marks: marks.collect() }
        };
        Panel {
            title: title.to_owned(),
            description: description.to_owned(),
            shape: Shape::Bars,
            series: ["direct", "serial", "batched"].map(of_mode).into(),
        }
    };
    let waiting = |case: &Case| {
        let (mean, most) = (case.figure("lock_waiters")?.median, case.figure("lock_waiters_max")?.most);
        Some(Mark { value: mean, range: (mean, most) })
    };
    let throughput = "Requests per second by connections, for the modes direct, serial and batched; the thin line is \
                      the range of the rounds.";
    let waits = "PostgreSQL sessions that wait for a row lock, on average; the thin line goes up to the most at once.";
    Some(GroupChart {
        group_label: "connections",
        groups: groups.iter().map(u32::to_string).collect(),
        panels: vec![
            panel("requests/s", throughput, &|case| case.figure("requests").map(mark)),
            panel("sessions waiting for a row lock", waits, &waiting),
        ],
        columns: 2,
        same_scale: false,
    })
}

#[cfg(test)]
#[path = "charts_tests.rs"]
mod tests;
