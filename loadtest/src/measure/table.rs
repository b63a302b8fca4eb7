//! A comparison as rows of text, and the raw data as CSV: everything from the table of figures.

use super::figures::{FIGURES, Figure, Tables, Value};
use super::result::{Case, Comparison, Measurement, Run};
use crate::report::text::significant;

/// Where there is no valid figure, or none can be.
const NONE: &str = "–";

/// The parts of an answer's time inside the instances, by their heads.
const SPENT: [(&str, &str); 4] =
    [("queue, ms", "queue_ms"), ("connection", "connection_ms"), ("lock", "lock_ms"), ("work", "work_ms")];

/// Returns the figures that the table of a comparison has, column by column: those that share a head
/// share a column, and those that no case knows are left out.
pub fn columns(comparison: &Comparison) -> Vec<Vec<&'static Figure>> {
    let kind = if comparison.axes.is_some() { Tables::Points } else { Tables::Cases };
    let always = |figure: &Figure| matches!(figure.value, Value::OfRun(_)) && figure.tables == kind;
    let known = |figure: &&Figure| {
        let no_case_has_any = comparison.cases.iter().all(|case| case.valid().next().is_none());
        no_case_has_any && always(figure) || comparison.cases.iter().any(|case| !figure.of(case).is_empty())
    };
    let shown = FIGURES.iter().filter(|figure| figure.tables == Tables::Every || figure.tables == kind);
    let mut columns: Vec<Vec<&Figure>> = Vec::new();
    for figure in shown.filter(known) {
        match columns.last_mut() {
            Some(column) if column[0].heading == figure.heading => column.push(figure),
            _ => columns.push(vec![figure]),
        }
    }
    columns
}

/// Returns one row for each case, the header first.
pub fn rows(comparison: &Comparison, rounds: u32) -> Vec<Vec<String>> {
    let columns = columns(comparison);
    let mut header = names(comparison);
    for (index, column) in columns.iter().enumerate() {
        header.push(column[0].heading.to_owned());
        header.extend((index == 0).then(|| "±\u{a0}%".to_owned()));
    }
    header.push("valid rounds".to_owned());
    let row = |(index, case): (usize, &Case)| {
        let mut cells: Vec<String> = comparison.place(index).into_iter().map(str::to_owned).collect();
        for (at, column) in columns.iter().enumerate() {
            let spreads = column.iter().map(|figure| (figure, figure.of(case)));
            let shown: Vec<String> = spreads
                .flat_map(|(figure, all)| all.into_iter().map(|one| (figure.show)(one.median)))
                .collect();
            let star = if at == 0 && case.is_limited_from_outside() { "*" } else { "" };
            cells.push(if shown.is_empty() { NONE.to_owned() } else { shown.join("/") + star });
            if at == 0 {
                let spread = column[0].of(case).first().map(|one| format!("{:.0}", one.percent()));
                cells.push(spread.unwrap_or_else(|| NONE.to_owned()));
            }
        }
        cells.push(format!("{} of {rounds}", case.valid().count()));
        cells
    };
    std::iter::once(header).chain(comparison.cases.iter().enumerate().map(row)).collect()
}

