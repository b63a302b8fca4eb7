//! What a panel of a chart shows.

use super::scale::Scale;

/// One panel.
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    /// What it measures, with its unit.
    pub title: String,
    /// What is to be seen, for those who do not see it.
    pub description: String,
    /// How the series are drawn.
    pub shape: Shape,
    /// At most four series: as many as there are colours that everybody tells apart.
    pub series: Vec<Series<'a>>,
}

/// How series are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Bars side by side.
    Bars,
    /// Lines from group to group.
    Lines,
    /// The same, the vertical axis spaced by factors of ten.
    LogarithmicLines,
    /// Bars one on top of the other.
    Stack,
}

/// What is drawn in one colour, one figure for each group.
#[derive(Clone, Debug)]
pub struct Series<'a> {
    /// Its name in the legend.
    pub name: &'a str,
    /// Its figures; `None` where the group has none, which is shown.
    pub marks: Vec<Option<Mark>>,
}

/// One figure, with a thin line over it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// How high it is.
    pub value: f64,
    /// Where the line begins and ends.
    pub range: (f64, f64),
}

impl Shape {
    pub(super) fn scale(self) -> Scale {
        if self == Shape::LogarithmicLines { Scale::Logarithmic } else { Scale::Linear }
    }

    pub(super) fn is_lines(self) -> bool {
        matches!(self, Shape::Lines | Shape::LogarithmicLines)
    }
}

impl Panel<'_> {
    pub(super) fn misses_something(&self) -> bool {
        self.series.iter().any(|series| series.marks.iter().any(Option::is_none))
    }

    /// Returns how high everything is that is drawn.
    pub(super) fn heights(&self) -> Vec<f64> {
        let groups = self.series.iter().map(|series| series.marks.len()).max().unwrap_or(0);
        let marks = |group: usize| self.series.iter().filter_map(move |one| one.marks.get(group).copied()?);
        let of_group = |group: usize| match self.shape {
            Shape::Stack => vec![marks(group).map(|mark| mark.value).sum()],
            _ => marks(group).flat_map(|mark| [mark.range.0, mark.value, mark.range.1]).collect(),
        };
        (0..groups).flat_map(of_group).collect()
    }
}
