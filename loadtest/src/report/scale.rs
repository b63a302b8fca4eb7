//! How values are spaced along an axis, and what both kinds of charts say of their axes.

use std::ops::Range;

use plotters::chart::MeshStyle;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::svg::{GRID, INK};
use super::text::number;

/// What is drawn on, in pixels.
pub(super) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Why it could not be drawn.
pub(super) type Failure = Box<dyn std::error::Error>;

type Plane = Cartesian2d<RangedCoordf64, RangedCoordf64>;

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

impl Scale {
    /// Returns where on the axis a value is.
    pub(super) fn place(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Logarithmic => value.log10(),
            Scale::Nines => -(1.0 - value.min(99.999) / 100.0).log10(),
        }
    }

    /// Returns what stands at a place: where steps are factors, only whole ones have a label.
    pub(super) fn label(self, place: f64) -> String {
        match self {
            Scale::Linear => number(place),
            _ if (place - place.round()).abs() > 1e-6 => String::new(),
            Scale::Logarithmic => number(10f64.powf(place)),
            Scale::Nines => format!("{}%", number(100.0 * (1.0 - 10f64.powf(-place)))),
        }
    }

    /// Returns the places of an axis that has all these values: from zero to a bit above the highest, or the
    /// powers of ten around them.
    pub(super) fn range(self, values: impl Iterator<Item = f64>, headroom: f64) -> Range<f64> {
        let values: Vec<f64> = values.filter(|value| *value > 0.0 && value.is_finite()).collect();
        let high = values.iter().copied().fold(0.0, f64::max);
        match self {
            Scale::Logarithmic => {
                let low = values.into_iter().fold(1.0, f64::min).log10().floor();
                low..high.max(1.0).log10().ceil().max(low + 1.0)
            }
            _ if high > 0.0 => 0.0..headroom * self.place(high),
            // An axis that begins and ends at zero cannot be drawn.
            _ => 0.0..1.0,
        }
    }

    /// Returns how many labels such an axis has at most.
    pub(super) fn labels(self, range: &Range<f64>) -> usize {
        if self == Scale::Logarithmic { (range.end - range.start) as usize + 1 } else { 6 }
    }
}

/// Returns how text of that size is set.
pub(super) fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// Returns the grid and the axes of a chart, for it to add what they say.
pub(super) fn mesh<'a, 'b, 'c>(
    chart: &'b mut ChartContext<'a, SVGBackend<'c>, Plane>,
    size: u32,
) -> MeshStyle<'a, 'b, RangedCoordf64, RangedCoordf64, SVGBackend<'c>> {
    let mut mesh = chart.configure_mesh();
    mesh.bold_line_style(GRID.stroke_width(1))
        .light_line_style(TRANSPARENT)
        .axis_style(INK.stroke_width(1))
        .label_style(text(size))
        .axis_desc_style(text(size));
    mesh
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nines_are_evenly_spaced() {
        let places = [0.0, 90.0, 99.0, 99.9].map(|percent| Scale::Nines.place(percent));
        for (place, expected) in places.into_iter().zip([0.0, 1.0, 2.0, 3.0]) {
            assert!((place - expected).abs() < 1e-9);
        }
        assert_eq!(Scale::Nines.label(3.0), "99.9%");
        assert_eq!(Scale::Nines.label(0.5), "");
    }

    #[test]
    fn powers_of_ten_are_around_the_values() {
        let range = |values: &[f64]| Scale::Logarithmic.range(values.iter().copied(), 1.1);
        assert_eq!(range(&[0.0, 0.4, 31.0]), -1.0..2.0);
        assert_eq!(range(&[]), 0.0..1.0);
        assert_eq!(
            (Scale::Logarithmic.label(3.0), Scale::Logarithmic.label(0.5)),
            ("1,000".into(), String::new())
        );
        assert_eq!(Scale::Linear.range([0.0, 20.0].into_iter(), 1.1), 0.0..22.0);
    }
}
