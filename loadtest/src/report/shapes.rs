//! How the series of a panel are drawn: bars, lines, stacks. Each series has its own mark and texture beside its hue.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::panel::{Mark, Panel, Shape};
use super::scale::{Canvas, Failure, Scale, text};
use super::svg::{GROUND, INK, hue};
use super::text::short;

/// How much of a group's width its bars take.
const FILLED: f64 = 0.86;

/// The same for a stack.
const STACK: f64 = 0.6;

/// How far the lines' marks are from each other within a group, so that the thin lines of their
/// ranges do not cover each other.
const DODGE: f64 = 0.05;

/// Where to draw.
pub(super) struct Plot<'p, 'a> {
    /// The whole picture.
    pub(super) canvas: &'p Canvas<'a>,
    /// Where in it a place of both axes is.
    pub(super) place: &'p dyn Fn(f64, f64) -> (i32, i32),
    /// How the vertical axis is spaced.
    pub(super) scale: Scale,
    /// Where the vertical axis begins.
    pub(super) floor: f64,
    /// How many groups there are.
    pub(super) groups: usize,
}

/// Draws all series.
pub(super) fn draw(plot: &Plot<'_, '_>, panel: &Panel<'_>) -> Result<(), Failure> {
    if panel.shape == Shape::Stack {
        return (0..plot.groups).try_for_each(|group| plot.stack(panel, group));
    }
    let count = panel.series.len();
    for (index, series) in panel.series.iter().enumerate() {
        let offset = match panel.shape.is_lines() {
            true => 0.5 + (index as f64 - (count as f64 - 1.0) / 2.0) * DODGE,
            false => (1.0 - FILLED) / 2.0 + (index as f64 + 0.5) * FILLED / count as f64,
        };
        let marks: Vec<(f64, Option<Mark>)> =
            series.marks.iter().enumerate().map(|(group, mark)| (group as f64 + offset, *mark)).collect();
        match panel.shape.is_lines() {
            true => plot.line(index, &marks)?,
            false => plot.bars(index, &marks, 0.94 * FILLED / count as f64)?,
        }
        for (at, _) in marks.iter().filter(|(_, mark)| mark.is_none()) {
            // Those of several lines are side by side.
            let spread = if panel.shape.is_lines() { 4.0 * (at.fract() - 0.5) } else { 0.0 };
            plot.missing(Some(index), at + spread)?;
        }
    }
    Ok(())
}

impl Plot<'_, '_> {
    fn line(&self, index: usize, marks: &[(f64, Option<Mark>)]) -> Result<(), Failure> {
        // Where a figure is missing the line has a gap.
        for run in marks.split(|(_, mark)| mark.is_none()) {
            let points: Vec<(i32, i32)> =
                run.iter().filter_map(|(at, mark)| Some(self.at(*at, (*mark)?.value))).collect();
            if points.len() > 1 {
                self.canvas.draw(&PathElement::new(points.clone(), hue(index).stroke_width(2)))?;
            }
            for (at, mark) in run {
                let Some(mark) = mark else { continue };
                self.range(*at, mark)?;
                point(self.canvas, index, self.at(*at, mark.value))?;
            }
        }
        Ok(())
    }

    fn bars(&self, index: usize, marks: &[(f64, Option<Mark>)], width: f64) -> Result<(), Failure> {
        for (at, mark) in marks {
            let Some(mark) = mark else { continue };
            let corners = [self.at(at - width / 2.0, mark.value), self.at(at + width / 2.0, 0.0)];
            self.canvas.draw(&Rectangle::new(corners, hue(index).filled()))?;
            self.range(*at, mark)?;
            self.label(*at, mark.value.max(mark.range.1), mark.value)?;
        }
        Ok(())
    }

    fn stack(&self, panel: &Panel<'_>, group: usize) -> Result<(), Failure> {
        let middle = group as f64 + 0.5;
        let layers = panel.series.iter().map(|series| series.marks.get(group).copied().flatten());
        let Some(layers) = layers.collect::<Option<Vec<Mark>>>() else { return self.missing(None, middle) };
        let mut base = 0.0;
        for (index, layer) in layers.iter().enumerate() {
            let top = base + layer.value;
            let corners = [self.at(middle - STACK / 2.0, top), self.at(middle + STACK / 2.0, base)];
            self.canvas.draw(&Rectangle::new(corners, hue(index).filled()))?;
            base = top;
        }
        self.label(middle, base, base)
    }

    fn at(&self, x: f64, y: f64) -> (i32, i32) {
        (self.place)(x, self.scale.place(y).max(self.floor))
    }

    /// Draws the thin line from the least to the most.
    fn range(&self, x: f64, mark: &Mark) -> Result<(), Failure> {
        let ends = [self.at(x, mark.range.0), self.at(x, mark.range.1)];
        if ends[0] != ends[1] {
            // With an edge that sets it off from what it lies on.
            self.canvas.draw(&PathElement::new(ends, GROUND.stroke_width(4)))?;
            self.canvas.draw(&PathElement::new(ends, INK.stroke_width(1)))?;
        }
        Ok(())
    }

    /// Draws a number over what is drawn up to `top`.
    fn label(&self, x: f64, top: f64, value: f64) -> Result<(), Failure> {
        let (x, y) = self.at(x, top);
        let above = Pos::new(HPos::Center, VPos::Bottom);
        self.canvas.draw(&Text::new(short(value), (x, y - 2), text(14).pos(above)))?;
        Ok(())
    }

    fn missing(&self, index: Option<usize>, x: f64) -> Result<(), Failure> {
        let (x, y) = self.at(x, 0.0);
        missing(self.canvas, index, (x, y - 9))
    }
}

/// Draws the mark of a series around a point: a disc, a square, a triangle, a diamond.
pub(super) fn point(canvas: &Canvas<'_>, index: usize, (x, y): (i32, i32)) -> Result<(), Failure> {
    let style = hue(index).filled();
    match index % 4 {
        0 => canvas.draw(&Circle::new((x, y), 5, style))?,
        // No rectangle, which would be an area.
        1 => canvas
            .draw(&Polygon::new([(x - 5, y - 5), (x + 5, y - 5), (x + 5, y + 5), (x - 5, y + 5)], style))?,
        2 => canvas.draw(&Polygon::new([(x - 6, y + 5), (x + 6, y + 5), (x, y - 6)], style))?,
        _ => canvas.draw(&Polygon::new([(x - 7, y), (x, y - 7), (x + 7, y), (x, y + 7)], style))?,
    }
    Ok(())
}

/// Draws the sign for what has no valid figure: a cross, of a series or of all.
pub(super) fn missing(canvas: &Canvas<'_>, index: Option<usize>, (x, y): (i32, i32)) -> Result<(), Failure> {
    canvas.draw(&Cross::new((x, y), 4, index.map_or(INK, hue).stroke_width(2)))?;
    Ok(())
}
