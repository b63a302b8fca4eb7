//! What callers saw of faults, in rows.

use std::collections::BTreeMap;

use super::strike::{Seen, Strike};

const HEADINGS: [&str; 9] = [
    "fault",
    "balancing",
    "times",
    "200 or 422",
    "503",
    "504",
    "no answer",
    "normal after s, at most",
    "verdict",
];

/// How many stalls of a strike are told.
const STALLS: usize = 3;

/// Returns the headings, and a row for each fault and way to share out; all pairs are one fault.
pub fn rows(strikes: &[Strike]) -> Vec<Vec<String>> {
    let mut alike = BTreeMap::<_, Vec<&Strike>>::new();
    for strike in strikes {
        let pair = (strike.fault.0.len() > 1).then_some(());
        let single = if pair.is_some() { None } else { Some(strike.fault.clone()) };
        alike.entry((pair, single, strike.balancing.to_string())).or_default().push(strike);
    }
    let row_of = |strikes: &Vec<&Strike>| match &strikes[..] {
        [first, ..] if first.fault.0.len() > 1 => row("two at once", strikes),
        [first, ..] => row(&first.fault.to_string(), strikes),
        [] => Vec::new(),
    };
    let headings = HEADINGS.map(str::to_owned).to_vec();
    std::iter::once(headings).chain(alike.values().map(row_of)).collect()
}

/// Returns one strike in a line.
pub fn line(strike: &Strike) -> String {
    let row = row(&strike.fault.to_string(), &[strike]);
    let cells = HEADINGS.iter().zip(&row).skip(3).map(|(heading, cell)| match *heading {
        "normal after s, at most" => format!("normal after {cell} s"),
        "verdict" => String::new(),
        heading => format!("{heading}: {cell}"),
    });
    format!("{} {}  {}", row[1], row[0], cells.collect::<Vec<_>>().join("  "))
}

/// Returns a line for each of the longest stalls of a strike.
pub fn stalls(strike: &Strike) -> impl Iterator<Item = String> {
    strike.stalls.lines().into_iter().take(STALLS)
}

/// Returns what slow answers waited for, strike by strike, as Markdown.
pub fn waits(strikes: &[Strike]) -> String {
    let mut text = "\n## What slow answers waited for\n\nThe longest stalls of each, counted from the \
                    fault’s beginning.\n\n"
        .to_owned();
    for strike in strikes {
        let (summary, fault) = (strike.stalls.summary(), &strike.fault);
        text.push_str(&format!("- {fault}, {}: {summary}\n", strike.balancing));
        stalls(strike).for_each(|line| text.push_str(&format!("  - {line}\n")));
    }
    text
}

fn row(name: &str, strikes: &[&Strike]) -> Vec<String> {
    let sum =
        |count: fn(&Seen) -> u64| strikes.iter().map(|strike| count(&strike.seen)).sum::<u64>().to_string();
    let longest = strikes.iter().map(|strike| strike.recovery).max().unwrap_or_default();
    let mut broken = BTreeMap::new();
    for (kind, count) in strikes.iter().flat_map(|strike| &strike.broken) {
        *broken.entry(kind).or_insert(0) += count;
    }
    let broken: Vec<String> = broken.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    vec![
        name.to_owned(),
        strikes.first().map_or(String::new(), |strike| strike.balancing.to_string()),
        strikes.len().to_string(),
        sum(|seen| seen.answered),
        sum(|seen| seen.refused),
        sum(|seen| seen.unknown),
        sum(|seen| seen.unanswered),
        format!("{:.2}", longest.as_secs_f64()),
        if broken.is_empty() { "kept".to_owned() } else { broken.join(", ") },
    ]
}
