//! Bar charts: panels side by side, in each of them groups of bars.

use anyhow::{Result, anyhow, ensure};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::svg::{GRID, HUES, INK, dress, hue};
use super::text::number;

/// Of one panel, in pixels; the SVG scales to the width that it is given.
const PANEL: (u32, u32) = (560, 380);

/// How much of a group's width its bars take.
const FILLED: f64 = 0.86;

/// What the axis leaves free above the highest bar: the legend and the bars' labels are there.
const HEADROOM: f64 = 1.25;

/// Panels that share their groups and series.
#[derive(Clone, Debug)]
pub struct BarChart<'a> {
    /// What it shows, also for those who do not see it.
    pub description: &'a str,
    /// What tells the groups apart.
    pub group_label: &'a str,
    /// The groups, from left to right.
    pub groups: Vec<String>,
    /// The panels, from left to right.
    pub panels: Vec<Panel<'a>>,
}

/// One panel.
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    /// What its bars measure, with its unit.
    pub label: &'a str,
    /// At most four series: as many as there are colours that everybody tells apart.
    pub series: Vec<Series<'a>>,
}

/// The bars of one colour, one for each group.
#[derive(Clone, Debug)]
pub struct Series<'a> {
    /// Its name in the legend.
    pub name: &'a str,
    /// Its bars; `None` where the group has none.
    pub bars: Vec<Option<Bar>>,
}

/// One bar, with a thin line over it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Its height.
    pub value: f64,
    /// Where the line begins and ends.
    pub range: (f64, f64),
}

type Chart<'a, 'b> = ChartContext<'b, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Failure = Box<dyn std::error::Error>;

impl BarChart<'_> {
    /// Draws it.
    ///
    /// # Errors
    /// When there are more series than colours, or no panel.
    pub fn to_svg(&self) -> Result<String> {
        ensure!(!self.panels.is_empty(), "a chart has a panel");
        ensure!(
            self.panels.iter().all(|panel| panel.series.len() <= HUES),
            "a panel has at most {HUES} series"
        );
        let size = (PANEL.0 * u32::try_from(self.panels.len())?, PANEL.1);
        let mut svg = String::new();
        self.draw(&mut svg, size).map_err(|error| anyhow!("cannot draw a chart: {error}"))?;
        Ok(dress(&svg, size, self.description))
    }

    fn draw(&self, svg: &mut String, size: (u32, u32)) -> Result<(), Failure> {
        let root = SVGBackend::with_string(svg, size).into_drawing_area();
        for (area, panel) in root.split_evenly((1, self.panels.len())).iter().zip(&self.panels) {
            self.plot(&root, area, panel)?;
        }
        root.present()?;
        Ok(())
    }

    fn plot<'a>(
        &self,
        root: &DrawingArea<SVGBackend<'a>, Shift>,
        area: &DrawingArea<SVGBackend<'a>, Shift>,
        panel: &Panel<'_>,
    ) -> Result<(), Failure> {
        let bars = panel.series.iter().flat_map(|series| series.bars.iter().flatten());
        let highest = bars.map(|bar| bar.value.max(bar.range.1)).fold(f64::MIN_POSITIVE, f64::max);
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(42)
            .y_label_area_size(66)
            .build_cartesian_2d(0.0..self.groups.len() as f64, 0.0..HEADROOM * highest)?;
        let text = ("sans-serif", 13).into_font().color(&INK);
        chart
            .configure_mesh()
            .bold_line_style(GRID.stroke_width(1))
            .light_line_style(TRANSPARENT)
            .axis_style(INK.stroke_width(1))
            .label_style(text.clone())
            .axis_desc_style(text.clone())
            .disable_x_mesh()
            .x_labels(0)
            .x_desc(self.group_label)
            .y_desc(panel.label)
            .y_label_formatter(&|value| number(*value))
            .draw()?;
        for (index, series) in panel.series.iter().enumerate() {
            self.draw_series(root, &mut chart, panel, index, series)?;
        }
        let below = text.pos(Pos::new(HPos::Center, VPos::Top));
        for (index, group) in self.groups.iter().enumerate() {
            let (x, y) = chart.backend_coord(&(index as f64 + 0.5, 0.0));
            root.draw(&Text::new(group.clone(), (x, y + 6), below.clone()))?;
        }
        let legend = ("sans-serif", 13).into_font().color(&INK);
        chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).label_font(legend).draw()?;
        Ok(())
    }

    fn draw_series<'a>(
        &self,
        root: &DrawingArea<SVGBackend<'a>, Shift>,
        chart: &mut Chart<'a, '_>,
        panel: &Panel<'_>,
        index: usize,
        series: &Series<'_>,
    ) -> Result<(), Failure> {
        let width = FILLED / panel.series.len() as f64;
        let left = |group: usize| group as f64 + (1.0 - FILLED) / 2.0 + index as f64 * width;
        let bars: Vec<(f64, Bar)> =
            series.bars.iter().enumerate().filter_map(|(group, bar)| Some((left(group), (*bar)?))).collect();
        let (fill, line) = (hue(index).filled(), INK.stroke_width(1));
        chart
            .draw_series(
                bars.iter().map(|(x, bar)| Rectangle::new([(*x, 0.0), (x + 0.94 * width, bar.value)], fill)),
            )?
            .label(series.name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], fill));
        chart.draw_series(bars.iter().map(|(x, bar)| {
            let middle = x + 0.47 * width;
            PathElement::new([(middle, bar.range.0), (middle, bar.range.1)], line)
        }))?;
        let above = ("sans-serif", 11).into_font().color(&INK).pos(Pos::new(HPos::Center, VPos::Bottom));
        for (x, bar) in &bars {
            let (x, y) = chart.backend_coord(&(x + 0.47 * width, bar.value.max(bar.range.1)));
            root.draw(&Text::new(short(bar.value), (x, y - 2), above.clone()))?;
        }
        Ok(())
    }
}

