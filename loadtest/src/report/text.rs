//! Numbers and tables as text.

use indicatif::{HumanCount, HumanFloatCount};

/// A megabyte as Compose's `MB` means it.
pub const BYTES_PER_MB: u64 = 1024 * 1024;

/// Returns rows in columns, the first to the left and the others to the right.
pub fn table(rows: &[Vec<String>]) -> String {
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..).map_while(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => text += &format!("{cell:<width$}"),
                _ => text += &format!("  {cell:>width$}"),
            }
        }
        text.push('\n');
    }
    text
}

/// Returns a number with a comma between its thousands.
pub fn grouped(number: u64) -> String {
    HumanCount(number).to_string()
}

/// Shows a number with as few digits as tell it: `0.1`, `20`, `99.9`, `1,000`.
pub fn number(value: f64) -> String {
    format!("{:.3}", HumanFloatCount(value))
}

/// Shows a number with three digits that count: `0.123`, `4.37`, `640`, `12,300`.
pub fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return number(value);
    }
    let digits = 2 - value.abs().log10().floor() as i32;
    let unit = 10f64.powi(-digits);
    let rounded = (value / unit).round() * unit;
    format!("{:.*}", usize::try_from(digits).unwrap_or(0), HumanFloatCount(rounded))
}

/// Returns how many times something is: `0.11`, `4.4`, `37`, `1,200`.
pub fn factor(value: f64) -> String {
    match value {
        v if v < 0.95 => format!("{v:.2}"),
        v if v < 9.95 => format!("{v:.1}"),
        v => significant(v.round()),
    }
}

/// Returns a label that fits over a bar: `15.8k`, `640`, `1.3`, `0`.
pub fn short(value: f64) -> String {
    match value {
        v if v >= 99_950.0 => format!("{:.0}k", v / 1_000.0),
        v if v >= 999.5 => format!("{:.1}k", v / 1_000.0),
        v if v >= 9.95 => format!("{v:.0}"),
        v if v >= 0.05 => format!("{v:.1}"),
        _ => "0".to_owned(),
    }
}

/// Returns a table as Markdown, the first row being its header, the first columns, which have `names`, to the
/// left and the others to the right.
pub fn markdown_table(rows: &[Vec<String>], names: usize) -> String {
    let Some((header, rows)) = rows.split_first() else { return String::new() };
    let line = |cells: &[String]| {
        let cells: Vec<String> =
            cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: String =
        (0..header.len()).map(|column| if column < names { "| --- " } else { "| ---: " }).collect();
    let rows: String = rows.iter().map(|row| line(row)).collect();
    format!("{}{rule}|\n{rows}", line(header))
}

/// Returns a size in megabytes.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / BYTES_PER_MB as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "10 µs".to_owned()], vec!["bcd".to_owned(), "5 s".to_owned()]];
        assert_eq!(table(&rows), "a    10 µs\nbcd    5 s\n");
    }

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (61_503, "61,503"), (1_234_567, "1,234,567")]
        {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn three_digits_count() {
        for (value, text) in [
            (0.0, "0"),
            (0.012_345, "0.0123"),
            (0.4, "0.4"),
            (4.0, "4"),
            (4.367, "4.37"),
            (99.96, "100"),
            (640.4, "640"),
            (999.6, "1,000"),
            (12_345.0, "12,300"),
            (1_234_567.0, "1,230,000"),
            (-12_345.0, "-12,300"),
        ] {
            assert_eq!(significant(value), text);
        }
    }

    #[test]
    fn factors_are_short() {
        let factors = [0.111, 0.94, 1.0, 4.37, 9.949, 36.6, 1_234.0].map(factor);
        assert_eq!(factors, ["0.11", "0.94", "1.0", "4.4", "9.9", "37", "1,230"]);
    }

    #[test]
    fn labels_are_short() {
        let labels = [0.0, 0.64, 12.3, 999.9, 15_830.0, 123_456.0].map(short);
        assert_eq!(labels, ["0", "0.6", "12", "1.0k", "15.8k", "123k"]);
    }

    #[test]
    fn a_bar_in_a_cell_ends_no_cell() {
        let rows = [vec!["a|b".to_owned(), "c".to_owned()], vec!["1\n2".to_owned(), "3".to_owned()]];
        assert_eq!(markdown_table(&rows, 1), "| a\\|b | c |\n| --- | ---: |\n| 1 2 | 3 |\n");
    }
}
