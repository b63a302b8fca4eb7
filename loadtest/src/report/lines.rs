//! Line charts.

use anyhow::{Result, anyhow, ensure};
use plotters::prelude::*;

pub use super::scale::Scale;
use super::scale::{Failure, mesh, text};
use super::svg::{HUES, finish, hue};

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
        Ok(finish(&svg, SIZE, self.description))
    }

    fn draw(&self, svg: &mut String) -> Result<(), Failure> {
        let points = || self.lines.iter().flat_map(|line| line.points.iter().copied());
        let (of_x, of_y) = (self.x.scale, self.y.scale);
        let (x, y) = (of_x.range(points().map(|(x, _)| x), 1.0), of_y.range(points().map(|(_, y)| y), 1.05));
        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(10)
            .x_label_area_size(42)
            .y_label_area_size(62)
            .build_cartesian_2d(x, y.clone())?;
        mesh(&mut chart, 13)
            .x_desc(self.x.label)
            .y_desc(self.y.label)
            .y_labels(of_y.labels(&y))
            .x_label_formatter(&|place| of_x.label(*place))
            .y_label_formatter(&|place| of_y.label(*place))
            .draw()?;
        for (index, line) in self.lines.iter().enumerate() {
            let style = hue(index).stroke_width(2);
            let points =
                line.points.iter().map(|(x, y_value)| (of_x.place(*x), of_y.place(*y_value).max(y.start)));
            chart
                .draw_series(LineSeries::new(points, style))?
                .label(line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .label_font(text(13))
            .draw()?;
        area.present()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::svg::tests::assert_dark;

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
    fn it_is_drawn_for_light_and_dark() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            let svg = chart(scale, 4).to_svg().expect("it can be drawn");
            assert!(svg.starts_with("<svg class=\"chart\"") && svg.trim_end().ends_with("</svg>"));
            assert!(svg.contains("aria-label=\"Time &amp; percent\""));
            assert_dark(&svg);
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
}
