//! What is over a panel: its title, and the signs of its series in rows of their own, so that
//! they never lie over the data.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::panel::{Panel, Shape};
use super::scale::{Canvas, Failure, text};
use super::shapes::{missing, point};
use super::svg::{INK, hue};

/// Of the text, as plotters counts it: about four fifths are pixels.
const TITLE_SIZE: u32 = 19;
const TEXT_SIZE: u32 = 17;

const TITLE_HEIGHT: u32 = 32;
const ROW_HEIGHT: u32 = 24;

/// From the left edge, in pixels.
const LEFT: i32 = 12;

/// A sign's width and the space around it, in pixels.
const SIGN: i32 = 40;

/// What a letter is held to take, in pixels: fonts are the reader's.
pub(super) const LETTER: f64 = 7.8;

/// What is missing is explained where something is.
const MISSING: &str = "no valid figure";

enum Sign<'a> {
    Series(usize, &'a str),
    Missing,
}

impl Sign<'_> {
    fn text(&self) -> &str {
        match self {
            Sign::Series(_, name) => name,
            Sign::Missing => MISSING,
        }
    }
}

/// Returns how much height a panel of that width needs for it.
pub(super) fn height(panel: &Panel<'_>, width: u32) -> u32 {
    let rows = places(panel, width).last().map_or(0, |(row, ..)| row + 1);
    TITLE_HEIGHT + ROW_HEIGHT * rows + 4
}

/// Draws it.
pub(super) fn draw(canvas: &Canvas<'_>, panel: &Panel<'_>) -> Result<(), Failure> {
    let left = Pos::new(HPos::Left, VPos::Center);
    let title = ("sans-serif", TITLE_SIZE).into_font().style(FontStyle::Bold).color(&INK).pos(left);
    canvas.draw(&Text::new(panel.title.clone(), (LEFT, TITLE_HEIGHT as i32 / 2), title))?;
    let (width, _) = canvas.dim_in_pixel();
    for (row, x, sign) in places(panel, width) {
        let y = (TITLE_HEIGHT + ROW_HEIGHT * row + ROW_HEIGHT / 2) as i32;
        match sign {
            Sign::Missing => missing(canvas, None, (x + 12, y))?,
            Sign::Series(index, _) if panel.shape.is_lines() => {
                canvas.draw(&PathElement::new([(x, y), (x + 26, y)], hue(index).stroke_width(2)))?;
                point(canvas, index, (x + 13, y))?;
            }
            Sign::Series(index, _) => {
                canvas.draw(&Rectangle::new([(x, y - 8), (x + 24, y + 8)], hue(index).filled()))?
            }
        }
        canvas.draw(&Text::new(sign.text().to_owned(), (x + 32, y), text(TEXT_SIZE).pos(left)))?;
    }
    Ok(())
}

/// Returns the row and the left edge of every sign.
fn places<'a>(panel: &'a Panel<'_>, width: u32) -> Vec<(u32, i32, Sign<'a>)> {
    let series = panel.series.iter().enumerate();
    // A single series is named by the title.
    let named = panel.series.len() > 1 || panel.shape == Shape::Stack;
    let signs = series.filter(|_| named).map(|(index, series)| Sign::Series(index, series.name));
    let missing = panel.misses_something().then_some(Sign::Missing);
    let (mut row, mut x) = (0, LEFT);
    let place = |sign: Sign<'a>| {
        let needed = SIGN + (LETTER * sign.text().chars().count() as f64) as i32;
        if x > LEFT && x + needed > width as i32 {
            (row, x) = (row + 1, LEFT);
        }
        let place = (row, x, sign);
        x += needed + 8;
        place
    };
    signs.chain(missing).map(place).collect()
}
