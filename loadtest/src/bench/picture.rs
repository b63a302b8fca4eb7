//! The picture: throughput by mode and connections, and beside it who waited for row locks.

use anyhow::Result;

use super::case::Case;
use super::result::{CaseResult, ComparisonResult, Figure, Run};
use crate::report::groups::{GroupChart, Mark, Panel, Series, Shape};
use testbed::Mode;

const MODES: [Mode; 3] = [Mode::Direct, Mode::Serial, Mode::Batched];

/// The picture as SVG, from the first comparison that has several modes and nothing else around
/// `base` but connections; `None` where there is none.
///
/// # Errors
/// When it cannot be drawn.
pub fn of(comparisons: &[ComparisonResult], base: &Case) -> Result<Option<String>> {
    let Some(grid) = comparisons.iter().map(|comparison| Grid::of(comparison, base)).find(Grid::is_useful)
    else {
        return Ok(None);
    };
    let requests = |case: &CaseResult| {
        let Figure { median, least, most } = case.figure(Run::requests_per_s);
        Mark { value: median, range: (least, most) }
    };
    let waiting = |case: &CaseResult| {
        let mean = case.figure(|run| run.waits.row_lock_mean).median;
        let most = case.figure(|run| f64::from(run.waits.row_lock_max)).most;
        Mark { value: mean, range: (mean, most) }
    };
    let panel = |title: &str, description: &str, series| Panel {
        title: title.to_owned(),
        description: description.to_owned(),
        shape: Shape::Bars,
        series,
    };
    let throughput = "Requests per second by connections, for the modes direct, serial and batched; the thin \
                      line is the range of the rounds.";
    let waits = "PostgreSQL sessions that wait for a row lock, on average; the thin line goes up to the most at \
                 once.";
    let chart = GroupChart {
        group_label: "connections",
        groups: grid.connections.iter().map(u32::to_string).collect(),
        panels: vec![
            panel("requests/s", throughput, grid.series(requests)),
            panel("sessions waiting for a row lock", waits, grid.series(waiting)),
        ],
        columns: 2,
        same_scale: false,
    };
    chart.to_svg().map(Some)
}

/// The cases that differ from the base in mode and connections only.
struct Grid<'a> {
    cases: Vec<&'a CaseResult>,
    connections: Vec<u32>,
}

impl<'a> Grid<'a> {
    fn of(comparison: &'a ComparisonResult, base: &Case) -> Grid<'a> {
        let belongs = |case: &&CaseResult| {
            let Case { mode, connections, .. } = case.case;
            case.case == Case { mode, connections, ..base.clone() } && !case.runs.is_empty()
        };
        let cases: Vec<&CaseResult> = comparison.cases.iter().filter(belongs).collect();
        let mut connections: Vec<u32> = cases.iter().map(|case| case.case.connections).collect();
        connections.sort_unstable();
        connections.dedup();
        Grid { cases, connections }
    }

    fn is_useful(&self) -> bool {
        self.cases.iter().any(|case| case.case.mode != self.cases[0].case.mode)
    }

    fn series(&self, bar: impl Fn(&CaseResult) -> Mark) -> Vec<Series<'static>> {
        let find = |mode: Mode, connections: u32| {
            let found =
                self.cases.iter().find(|case| (case.case.mode, case.case.connections) == (mode, connections));
            found.map(|case| bar(case))
        };
        let series = MODES.into_iter().map(|mode| Series {
            name: mode.name(),
            marks: self.connections.iter().map(|connections| find(mode, *connections)).collect(),
        });
        series.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::result::tests::case;

    fn comparison(settings: &[&str]) -> ComparisonResult {
        let cases = settings.iter().map(|settings| case(settings, 1_000));
        ComparisonResult { title: "Test".into(), cases: cases.collect() }
    }

    #[test]
    fn modes_are_drawn_and_nothing_else() {
        let base = Case::default();
        let drawn =
            |settings: &[&str]| of(&[comparison(settings)], &base).expect("it can be drawn").is_some();
        assert!(drawn(&["mode=direct", "mode=batched", "mode=batched,connections=1"]));
        assert!(!drawn(&["clients=1", "clients=5"]));
        assert!(!drawn(&["mode=direct,clients=1", "mode=batched,clients=1"]));
        assert!(!drawn(&[]));
    }
}
