//! Line charts.

use std::ops::Range;

use anyhow::{Result, anyhow, ensure};
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::svg::{GRID, HUES, INK, hue, to_page_svg};
use super::text::number;

/// In pixels; the SVG scales to the width that it is given.
const SIZE: (u32, u32) = (860, 320);

/// A chart of some lines over one axis.
#[derive(Clone, Debug)]
pub struct LineChart<'a> {
    /// What it shows, also for those who do not see it.
    pub description: &'a str,
    /// The horizontal axis.
    pub x: Axis<'a>,
    /// The vertical axis.
    pub y: Axis<'a>,
    /// At most four lines: as many as there are colours that everybody tells apart.
    pub lines: Vec<Line<'a>>,
}

/// One axis.
#[derive(Clone, Copy, Debug)]
pub struct Axis<'a> {
    /// What it measures, with its unit.
    pub label: &'a str,
    /// How its values are spaced.
    pub scale: Scale,
}

/// How values are spaced along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly, from zero.
    Linear,
    /// Evenly by factors of ten.
    Logarithmic,
    /// Percentages, each nine as far as the one before: 90, 99, 99.9.
    Nines,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// Its name in the legend.
    pub name: &'a str,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

impl LineChart<'_> {
    /// Draws it.
    ///
    /// # Errors
    /// When there are more lines than colours.
    pub fn to_svg(&self) -> Result<String> {
        ensure!(self.lines.len() <= HUES, "a chart has at most {HUES} lines");
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|error| anyhow!("cannot draw a chart: {error}"))?;
        Ok(to_page_svg(&svg, SIZE, self.description))
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let x = 0.0..self.largest(|(x, _)| self.x.scale.place(x));
        match self.y.scale {
            Scale::Logarithmic => {
                let values = self.lines.iter().flat_map(|line| line.points.iter().map(|(_, y)| *y));
                self.plot(&area, x, LogRange::from(decades(values).log_scale()))
            }
            _ => {
                let top = 1.05 * self.largest(|(_, y)| y);
                self.plot(&area, x, RangedCoordf64::from(0.0..top))
            }
        }?;
        area.present()?;
        Ok(())
    }

    fn plot<Y>(
        &self,
        area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
        x: Range<f64>,
        y: Y,
    ) -> Result<(), Box<dyn std::error::Error>>
    where
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(42)
            .y_label_area_size(62)
            .build_cartesian_2d(RangedCoordf64::from(x), y)?;
        let text = ("sans-serif", 13).into_font().color(&INK);
        chart
            .configure_mesh()
            .bold_line_style(GRID.stroke_width(1))
            .light_line_style(TRANSPARENT)
            .axis_style(INK.stroke_width(1))
            .label_style(text.clone())
            .axis_desc_style(text.clone())
            .x_desc(self.x.label)
            .y_desc(self.y.label)
            .x_label_formatter(&|value| self.x.scale.label(*value))
            .y_label_formatter(&|value| number(*value))
            .draw()?;
        for (index, line) in self.lines.iter().enumerate() {
            let style = hue(index).stroke_width(2);
            let points = line.points.iter().map(|(x, y)| (self.x.scale.place(*x), *y));
            chart
                .draw_series(LineSeries::new(points, style))?
                .label(line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).label_font(text).draw()?;
        Ok(())
    }

    fn largest(&self, of: impl Fn((f64, f64)) -> f64) -> f64 {
        let points = self.lines.iter().flat_map(|line| line.points.iter().copied());
        // An axis that begins and ends at zero cannot be drawn.
        points.map(of).filter(|value| value.is_finite()).fold(f64::MIN_POSITIVE, f64::max)
    }
}

/// The powers of ten around these values; what is not over zero has none.
pub(super) fn decades(values: impl Iterator<Item = f64>) -> Range<f64> {
    let values: Vec<f64> = values.filter(|value| *value > 0.0 && value.is_finite()).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min).min(1.0);
    let high = values.iter().copied().fold(1.0, f64::max);
    10f64.powf(low.log10().floor())..10f64.powf(high.log10().ceil().max(low.log10().floor() + 1.0))
}

type LogRange = plotters::coord::combinators::LogCoord<f64>;

impl Scale {
    /// Where on the axis a value is.
    fn place(self, value: f64) -> f64 {
        match self {
            Scale::Nines => -(1.0 - value.min(99.999) / 100.0).log10(),
            Scale::Linear | Scale::Logarithmic => value,
        }
    }

    fn label(self, place: f64) -> String {
        match self {
            // Only whole nines have a label.
            Scale::Nines if (place - place.round()).abs() > 1e-6 => String::new(),
            Scale::Nines => format!("{}%", number(100.0 * (1.0 - 10f64.powf(-place)))),
            Scale::Linear | Scale::Logarithmic => number(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(scale: Scale, lines: usize) -> LineChart<'static> {
        let points = vec![(0.0, 0.4), (50.0, 2.0), (99.9, 31.0)];
        LineChart {
            description: "Time & percent",
            x: Axis { label: "percent", scale: Scale::Nines },
            y: Axis { label: "ms", scale },
            lines: (0..lines).map(|_| Line { name: "debits", points: points.clone() }).collect(),
        }
    }

    #[test]
    fn no_placeholder_is_left() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            let svg = chart(scale, 4).to_svg().expect("it can be drawn");
            assert!(svg.starts_with("<svg class=\"chart\"") && svg.trim_end().ends_with("</svg>"));
            assert!(svg.contains("aria-label=\"Time &amp; percent\""));
            assert!(svg.contains("var(--line3)") && svg.contains("var(--ink)"));
            for placeholder in ["#0100", "#0200", "#0300"] {
                assert!(!svg.contains(placeholder), "{placeholder} is left in {svg}");
            }
        }
    }

    #[test]
    fn nothing_to_draw_is_drawn_too() {
        let mut empty = chart(Scale::Logarithmic, 1);
        empty.lines[0].points.clear();
        empty.to_svg().expect("an empty chart");
        empty.y.scale = Scale::Linear;
        empty.to_svg().expect("an empty chart");
    }

    #[test]
    fn a_fifth_line_is_refused() {
        assert!(chart(Scale::Linear, 5).to_svg().is_err());
    }

    #[test]
    fn nines_are_evenly_spaced() {
        let places = [0.0, 90.0, 99.0, 99.9].map(|percent| Scale::Nines.place(percent));
        for (place, expected) in places.into_iter().zip([0.0, 1.0, 2.0, 3.0]) {
            assert!((place - expected).abs() < 1e-9);
        }
        assert_eq!(Scale::Nines.label(3.0), "99.9%");
        assert_eq!(Scale::Nines.label(0.5), "");
    }
}
