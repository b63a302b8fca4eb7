//! The signs of series: a mark on a line, an area, what stands for neither. Each series has its
//! own shape and texture beside its hue.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::svg::{INK, area, hue};

/// What is drawn on, in pixels.
pub(super) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Failure = Box<dyn std::error::Error>;

/// Draws the mark of a series around a point: a disc, a square, a triangle, a diamond.
pub(super) fn point(canvas: &Canvas<'_>, index: usize, (x, y): (i32, i32)) -> Result<(), Failure> {
    let style = hue(index).filled();
    match index % 4 {
        0 => canvas.draw(&Circle::new((x, y), 5, style))?,
        1 => canvas.draw(&Rectangle::new([(x - 5, y - 5), (x + 5, y + 5)], style))?,
        2 => canvas.draw(&Polygon::new([(x - 6, y + 5), (x + 6, y + 5), (x, y - 6)], style))?,
        _ => canvas.draw(&Polygon::new([(x - 7, y), (x, y - 7), (x + 7, y), (x, y + 7)], style))?,
    }
    Ok(())
}

/// Fills a rectangle with the hue and the texture of a series.
pub(super) fn fill(canvas: &Canvas<'_>, index: usize, corners: [(i32, i32); 2]) -> Result<(), Failure> {
    canvas.draw(&Rectangle::new(corners, area(index).filled()))?;
    Ok(())
}

/// Draws the sign for what has no valid figure: a cross, of a series or of all.
pub(super) fn missing(canvas: &Canvas<'_>, index: Option<usize>, (x, y): (i32, i32)) -> Result<(), Failure> {
    canvas.draw(&Cross::new((x, y), 4, index.map_or(INK, hue).stroke_width(2)))?;
    Ok(())
}
