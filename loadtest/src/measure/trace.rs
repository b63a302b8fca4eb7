//! What a run keeps of its trace, and what is read of `guiche traces`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::report::text::significant;

/// Slow answers of a run that the report names: of one call only one.
const NAMED: usize = 3;

/// A part of an answer's time is named if it is more than this share of it.
const SHARE: f64 = 0.05;

/// What a run kept of its trace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Traced {
    /// Where, from the report's directory; empty where there was no room left.
    pub directory: String,
    /// The slowest answers of the measured interval.
    pub slowest: Vec<SlowAnswer>,
}

/// An answer that was slow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SlowAnswer {
    /// The request's id; empty where the page has no room for it.
    pub id: String,
    /// How long it took, in milliseconds.
    pub ms: f64,
    /// Whose it was, and where its time went.
    pub says: String,
}

/// What is read of `guiche traces --json`.
#[derive(Deserialize)]
pub(super) struct Said {
    /// The slowest first.
    slowest: Vec<Answer>,
}

/// A slow request; times in microseconds.
#[derive(Deserialize)]
struct Answer {
    id: String,
    instance: String,
    client: Option<i32>,
    took: u64,
    flush: Option<u64>,
    queued: Option<u64>,
    connection: Option<u64>,
    lock_wait: Option<u64>,
    work: Option<u64>,
    rest: Option<u64>,
    #[serde(default)]
    row: Value,
}

impl Said {
    /// Returns the slowest, of each call one.
    pub(super) fn slowest(self, page: &str) -> Vec<SlowAnswer> {
        let mut slowest: Vec<Answer> = Vec::new();
        for answer in self.slowest {
            let same = |one: &Answer| {
                one.flush.is_some() && (&one.instance, one.flush) == (&answer.instance, answer.flush)
            };
            if slowest.len() < NAMED && !slowest.iter().any(same) {
                slowest.push(answer);
            }
        }
        let told = |answer: Answer| {
            let (ms, says) = (answer.took as f64 / 1e3, answer.says());
            SlowAnswer { id: if page.contains(&answer.id) { answer.id } else { String::new() }, ms, says }
        };
        slowest.into_iter().map(told).collect()
    }
}

impl Answer {
    fn says(&self) -> String {
        let behind = self.holders();
        let parts = [
            ("mailbox", self.queued, ""),
            ("connection", self.connection, ""),
            ("row", self.lock_wait, &behind),
            ("work", self.work, ""),
            ("commit and way back", self.rest, ""),
        ];
        let named = parts.iter().filter_map(|(name, micros, more)| {
            let micros = (*micros)? as f64;
            (micros > SHARE * self.took as f64)
                .then(|| format!("{name} {} ms{more}", significant(micros / 1e3)))
        });
        let whose = self.client.map_or("no client".to_owned(), |client| format!("client {client}"));
        let named: Vec<String> = named.collect();
        format!("{whose} on {}: {}", self.instance, named.join(", "))
    }

    /// Names the last one who held the row.
    fn holders(&self) -> String {
        let holders = self.row["held_by"].as_array().map_or(&[][..], Vec::as_slice);
        let Some(last) = holders.last() else { return String::new() };
        let who = match (&last["flush"], last["instance"].as_str()) {
            (Value::Number(call), Some(instance)) => format!("call {call} of {instance}"),
            _ => "somebody else".to_owned(),
        };
        match holders.len() {
            1 => format!(" behind {who}"),
            several => format!(" behind {several} calls, the last of them {who}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_are_named_once_for_each_call_and_say_where_their_time_went() {
        let answer = |id: &str, call: u64, row: &str| {
            format!(
                r#"{{"id": "{id}", "instance": "api1", "client": 3, "took": 20000, "flush": {call}, "queued": 9000,
                    "connection": 20, "lock_wait": 10000, "work": 300, "rest": null, "row": {row}}}"#
            )
        };
        let held = r#"{"held_by": [{"transaction": 9, "from": 0, "to": 1}, {"instance": "api2", "flush": 7, "from": 1, "to": 2}]}"#;
        let answers = [answer("a", 1, held), answer("b", 1, held), answer("c", 2, r#""free""#)].join(",");
        let said: Said =
            serde_json::from_str(&format!(r#"{{"slowest": [{answers}]}}"#)).expect("it is right");
        let slowest = said.slowest("the page has a alone");
        assert_eq!(slowest.len(), 2, "{slowest:?}");
        let says =
            "client 3 on api1: mailbox 9 ms, row 10 ms behind 2 calls, the last of them call 7 of api2";
        assert_eq!((slowest[0].id.as_str(), slowest[0].ms, slowest[0].says.as_str()), ("a", 20.0, says));
        assert_eq!(slowest[1].says, "client 3 on api1: mailbox 9 ms, row 10 ms");
    }
}
