//! The HTML page: lanes of clients and instances on a canvas, self-contained.
//!
//! Its data is columns of numbers, in little-endian bytes as base64, which a browser turns into
//! typed arrays; the scripts in `page/` draw them. Times are microseconds since the page's start.

use std::io::{self, Write};

use serde::Serialize;

use super::clocks::Skew;
use super::collect::Collected;
use super::html::escape;
use super::lanes::Lanes;
use super::page_columns::{Columns, bar_columns, call_columns, hold_columns, ids, request_columns};
use super::page_text::{losses, notes, summary_table};
use super::reader::{Damage, Run, names};
use super::summary::Summary;

const HTML: &str = include_str!("page/page.html");
const CSS: &str = include_str!("page/page.css");
const SCRIPTS: [&str; 12] = [
    include_str!("page/data.js"),
    include_str!("page/text.js"),
    include_str!("page/scale.js"),
    include_str!("page/draw.js"),
    include_str!("page/shares.js"),
    include_str!("page/frame.js"),
    include_str!("page/find.js"),
    include_str!("page/path.js"),
    include_str!("page/choose.js"),
    include_str!("page/stretch.js"),
    include_str!("page/live.js"),
    include_str!("page/main.js"),
];

/// The page's data as the scripts take it.
#[derive(Serialize)]
struct Data {
    /// Microseconds since the epoch that the page's times count from.
    start: u64,
    /// Positions are what columns named `kind`, `outcome`, `cut`, `failure`, `state` hold.
    words: Vec<String>,
    /// Instances' names; lanes refer to them by position.
    instances: Vec<String>,
    /// Client (or null) and instance of each lane.
    lanes: Vec<(Option<i32>, usize)>,
    /// Ids of requests, one a line.
    ids: String,
    requests: Columns,
    calls: Columns,
    bars: Columns,
    holds: Columns,
    changes: Columns,
    /// Lines that are missing: instance, since when, until when, how many, why.
    gaps: Vec<(usize, f64, f64, u64, &'static str)>,
    /// The version, where the page is served and kept up to date.
    live: Option<u64>,
}

/// What a page that is served takes over.
#[derive(Serialize)]
struct Update {
    data: Data,
    title: String,
    notes: String,
    losses: String,
    table: String,
}

/// Everything that goes into the page.
pub(super) struct Page<'a> {
    pub(super) collected: Collected,
    pub(super) runs: &'a [Run],
    pub(super) skews: &'a [Skew],
    pub(super) summary: &'a Summary,
    pub(super) damage: &'a Damage,
    /// The version, where it is served and kept up to date.
    pub(super) live: Option<u64>,
}

impl Page<'_> {
    /// Writes the page.
    ///
    /// # Errors
    /// When `output` fails.
    pub(super) fn write(self, output: &mut impl Write) -> io::Result<()> {
        // The page itself fetches nothing, unless it is served.
        let connect = if self.live.is_some() { "; connect-src 'self'" } else { "" };
        let Update { data, title, notes, losses, table } = self.update();
        let json = serde_json::to_string(&data).map_err(io::Error::from)?.replace('<', "\\u003c");
        let mut rest = HTML;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").expect("every placeholder of the page is closed");
            output.write_all(before.as_bytes())?;
            match name {
                "title" => output.write_all(escape(&title).as_bytes())?,
                "connect" => output.write_all(connect.as_bytes())?,
                "style" => output.write_all(CSS.as_bytes())?,
                "notes" => output.write_all(notes.as_bytes())?,
                "table" => output.write_all(table.as_bytes())?,
                "losses" => output.write_all(losses.as_bytes())?,
                "data" => output.write_all(json.as_bytes())?,
                "script" => SCRIPTS.iter().try_for_each(|script| output.write_all(script.as_bytes()))?,
                other => unreachable!("the page has no placeholder {other}"),
            }
            rest = after;
        }
        output.write_all(rest.as_bytes())
    }

    /// Writes what a page that was written before takes over, as JSON.
    ///
    /// # Errors
    /// When `output` fails.
    pub(super) fn write_update(self, output: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(output, &self.update()).map_err(io::Error::from)
    }

    fn update(self) -> Update {
        let mut title: Vec<&str> = self.summary.instances.iter().map(|one| one.instance.as_str()).collect();
        title.dedup();
        let title = title.join(", ");
        let notes = notes(&self.collected, self.summary, self.damage);
        let (table, losses) = (summary_table(self.summary), losses(self.summary));
        Update { data: self.data(), title, notes, losses, table }
    }

    fn data(self) -> Data {
        let (until, live) = (self.collected.complete_until(), self.live);
        let Collected { requests, calls, changes, words, gaps, begins_late, .. } = self.collected;
        let requests = requests.into_sorted(until, self.skews, |one| one.run);
        let calls = calls.into_sorted(until, self.skews, |one| one.run);
        let changes = changes.into_sorted(until, self.skews, |one| one.run);
        let (waits, holds) = hold_columns(&calls, begins_late);
        let mut instances: Vec<(String, usize)> = names(self.runs).into_iter().zip(0..).collect();
        instances.sort();
        let mut instance_of = vec![0; instances.len()];
        for (position, (_, run)) in instances.iter().enumerate() {
            instance_of[*run] = position;
        }
        let instances: Vec<String> = instances.into_iter().map(|(name, _)| name).collect();
        let lanes = Lanes::of(&requests, &calls, &instance_of);
        let firsts = [
            requests.first().map(|one| one.at),
            calls.first().map(|one| one.at),
            changes.first().map(|one| one.at),
        ];
        let start = firsts.into_iter().flatten().min().unwrap_or(0);
        let moment = |run: usize, at: u64| {
            at.saturating_add_signed(-self.skews[run].micros()).saturating_sub(start) as f64
        };
        let gaps = gaps.iter().filter(|(_, gap)| gap.since > 0 && gap.since < until);
        let gaps = gaps.map(|(run, gap)| {
            (instance_of[*run], moment(*run, gap.since), moment(*run, gap.at), gap.count, gap.why.words())
        });
        let gaps = gaps.collect();
        let known: Vec<_> = changes
            .iter()
            .filter_map(|one| Some((one, lanes.find(Some(one.what.client), one.what.run)?)))
            .collect();
        let mut changed = Columns::default();
        changed.add("at", "f64", known.iter().map(|(one, _)| (one.at - start) as f64), f64::to_le_bytes);
        changed.add("lane", "u32", known.iter().map(|(_, lane)| *lane), u32::to_le_bytes);
        changed.add("state", "u8", known.iter().map(|(one, _)| one.what.state), u8::to_le_bytes);
        Data {
            start,
            words: words.list().to_vec(),
            ids: ids(&requests),
            requests: request_columns(start, &requests, &calls, &lanes),
            bars: bar_columns(&calls, &lanes),
            calls: call_columns(start, &calls, &instance_of, &waits),
            holds,
            changes: changed,
            gaps,
            live,
            lanes: lanes.list,
            instances,
        }
    }
}