/// A label that fits over a bar: `15.8k`, `640`, `1.3`, `0`.
fn short(value: f64) -> String {
    match value {
        v if v >= 99_950.0 => format!("{:.0}k", v / 1_000.0),
        v if v >= 999.5 => format!("{:.1}k", v / 1_000.0),
        v if v >= 9.95 => format!("{v:.0}"),
        v if v >= 0.05 => format!("{v:.1}"),
        _ => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(series: usize) -> BarChart<'static> {
        let bar = |value: f64| Some(Bar { value, range: (0.9 * value, 1.1 * value) });
        let one = Series { name: "direct", bars: vec![bar(1_250.0), None, bar(0.0)] };
        let panel = |label| Panel { label, series: vec![one.clone(); series] };
        BarChart {
            description: "Modes & locks",
            group_label: "connections",
            groups: ["1", "16", "64"].map(str::to_owned).to_vec(),
            panels: vec![panel("requests/s"), panel("sessions")],
        }
    }

    #[test]
    fn no_placeholder_is_left() {
        let svg = chart(4).to_svg().expect("it can be drawn");
        assert!(svg.starts_with("<svg class=\"chart\"") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("aria-label=\"Modes &amp; locks\""));
        for placeholder in ["#0100", "#0200", "#0300"] {
            assert!(!svg.contains(placeholder), "{placeholder} is left in {svg}");
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        assert!(chart(HUES + 1).to_svg().is_err());
        assert!(BarChart { panels: Vec::new(), ..chart(1) }.to_svg().is_err());
    }

    #[test]
    fn labels_are_short() {
        let labels = [0.0, 0.64, 12.3, 999.9, 15_830.0, 123_456.0].map(short);
        assert_eq!(labels, ["0", "0.6", "12", "1.0k", "15.8k", "123k"]);
    }
}
