//! A table of text.

use std::fmt::{self, Display, Write};

use super::printable::printable;

/// Columns as wide as they need to be; words to the left, numbers to the right.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|title| (*title).to_owned()).collect()] }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| printable(cell)).collect());
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows[0].len();
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let numeric = |column: usize| {
            let mut cells = self.rows[1..].iter().map(|row| &row[column]);
            cells.all(|cell| {
                cell == "-" || (cell.starts_with(|c: char| c.is_ascii_digit()) && cell.len() < 16)
            })
        };
        let numeric: Vec<bool> = (0..columns).map(numeric).collect();
        for (position, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                if column > 0 {
                    line.push_str("  ");
                }
                if numeric[column] {
                    write!(line, "{cell:>width$}")?
                } else {
                    write!(line, "{cell:<width$}")?
                }
            }
            let end = if position + 1 == self.rows.len() { "" } else { "\n" };
            write!(f, "{}{end}", line.trim_end())?;
        }
        Ok(())
    }
}