/// Returns where the time of a right answer went inside the instances, in milliseconds, the header first;
/// empty where nothing is known of it.
pub fn spent(comparison: &Comparison) -> Vec<Vec<String>> {
    let heads = SPENT.iter().map(|(head, _)| *head).chain(["rest of the database", "all"]);
    let header = names(comparison).into_iter().chain(heads.map(str::to_owned)).collect();
    let rows = comparison.cases.iter().enumerate().filter_map(|(index, case)| {
        let median = |name| Some(case.figure(name)?.median);
        let parts = SPENT.iter().map(|(_, name)| median(name)).collect::<Option<Vec<f64>>>()?;
        let database = median("db_ms")?;
        let rest = (database - parts[2] - parts[3]).max(0.0);
        let all = parts[0] + parts[1] + database;
        let names = comparison.place(index).into_iter().map(str::to_owned);
        Some(names.chain(parts.into_iter().chain([rest, all]).map(significant)).collect())
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() { rows } else { std::iter::once(header).chain(rows).collect() }
}

fn names(comparison: &Comparison) -> Vec<String> {
    match &comparison.axes {
        Some([x, series]) => vec![x.label.clone(), series.label.clone()],
        None => vec!["case".to_owned()],
    }
}

/// Returns the raw data as CSV, a row for each run: its place, every figure, and what is wrong with it.
pub fn csv_of_runs(result: &Measurement) -> String {
    // Cases may differ in their instances.
    let most = result.cases().flat_map(|(_, case)| &case.runs).max_by_key(|run| run.services.len());
    let services: Vec<&str> =
        most.map_or(Vec::new(), |run| run.services.iter().map(|service| service.service.as_str()).collect());
    let figures = FIGURES.iter().flat_map(|figure| match figure.value {
        Value::OfRun(_) => vec![figure.name.to_owned()],
        Value::OfClient(_) => Vec::new(),
        Value::OfService(_) => services.iter().map(|name| format!("{name}_{}", figure.name)).collect(),
    });
    let header = PLACE.map(str::to_owned).into_iter().chain(figures);
    let header = header.chain(["valid", "invalid_because", "problems"].map(str::to_owned));
    let rows = runs(result).map(|(place, run)| {
        let figures = FIGURES.iter().flat_map(|figure| {
            let places: Vec<Option<usize>> = match figure.value {
                Value::OfRun(_) => vec![Some(0)],
                Value::OfService(_) => services.iter().map(|name| place_of(run, name)).collect(),
                Value::OfClient(_) => Vec::new(),
            };
            let values = figure.values(run);
            let value = move |place: Option<usize>| values.get(place?).map(|value| decimal(*value));
            places.into_iter().map(move |place| value(place).unwrap_or_default())
        });
        let valid = run.invalid.is_none().to_string();
        let rest = [valid, run.invalid.clone().unwrap_or_default(), run.problems.join("; ")];
        line(place.into_iter().chain(figures).chain(rest))
    });
    let rows: String = rows.collect();
    line(header) + &rows
}

fn place_of(run: &Run, service: &str) -> Option<usize> {
    run.services.iter().position(|one| one.service == service)
}

/// Returns PostgreSQL's sessions over time as CSV, a row for each look.
pub fn csv_of_samples(result: &Measurement) -> String {
    let header = PLACE.into_iter().chain(["at_s", "active", "row_lock", "wal", "other", "other_events"]);
    let mut text = line(header.map(str::to_owned));
    for (place, run) in runs(result) {
        for sample in &run.samples {
            let counts =
                [sample.active, sample.row_lock, sample.wal, sample.other].map(|count| count.to_string());
            let events = sample.other_events.iter().map(|(event, sessions)| format!("{event} {sessions}"));
            let events = events.collect::<Vec<_>>().join(" ");
            let figures = std::iter::once(format!("{:.3}", sample.at_s)).chain(counts).chain([events]);
            text += &line(place.iter().cloned().chain(figures));
        }
    }
    text
}

/// The comparison, the labels of x and series or that of the case, and the round from 1.
const PLACE: [&str; 4] = ["comparison", "x", "series", "round"];

fn runs(result: &Measurement) -> impl Iterator<Item = ([String; 4], &Run)> {
    let cases = |comparison: &'_ Comparison| (0..comparison.cases.len()).collect::<Vec<_>>();
    let places =
        result.comparisons.iter().flat_map(move |one| cases(one).into_iter().map(move |at| (one, at)));
    places.flat_map(|(comparison, at)| {
        let place = comparison.place(at);
        let [x, series] =
            [0, 1].map(|index| place.get(index).map_or(String::new(), |name| (*name).to_owned()));
        comparison.cases[at].runs.iter().map(move |run| {
            ([comparison.title.clone(), x.clone(), series.clone(), (run.round + 1).to_string()], run)
        })
    })
}

fn line(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|cell| quoted(&cell)).collect();
    format!("{}\n", cells.join(","))
}

/// Returns a number without the digits that nobody measured.
fn decimal(value: f64) -> String {
    ((value * 1e4).round() / 1e4).to_string()
}

/// Returns a cell as RFC 4180 has it.
fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
