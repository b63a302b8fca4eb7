//! The HTML page: lanes of clients and instances on a canvas, self-contained.
//!
//! Its data is columns of numbers, in little-endian bytes as base64, which a browser turns into
//! typed arrays; the scripts in `page/` draw them. Times are microseconds since the page's start.

use std::io::{self, Write};

use serde::Serialize;

use super::beside::{Joined, Side};
use super::html::escape;
use super::lanes::Lanes;
use super::page_columns::{Columns, bar_columns, call_columns, hold_columns, ids, request_columns};
use super::page_text::{self, losses_of, summary_table};

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
    /// The name of each trace, where there are two, and the microseconds since the epoch that its times count from.
    sides: Vec<(String, u64)>,
    /// Positions are what columns named `kind`, `outcome`, `cut`, `failure`, `state` hold.
    words: Vec<String>,
    /// Instances' names, and of which trace they are; lanes refer to them by position.
    instances: Vec<(String, usize)>,
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
    /// One trace, or two over one another.
    pub(super) sides: Vec<Side<'a>>,
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
        let (mut notes, mut table) = (String::new(), String::new());
        let mut losses = if self.sides.len() > 1 { losses_of(&self.sides) } else { String::new() };
        let mut title: Vec<String> = Vec::new();
        for side in &self.sides {
            let Side { collected, summary, damage, .. } = side;
            let name = escape(side.name()).to_string();
            let heading = if name.is_empty() { String::new() } else { format!("<h2>{name}</h2>") };
            let named = |text: String| if text.is_empty() { text } else { format!("{heading}{text}") };
            notes += &named(page_text::notes(collected, summary, damage));
            table += &named(summary_table(summary));
            losses += &named(page_text::losses(summary, side.name()));
            let mut instances: Vec<&str> =
                summary.instances.iter().map(|one| one.instance.as_str()).collect();
            instances.dedup();
            title.push(instances.join(", "));
        }
        title.dedup();
        let names: Vec<&str> = self.sides.iter().map(Side::name).filter(|name| !name.is_empty()).collect();
        if !names.is_empty() {
            title = vec![names.join(" beside ")];
        }
        Update { title: title.concat(), notes, losses, table, data: self.data() }
    }

    fn data(self) -> Data {
        let live = self.live;
        let joined = Joined::of(self.sides);
        let Joined { requests, calls, changes, .. } = &joined;
        let mut order: Vec<usize> = (0..joined.runs.len()).collect();
        order.sort_by_key(|run| {
            let (name, side) = &joined.runs[*run];
            (*side, name, *run)
        });
        let mut instance_of = vec![0; order.len()];
        for (position, run) in order.iter().enumerate() {
            instance_of[*run] = position;
        }
        let instances = order.iter().map(|run| joined.runs[*run].clone()).collect();
        let lanes = Lanes::of(requests, calls, &instance_of);
        let known: Vec<_> = changes
            .iter()
            .filter_map(|one| Some((one, lanes.find(Some(one.what.client), one.what.run)?)))
            .collect();
        let mut changed = Columns::default();
        changed.add("at", "f64", known.iter().map(|(one, _)| one.at as f64), f64::to_le_bytes);
        changed.add("lane", "u32", known.iter().map(|(_, lane)| *lane), u32::to_le_bytes);
        changed.add("state", "u8", known.iter().map(|(one, _)| one.what.state), u8::to_le_bytes);
        let gaps = joined
            .gaps
            .iter()
            .map(|(run, since, until, count, why)| (instance_of[*run], *since, *until, *count, *why));
        Data {
            words: joined.words.list().to_vec(),
            ids: ids(requests),
            requests: request_columns(requests, calls, &lanes),
            bars: bar_columns(calls, &lanes),
            calls: call_columns(calls, &instance_of, &joined.waits),
            holds: hold_columns(calls, &joined.holds),
            changes: changed,
            gaps: gaps.collect(),
            live,
            lanes: lanes.list,
            instances,
            sides: joined.sides,
        }
    }
}
