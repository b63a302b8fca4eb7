//! Charts over groups: panels that have their groups from left to right in common, and in each of
//! them bars, lines or stacks.

use anyhow::{Result, anyhow, ensure};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::legend::{self, LETTER};
pub use super::panel::{Mark, Panel, Series, Shape};
use super::scale::{Canvas, Failure, mesh, text};
use super::shapes::{self, Plot};
use super::svg::{HUES, finish};

/// How wide a panel is, in pixels, where two of them are beside each other; the SVG scales to the
/// width that it is given.
const WIDTH: u32 = 460;

/// The same where there are three, so that letters are as large as there.
const NARROW: u32 = 340;

/// Of what is under the legend and over the groups' names, in pixels.
const PLOT_HEIGHT: u32 = 250;

/// Of the vertical axis' labels, in pixels.
const Y_LABELS: u32 = 58;

/// At the right, in pixels.
const MARGIN: u32 = 12;

/// Of a line of the groups' names, in pixels.
const LINE_HEIGHT: u32 = 18;

/// Between the names of two groups, in pixels.
const NAME_GAP: f64 = 6.0;

/// What the axis leaves free above the highest: labels are there.
const HEADROOM: f64 = 1.1;

/// Panels that share their groups.
#[derive(Clone, Debug)]
pub struct GroupChart<'a> {
    /// What tells the groups apart, with its unit.
    pub group_label: &'a str,
    /// The groups, from left to right.
    pub groups: Vec<String>,
    /// The panels, row by row.
    pub panels: Vec<Panel<'a>>,
    /// How many panels there are in a row, where there is room for them.
    pub columns: usize,
    /// Whether all panels have the vertical axis of the one with the most.
    pub same_scale: bool,
}

impl GroupChart<'_> {
    /// Draws all panels as one picture.
    ///
    /// # Errors
    /// When there are more series than colours, or no panel.
    pub fn to_svg(&self) -> Result<String> {
        self.draw(&self.panels, self.columns, &self.description())
    }

    /// Draws each panel for itself, for a page that places them side by side where it is wide
    /// enough.
    ///
    /// # Errors
    /// As for [`GroupChart::to_svg`].
    pub fn to_svgs(&self) -> Result<Vec<String>> {
        let panels = self.panels.iter();
        panels.map(|panel| self.draw(std::slice::from_ref(panel), 1, &panel.description)).collect()
    }

    /// Returns what is to be seen, for those who do not see it.
    pub fn description(&self) -> String {
        let panels: Vec<&str> = self.panels.iter().map(|panel| panel.description.as_str()).collect();
        panels.join(" ")
    }

    fn draw(&self, panels: &[Panel<'_>], columns: usize, description: &str) -> Result<String> {
        ensure!(!panels.is_empty() && columns > 0, "a chart has a panel");
        ensure!(panels.iter().all(|panel| panel.series.len() <= HUES), "a panel has at most {HUES} series");
        let names = self.names();
        let head = self.panels.iter().map(|panel| legend::height(panel, self.width())).max().unwrap_or(0);
        let (columns, rows) = (columns.min(panels.len()), panels.len().div_ceil(columns));
        let height = head + PLOT_HEIGHT + names.height();
        let size = (self.width() * u32::try_from(columns)?, height * u32::try_from(rows)?);
        let mut svg = String::new();
        let mut draw = || -> Result<(), Failure> {
            let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            for (area, panel) in root.split_evenly((rows, columns)).iter().zip(panels) {
                let (over, body) = area.split_vertically(head);
                legend::draw(&over, panel)?;
                self.plot(&root, &body, panel, &names)?;
            }
            root.present()?;
            Ok(())
        };
        draw().map_err(|error| anyhow!("cannot draw a chart: {error}"))?;
        Ok(finish(&svg, size, description))
    }

    fn plot(
        &self,
        root: &Canvas<'_>,
        body: &Canvas<'_>,
        panel: &Panel<'_>,
        names: &Names,
    ) -> Result<(), Failure> {
        let panels = if self.same_scale { self.panels.as_slice() } else { std::slice::from_ref(panel) };
        let scale = panel.shape.scale();
        let y = scale.range(panels.iter().flat_map(Panel::heights), HEADROOM);
        let mut chart = ChartBuilder::on(body)
            .margin_top(10)
            .margin_right(MARGIN)
            .x_label_area_size(names.height())
            .y_label_area_size(Y_LABELS)
            .build_cartesian_2d(0.0..self.groups.len().max(1) as f64, y.clone())?;
        mesh(&mut chart, 17)
            .disable_x_mesh()
            .x_labels(0)
            .y_labels(scale.labels(&y))
            .y_label_formatter(&|place| scale.label(*place))
            .draw()?;
        let place = |x: f64, y: f64| chart.backend_coord(&(x, y));
        let plot = Plot { canvas: root, place: &place, scale, floor: y.start, groups: self.groups.len() };
        shapes::draw(&plot, panel)?;
        let below = Pos::new(HPos::Center, VPos::Top);
        for (group, lines) in names.lines.iter().enumerate() {
            let (x, y) = place(group as f64 + 0.5, y.start);
            for (line, y) in lines.iter().zip((y + 6..).step_by(LINE_HEIGHT as usize)) {
                root.draw(&Text::new(line.clone(), (x, y), text(names.size).pos(below)))?;
            }
        }
        let (x, y) = place(self.groups.len() as f64 / 2.0, y.start);
        let under = y + 10 + names.lines_height() as i32;
        root.draw(&Text::new(self.group_label.to_owned(), (x, under), text(17).pos(below)))?;
        Ok(())
    }

    /// Returns the width of one panel, in pixels.
    fn width(&self) -> u32 {
        if self.columns > 2 { NARROW } else { WIDTH }
    }

    fn names(&self) -> Names {
        let slot = f64::from(self.width() - Y_LABELS - MARGIN) / self.groups.len().max(1) as f64;
        let slot = slot - NAME_GAP;
        let lines: Vec<Vec<String>> =
            self.groups.iter().map(|group| wrap(group, (slot / LETTER) as usize)).collect();
        let longest = lines.iter().flatten().map(|line| line.chars().count()).max().unwrap_or(0);
        // What does not fit is set in smaller letters.
        let share = slot / (longest.max(1) as f64 * LETTER);
        let size = (17.0 * share).clamp(12.0, 17.0).round() as u32;
        Names { lines, size }
    }
}

/// The groups' names, in lines that fit under their groups.
struct Names {
    lines: Vec<Vec<String>>,
    size: u32,
}

impl Names {
    fn lines_height(&self) -> u32 {
        LINE_HEIGHT * self.lines.iter().map(Vec::len).max().unwrap_or(0) as u32
    }

    /// Returns the same with the label of the axis.
    fn height(&self) -> u32 {
        self.lines_height() + 36
    }
}

/// Returns lines of at most so many letters, words being left whole.
fn wrap(text: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_inclusive([' ', '_', '-', '/', ',']) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.trim_end().chars().count() <= letters => {
                line.push_str(word)
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
#[path = "groups_tests.rs"]
mod tests;
