//! The trace-event format that Perfetto and `chrome://tracing` open.
//!
//! An instance is a process, a client a thread in it. Each call is a slice in the thread of every
//! client that it carried, with its parts as slices inside; calls of one client that overlap are in further threads.
//! Each request is an asynchronous slice from its arrival to its answer. A flow leads from who held a row to whom it
//! went. Written as it is read, so that any number of them fits.

use std::collections::HashSet;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;

use super::chrome_rows::{Placed, Rows};
use super::format::{ActorChange, CallRecord, Line, RequestRecord};
use super::holders::{Holder, Wait, Waited};
use super::output::EXPORT_MARK;
use super::reader::Run;

/// Named lanes; a trace of more clients than this has some without a name.
const NAMES_MAX: usize = 100_000;

/// Writes events as lines come.
pub(super) struct ChromeWriter<W> {
    output: W,
    first: bool,
    named: HashSet<(usize, Option<i32>)>,
    rows: Rows,
    /// Counts what overlaps, and flows.
    asynchronous: u64,
    bytes: u64,
    /// About how many there may be.
    bytes_max: u64,
    /// When the first line began that is left out.
    until: Option<u64>,
    /// The only client wanted, if one is.
    only: Option<i32>,
}

/// One event. Times in microseconds.
#[derive(Clone, Default, Serialize)]
struct Event<'a> {
    name: &'a str,
    cat: &'a str,
    ph: &'a str,
    pid: usize,
    tid: i64,
    ts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'a str>,
    /// That a flow leads to the slice around its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    bp: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<serde_json::Value>,
}

impl<W: Write> ChromeWriter<W> {
    /// Starts the file, which stops where it has some `bytes_max` bytes: whoever opens it holds all of it in memory.
    /// With `only`, calls are shown in that client's lane alone.
    pub(super) fn new(mut output: W, only: Option<i32>, bytes_max: u64) -> io::Result<Self> {
        writeln!(output, "{{\"displayTimeUnit\":\"ms\",{EXPORT_MARK},\"traceEvents\":[")?;
        let (named, rows) = (HashSet::new(), Rows::default());
        Ok(Self { output, first: true, named, rows, asynchronous: 0, bytes: 0, bytes_max, until: None, only })
    }

    pub(super) fn add(&mut self, run: &Run, position: usize, line: &Line<'_>) -> io::Result<()> {
        // Perfetto takes process 0 for the system's idle one.
        let pid = position + 1;
        if self.bytes >= self.bytes_max {
            let at = match line {
                Line::Request(RequestRecord { at, .. }) | Line::Call(CallRecord { at, .. }) => *at,
                _ => u64::MAX,
            };
            self.until = Some(self.until.unwrap_or(u64::MAX).min(at));
            return Ok(());
        }
        match line {
            Line::Request(request) => self.add_request(run, pid, request),
            Line::Call(call) => self.add_call(run, pid, call),
            Line::Actor(change) => self.add_change(run, pid, change),
            Line::Trace(_) | Line::Dropped(_) | Line::End(_) => Ok(()),
        }
    }

    /// Draws who held the rows that a call waited for, where both are there.
    pub(super) fn add_wait(&mut self, waited: &Waited) -> io::Result<()> {
        let Wait::Held(holds) = &waited.wait else { return Ok(()) };
        for hold in holds {
            let Holder::Call(key) = hold.holder else { continue };
            let Some((holder, waiter)) = self.rows.both(key, waited.call) else { continue };
            if self.bytes >= self.bytes_max {
                break;
            }
            self.asynchronous += 1;
            let moment = waiter.waits.saturating_add(hold.to);
            // Whoever opens it looks for the slice around each end, whose own end is not in it. The wait is drawn from when
            // its call had a connection, and may have begun later: no flow leads back for that.
            let inside =
                |at: u64, place: Placed| at.clamp(place.from, place.to.saturating_sub(1).max(place.from));
            let left = inside(moment, holder);
            let event = |ph, place: Placed, at, bp| Event {
                name: "lets go of the row",
                cat: "row",
                ph,
                pid: place.pid,
                tid: place.tid,
                ts: inside(at, place),
                id: Some(self.asynchronous),
                bp,
                ..Event::default()
            };
            let [from, to] =
                [event("s", holder, left, None), event("f", waiter, moment.max(left), Some("e"))];
            self.write(&from)?;
            self.write(&to)?;
        }
        Ok(())
    }

    /// Ends the file; returns when the first began that is not in it, if any is not.
    pub(super) fn finish(mut self) -> io::Result<Option<u64>> {
        self.output.write_all(b"\n]}\n")?;
        self.output.flush()?;
        Ok(self.until.filter(|at| *at < u64::MAX))
    }

