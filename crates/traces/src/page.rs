//! The HTML page: lanes of clients and instances on a canvas, self-contained.
//!
//! Its data is columns of numbers, in little-endian bytes as base64, which a browser turns into
//! typed arrays; the scripts in `page/` draw them. Times are microseconds since the page's start.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::collect::{At, Collected, PageCall, PageRequest};
use super::format::CallReport;
use super::html::escape;
use super::page_text::{notes, summary_table};
use super::reader::{Damage, Run, names};
use super::summary::Summary;

/// Stands for "not known" in a column.
const NONE: u32 = u32::MAX;

const HTML: &str = include_str!("page/page.html");
const CSS: &str = include_str!("page/page.css");
const SCRIPTS: [&str; 8] = [
    include_str!("page/data.js"),
    include_str!("page/text.js"),
    include_str!("page/scale.js"),
    include_str!("page/draw.js"),
    include_str!("page/shares.js"),
    include_str!("page/frame.js"),
    include_str!("page/find.js"),
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
    changes: Columns,
}

/// Columns of equal length by name, each with the type of its numbers.
#[derive(Default, Serialize)]
struct Columns {
    length: usize,
    columns: Vec<(&'static str, &'static str, String)>,
}

/// Everything that goes into the page.
pub(super) struct Page<'a> {
    pub(super) collected: Collected,
    pub(super) runs: &'a [Run],
    pub(super) summary: &'a Summary,
    pub(super) damage: &'a Damage,
}

impl Page<'_> {
    /// Writes the page.
    ///
    /// # Errors
    /// When `output` fails.
    pub(super) fn write(self, output: &mut impl Write) -> io::Result<()> {
        let mut title: Vec<&str> = self.summary.instances.iter().map(|one| one.instance.as_str()).collect();
        title.dedup();
        let title = title.join(", ");
        let notes = notes(&self.collected, self.summary, self.damage);
        let table = summary_table(self.summary);
        let data = self.data();
        let json = serde_json::to_string(&data).map_err(io::Error::from)?.replace('<', "\\u003c");
        let mut rest = HTML;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").expect("every placeholder of the page is closed");
            output.write_all(before.as_bytes())?;
            match name {
                "title" => output.write_all(escape(&title).as_bytes())?,
                "style" => output.write_all(CSS.as_bytes())?,
                "notes" => output.write_all(notes.as_bytes())?,
                "table" => output.write_all(table.as_bytes())?,
                "data" => output.write_all(json.as_bytes())?,
                "script" => SCRIPTS.iter().try_for_each(|script| output.write_all(script.as_bytes()))?,
                other => unreachable!("the page has no placeholder {other}"),
            }
            rest = after;
        }
        output.write_all(rest.as_bytes())
    }

    fn data(self) -> Data {
        let until = self.collected.complete_until();
        let Collected { requests, calls, changes, words, .. } = self.collected;
        let (requests, calls) = (requests.into_sorted(until), calls.into_sorted(until));
        let changes = changes.into_sorted(until);
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
            calls: call_columns(start, &calls, &instance_of),
            changes: changed,
            lanes: lanes.list,
            instances,
        }
    }
}

/// Lanes: a client's side by side, one for each instance.
struct Lanes {
    list: Vec<(Option<i32>, usize)>,
    positions: HashMap<(Option<i32>, usize), u32>,
    instance_of: Vec<usize>,
}

impl Lanes {
    fn of(requests: &[At<PageRequest>], calls: &[At<PageCall>], instance_of: &[usize]) -> Self {
        let of_requests = requests.iter().map(|one| (one.what.client, instance_of[one.what.run]));
        let of_calls = calls.iter().flat_map(|one| {
            one.what.carries.iter().map(|(client, ..)| (Some(*client), instance_of[one.what.run]))
        });
        let lanes: BTreeSet<(Option<i32>, usize)> = of_requests.chain(of_calls).collect();
        // Those of no client come last.
        let (none, some): (Vec<_>, Vec<_>) = lanes.into_iter().partition(|(client, _)| client.is_none());
        let list: Vec<_> = some.into_iter().chain(none).collect();
        let positions = (0..).zip(&list).map(|(position, lane)| (*lane, position)).collect();
        Self { list, positions, instance_of: instance_of.to_vec() }
    }

    fn find(&self, client: Option<i32>, run: usize) -> Option<u32> {
        self.positions.get(&(client, self.instance_of[run])).copied()
    }

    fn of_known(&self, client: Option<i32>, run: usize) -> u32 {
        self.find(client, run).expect("every request and call was given a lane")
    }
}

