//! Draws the calls around what is wrong with a history: a lane for each client, each call a bar from its start
//! to its end, coloured by what was told; what shows that a promise was broken is marked.

use maud::{Markup, html};

use super::checker::Violation;
use super::history::{Call, History, Told};
use crate::report::page::page;

/// Panels in a picture, one for each broken promise, and bars in a panel.
const PANELS: usize = 10;
const BARS: usize = 600;

/// What is drawn on either side of a call: as much as it took, and at least so many microseconds.
const MARGIN_MICROS: u64 = 2_000;

const WIDTH: f64 = 960.0;
const BAR: f64 = 9.0;

/// What a call was told, and its colour.
const COLOURS: [(&str, &str); 5] = [
    ("200", "#0072b2"),
    ("422", "#56b4e9"),
    ("503", "#e69f00"),
    ("504 or no answer", "#999999"),
    ("other", "#000000"),
];

const MARK: &str = "#d0021b";

/// Returns a page with a panel for each of the first violations that one call shows.
pub fn draw(history: &History, violations: &[Violation]) -> String {
    let shown = violations.iter().filter_map(|violation| violation.at.map(|at| (violation, at)));
    let body = html! {
        p.faint { (violations.len()) " promises broken; the first of those that one call shows." }
        p { @for (name, colour) in COLOURS { span style=(format!("color:{colour}")) { "■ " } (name) " " }
            span style=(format!("color:{MARK}")) { "▯ " } "shows that a promise was broken" }
        @for (violation, at) in shown.take(PANELS) {
            h2.bad { (violation.kind) ", client " (violation.client) }
            p { (violation.what) }
            (panel(history, violations, at))
        }
    };
    page("A history that breaks promises", body).into_string()
}

fn panel(history: &History, violations: &[Violation], (start, end): (u64, u64)) -> Markup {
    let margin = (end - start).max(MARGIN_MICROS);
    let (from, to) = (start.saturating_sub(margin), end + margin);
    let mut calls: Vec<&Call> =
        history.calls.iter().filter(|call| call.start <= to && call.end >= from).collect();
    // Those nearest to what is wrong, where there are too many.
    calls.sort_by_key(|call| call.start.abs_diff(start));
    calls.truncate(BARS);
    calls.sort_by_key(|call| (call.client, call.start));
    let x = |time: u64| (time.clamp(from, to) - from) as f64 / (to - from) as f64 * WIDTH;
    let marked = |call: &Call| {
        let at = Some((call.start, call.end));
        violations.iter().any(|violation| violation.client == call.client && violation.at == at)
    };
    let mut bars = Vec::new();
    let mut lanes = Vec::new();
    let mut top = 0.0;
    for of_client in calls.chunk_by(|one, other| one.client == other.client) {
        lanes.push((of_client[0].client, top));
        top += 16.0;
        // Calls side by side lie below each other: each in the first row that is free.
        let mut ends: Vec<u64> = Vec::new();
        for call in of_client {
            let row = ends.iter().position(|end| *end < call.start).unwrap_or(ends.len());
            ends.resize(ends.len().max(row + 1), 0);
            ends[row] = call.end;
            bars.push((*call, top + row as f64 * BAR));
        }
        top += ends.len() as f64 * BAR;
    }
    html! {
        svg.chart viewBox=(format!("0 0 {WIDTH} {top}")) role="img" {
            @for (client, y) in lanes {
                text x="0" y=(y + 12.0) font-size="11" fill="currentColor" { "client " (client) }
                line x1="0" x2=(WIDTH) y1=(y) y2=(y) stroke="currentColor" stroke-opacity="0.3" {}
            }
            @for (call, y) in bars {
                rect.call.marked[marked(call)] x=(x(call.start)) y=(y) height=(BAR - 2.0)
                    width=((x(call.end) - x(call.start)).max(1.0)) fill=(colour(&call.told))
                    stroke=(MARK) stroke-width=(if marked(call) { 2 } else { 0 }) {
                    title { (call.start) " to " (call.end) " µs: " (format!("{:?} → {:?}", call.asked, call.told)) }
                }
            }
        }
        p.faint { (from) " to " (to) " µs" }
    }
}

fn colour(told: &Told) -> &'static str {
    let index = match told {
        Told::Applied(_) | Told::Statement(..) => 0,
        Told::OverLimit => 1,
        Told::Refused => 2,
        Told::Unknown | Told::Unanswered => 3,
        Told::Wrong(_) => 4,
    };
    COLOURS[index].1
}