    fn add_request(&mut self, run: &Run, pid: usize, request: &RequestRecord<'_>) -> io::Result<()> {
        self.name(run, pid, request.client)?;
        let name = match request.client {
            Some(client) => format!("client {client} {}", request.kind),
            None => request.kind.to_string(),
        };
        let args = serde_json::to_value(request).ok();
        let (tid, took) = (thread(request.client), request.took.unwrap_or(0));
        let event = Event { name: &name, cat: "request", pid, tid, ts: request.at, args, ..Event::default() };
        self.write_asynchronous(event, took)
    }

    fn add_call(&mut self, run: &Run, pid: usize, call: &CallRecord<'_>) -> io::Result<()> {
        let mut args = serde_json::to_value(call).unwrap_or_default();
        if let Some(args) = args.as_object_mut() {
            // Repeated in each of its lanes, it would grow with the square of their number.
            args.remove("carries");
        }
        for (client, transactions, statements) in call.runs(self.only) {
            self.name(run, pid, Some(client))?;
            let name = format!("call {}: {transactions} + {statements}", call.id);
            let (tid, is_new) = self.rows.place(pid, thread(Some(client)), client, call);
            if is_new {
                let args = Some(json!({ "name": format!("client {client}, at once") }));
                self.write(&Event { name: "thread_name", ph: "M", pid, tid, args, ..Event::default() })?;
            }
            let (dur, args) = (Some(call.total), Some(args.clone()));
            let (cat, ph, ts) = ("call", "X", call.at);
            self.write(&Event { name: &name, cat, ph, pid, tid, ts, dur, args, ..Event::default() })?;
            self.write_parts(pid, tid, call)?;
        }
        Ok(())
    }

    fn write_parts(&mut self, pid: usize, tid: i64, call: &CallRecord<'_>) -> io::Result<()> {
        let (mut ts, mut left) = (call.at, call.total);
        let reported = call.report.parts().map(|(figure, micros)| (figure.name.replace('_', " "), micros));
        let known = [("connection".to_owned(), call.connection)].into_iter().chain(reported);
        for (name, took) in known.chain([("commit and way".to_owned(), u64::MAX)]) {
            let took = took.min(left);
            if took > 0 {
                let dur = Some(took);
                self.write(&Event {
                    name: &name,
                    cat: "call",
                    ph: "X",
                    pid,
                    tid,
                    ts,
                    dur,
                    ..Event::default()
                })?;
            }
            ts = ts.saturating_add(took);
            left -= took;
        }
        Ok(())
    }

    /// Writes the beginning and the end of something that may overlap with others of its thread.
    fn write_asynchronous(&mut self, event: Event<'_>, took: u64) -> io::Result<()> {
        self.asynchronous += 1;
        let begin = Event { ph: "b", id: Some(self.asynchronous), ..event };
        let ts = begin.ts.saturating_add(took);
        self.write(&begin)?;
        self.write(&Event { ph: "e", ts, args: None, ..begin })
    }

    fn add_change(&mut self, run: &Run, pid: usize, change: &ActorChange<'_>) -> io::Result<()> {
        self.name(run, pid, Some(change.client))?;
        let (tid, ts) = (thread(Some(change.client)), change.at);
        let s = Some("t");
        self.write(&Event { name: &change.state, cat: "actor", ph: "i", pid, tid, ts, s, ..Event::default() })
    }

    /// Names the process and the thread, the first time that they are met.
    fn name(&mut self, run: &Run, pid: usize, client: Option<i32>) -> io::Result<()> {
        for lane in [None, client] {
            if self.named.len() >= NAMES_MAX || !self.named.insert((pid, lane)) {
                continue;
            }
            let (what, name) = match lane {
                None => ("process_name", format!("{} ({})", run.instance, run.mode)),
                Some(client) => ("thread_name", format!("client {client}")),
            };
            let (tid, args) = (thread(lane), Some(json!({ "name": name })));
            self.write(&Event { name: what, ph: "M", pid, tid, args, ..Event::default() })?;
        }
        Ok(())
    }

    fn write(&mut self, event: &Event<'_>) -> io::Result<()> {
        if !std::mem::replace(&mut self.first, false) {
            self.output.write_all(b",\n")?;
        }
        let event = serde_json::to_vec(event).map_err(io::Error::from)?;
        self.bytes += event.len() as u64;
        self.output.write_all(&event)
    }
}

/// Returns the number of the client's own thread; 0 is for what has no client.
fn thread(client: Option<i32>) -> i64 {
    client.map_or(0, |client| i64::from(client) + 1)
}