impl Columns {
    fn add<T, const N: usize>(
        &mut self,
        name: &'static str,
        kind: &'static str,
        numbers: impl Iterator<Item = T>,
        bytes: impl Fn(T) -> [u8; N],
    ) {
        let bytes: Vec<u8> = numbers.flat_map(bytes).collect();
        self.length = bytes.len() / N;
        self.columns.push((name, kind, STANDARD.encode(bytes)));
    }

    fn add_micros(&mut self, name: &'static str, micros: impl Iterator<Item = Option<u64>>) {
        self.add(name, "u32", micros.map(short), u32::to_le_bytes);
    }
}

/// Returns the duration as a column holds it: what is too long for that counts as the longest.
fn short(micros: Option<u64>) -> u32 {
    micros.map_or(NONE, |micros| u32::try_from(micros).map_or(NONE - 1, |micros| micros.min(NONE - 1)))
}

fn ids(requests: &[At<PageRequest>]) -> String {
    let mut ids = String::new();
    for request in requests {
        let line = request.what.id.replace('\n', " ");
        writeln!(ids, "{line}").expect("a String takes everything");
    }
    ids
}

fn request_columns(
    start: u64,
    requests: &[At<PageRequest>],
    calls: &[At<PageCall>],
    lanes: &Lanes,
) -> Columns {
    let positions: HashMap<(usize, u64), u32> =
        (0..).zip(calls).map(|(position, one)| ((one.what.run, one.what.id), position)).collect();
    let call = |one: &PageRequest| {
        one.call.and_then(|call| positions.get(&(one.run, call))).copied().unwrap_or(NONE)
    };
    let mut columns = Columns::default();
    columns.add("at", "f64", requests.iter().map(|one| (one.at - start) as f64), f64::to_le_bytes);
    columns.add_micros("took", requests.iter().map(|one| one.what.took));
    columns.add_micros("queued", requests.iter().map(|one| one.what.queued));
    let lane = |one: &At<PageRequest>| lanes.of_known(one.what.client, one.what.run);
    columns.add("lane", "u32", requests.iter().map(lane), u32::to_le_bytes);
    columns.add("call", "u32", requests.iter().map(|one| call(&one.what)), u32::to_le_bytes);
    columns.add("status", "u16", requests.iter().map(|one| one.what.status), u16::to_le_bytes);
    columns.add("kind", "u8", requests.iter().map(|one| one.what.kind), u8::to_le_bytes);
    columns.add("outcome", "u8", requests.iter().map(|one| one.what.outcome), u8::to_le_bytes);
    columns
}

fn call_columns(start: u64, calls: &[At<PageCall>], instance_of: &[usize]) -> Columns {
    let mut columns = Columns::default();
    columns.add("at", "f64", calls.iter().map(|one| (one.at - start) as f64), f64::to_le_bytes);
    columns.add("number", "f64", calls.iter().map(|one| one.what.id as f64), f64::to_le_bytes);
    columns.add_micros("connection", calls.iter().map(|one| Some(one.what.connection)));
    for (position, figure) in CallReport::FIGURES.iter().enumerate() {
        columns.add_micros(figure.heading, calls.iter().map(|one| Some(one.what.report.values()[position])));
    }
    columns.add_micros("total", calls.iter().map(|one| Some(one.what.total)));
    columns.add_micros("size", calls.iter().map(|one| Some(one.what.size)));
    columns.add_micros("clients", calls.iter().map(|one| Some(one.what.clients as u64)));
    columns.add(
        "instance",
        "u16",
        calls.iter().map(|one| instance_of[one.what.run] as u16),
        u16::to_le_bytes,
    );
    columns.add("cut", "u8", calls.iter().map(|one| one.what.cut), u8::to_le_bytes);
    columns.add("failure", "u8", calls.iter().map(|one| one.what.failure), u8::to_le_bytes);
    columns
}

/// Returns one row for each call and lane that it is in.
fn bar_columns(calls: &[At<PageCall>], lanes: &Lanes) -> Columns {
    let bars = || {
        (0_u32..)
            .zip(calls)
            .flat_map(|(call, one)| one.what.carries.iter().map(move |part| (call, one, part)))
    };
    let mut columns = Columns::default();
    columns.add("call", "u32", bars().map(|(call, ..)| call), u32::to_le_bytes);
    let lane =
        |(_, one, part): (u32, &At<PageCall>, &(i32, u32, u32))| lanes.of_known(Some(part.0), one.what.run);
    columns.add("lane", "u32", bars().map(lane), u32::to_le_bytes);
    columns.add("transactions", "u32", bars().map(|(_, _, part)| part.1), u32::to_le_bytes);
    columns.add("statements", "u32", bars().map(|(_, _, part)| part.2), u32::to_le_bytes);
    columns
}
