//! The page's data as columns of numbers.

use std::collections::HashMap;
use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::collect::{At, PageCall, PageRequest};
use super::format::{CallReport, Locks};
use super::holders::{Hold, Holder, Holders, Key, WAIT_MIN, Wait};
use super::lanes::Lanes;

/// What the column `waited` says: that there was no wait of 100 µs, or who held the row is not known, is known, or was
/// nobody.
const WAITED: [u8; 4] = [0, 1, 2, 3];

/// Stands for "not known" in a column.
const NONE: u32 = u32::MAX;

/// Columns of equal length by name, each with the type of its numbers.
#[derive(Default, Serialize)]
pub(super) struct Columns {
    length: usize,
    columns: Vec<(&'static str, &'static str, String)>,
}

impl Columns {
    pub(super) fn add<T, const N: usize>(
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

pub(super) fn ids(requests: &[At<PageRequest>]) -> String {
    let mut ids = String::new();
    for request in requests {
        let line = request.what.id.replace('\n', " ");
        writeln!(ids, "{line}").expect("a String takes everything");
    }
    ids
}

pub(super) fn request_columns(
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
    columns.add("at", "f64", requests.iter().map(|one| one.at as f64), f64::to_le_bytes);
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

/// Returns what is known of calls' waits of 100 µs (see [`WAITED`]), and who held the rows meanwhile.
pub(super) fn holds_of(calls: &[At<PageCall>], begins_late: bool) -> (HashMap<Key, u8>, Vec<(Key, Hold)>) {
    let mut holders = Holders::new(usize::MAX, begins_late);
    for call in calls.iter().map(|one| &one.what) {
        if let Some(locks) = &call.locks {
            holders.push((call.run, call.id), Locks::clone(locks), [call.report.row_wait, call.database]);
        }
    }
    for one in calls.iter().filter(|one| one.what.failure > 0) {
        let clients = one.what.carries.iter().filter(|run| run.1 > 0).map(|run| run.0).collect();
        holders.failed.add(one.at, one.at.saturating_add(one.what.total), clients);
    }
    let long = calls.iter().map(|one| &one.what).filter(|call| call.report.row_wait >= WAIT_MIN);
    let mut waits: HashMap<Key, u8> = long.map(|call| ((call.run, call.id), WAITED[1])).collect();
    let mut holds = Vec::new();
    while let Some(waited) = holders.next_wait(true) {
        let known = match waited.wait {
            Wait::Held(_) => WAITED[2],
            Wait::Free => WAITED[3],
            Wait::Unknown => WAITED[1],
        };
        waits.insert(waited.call, known);
        let Wait::Held(parts) = waited.wait else { continue };
        holds.extend(parts.into_iter().map(|hold| (waited.call, hold)));
    }
    (waits, holds)
}

/// Returns a row for each hold, in the order of `calls`: of which call's wait it is a part, from when until when in
/// that, which call held the row, or else the database transaction that did.
pub(super) fn hold_columns(calls: &[At<PageCall>], holds: &[(Key, Hold)]) -> Columns {
    let position_of: HashMap<Key, u32> =
        (0..).zip(calls).map(|(position, one)| ((one.what.run, one.what.id), position)).collect();
    let mut holds: Vec<(u32, &Hold)> = holds.iter().map(|(call, hold)| (position_of[call], hold)).collect();
    holds.sort_by_key(|(call, _)| *call);
    let mut columns = Columns::default();
    let call = |holder| match holder {
        Holder::Call(key) => position_of[&key],
        Holder::Other(_) => NONE,
    };
    let other = |holder| match holder {
        Holder::Call(_) => 0,
        Holder::Other(id) => id.0,
    };
    columns.add("call", "u32", holds.iter().map(|(call, _)| *call), u32::to_le_bytes);
    columns.add("holder", "u32", holds.iter().map(|(_, hold)| call(hold.holder)), u32::to_le_bytes);
    columns.add("other", "u32", holds.iter().map(|(_, hold)| other(hold.holder)), u32::to_le_bytes);
    columns.add_micros("from", holds.iter().map(|(_, hold)| Some(hold.from)));
    columns.add_micros("to", holds.iter().map(|(_, hold)| Some(hold.to)));
    columns
}

pub(super) fn call_columns(
    calls: &[At<PageCall>],
    instance_of: &[usize],
    waits: &HashMap<Key, u8>,
) -> Columns {
    let mut columns = Columns::default();
    columns.add("at", "f64", calls.iter().map(|one| one.at as f64), f64::to_le_bytes);
    columns.add("number", "f64", calls.iter().map(|one| one.what.id as f64), f64::to_le_bytes);
    columns.add_micros("connection", calls.iter().map(|one| Some(one.what.connection)));
    for (position, figure) in CallReport::FIGURES.iter().enumerate() {
        columns.add_micros(figure.heading, calls.iter().map(|one| Some(one.what.report.values()[position])));
    }
    columns.add_micros("total", calls.iter().map(|one| Some(one.what.total)));
    columns.add_micros("throttled", calls.iter().map(|one| Some(one.what.throttled)));
    columns.add_micros("size", calls.iter().map(|one| Some(one.what.size)));
    columns.add_micros("clients", calls.iter().map(|one| Some(one.what.clients as u64)));
    columns.add(
        "instance",
        "u16",
        calls.iter().map(|one| instance_of[one.what.run] as u16),
        u16::to_le_bytes,
    );
    columns.add("cut", "u8", calls.iter().map(|one| one.what.cut), u8::to_le_bytes);
    let waited = |one: &At<PageCall>| waits.get(&(one.what.run, one.what.id)).copied().unwrap_or(WAITED[0]);
    columns.add("waited", "u8", calls.iter().map(waited), u8::to_le_bytes);
    columns.add("failure", "u8", calls.iter().map(|one| one.what.failure), u8::to_le_bytes);
    columns
}

/// Returns one row for each call and lane that it is in.
pub(super) fn bar_columns(calls: &[At<PageCall>], lanes: &Lanes) -> Columns {
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
