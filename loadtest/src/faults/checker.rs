//! Judges a history: whether the bank kept what it promised.
//!
//! The database's rows say in which order a client's transactions were applied, so nothing has to be searched:
//! that order either explains everything that was told, or nothing does. Each call must have happened at one
//! moment between its start and its end. For a transaction that is its place among the rows, for a statement
//! the number of rows that it shows. Two calls of which one ended before the other started must stand in that
//! order, and it is enough to compare each with the furthest place of all that ended before it started: if
//! none is behind its predecessors, all can be put on one line, which is what linearizable means. It takes
//! the time of sorting.
//!
//! What was refused by the limit must be explained by some state between its start and its end.

use std::collections::HashMap;

use super::history::{Account, Asked, Call, History, Told};

/// The latest transactions that a statement shows.
const SHOWN: usize = 10;

/// Something that must not be, with what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What kind of a broken promise it is.
    pub kind: Kind,
    /// Whose account it is.
    pub client: i32,
    /// What was seen.
    pub what: String,
    /// The start and the end of the call that shows it, where it is one call.
    pub at: Option<(u64, u64)>,
}

/// Kinds of broken promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// It was acknowledged, and is not there.
    Lost,
    /// It is there more than once.
    Doubled,
    /// It was refused, and is there.
    AppliedThoughRefused,
    /// Nobody sent it.
    Forged,
    /// The balance is not the sum of the rows, or an answer not the balance at its place.
    WrongBalance,
    /// The balance was below the limit at some row.
    BelowLimit,
    /// It was refused by the limit, and no state explains that.
    WronglyOverLimit,
    /// A statement shows less than what was answered before it was asked for.
    Stale,
    /// A statement shows what never was, or what had not been sent yet.
    NeverWas,
    /// It was applied before what had been answered before it was sent.
    OutOfOrder,
    /// The answer is none that there should be.
    WrongAnswer,
    /// It was asked for under a key, again and again, and never answered.
    NeverKnown,
}

/// Returns everything that is wrong, client by client.
pub fn judge(history: &History) -> Vec<Violation> {
    let mut calls = HashMap::<i32, Vec<&Call>>::new();
    for call in &history.calls {
        calls.entry(call.client).or_default().push(call);
    }
    let mut violations = Vec::new();
    for (client, account) in &history.accounts {
        let mut of_client = calls.remove(client).unwrap_or_default();
        of_client.sort_by_key(|call| call.start);
        Judge::new(*client, account, &of_client, &mut violations).judge(&of_client);
    }
    violations
}

/// Judges one client's calls.
struct Judge<'a> {
    client: i32,
    account: &'a Account,
    /// The place of each row, by its description.
    places: HashMap<&'a str, usize>,
    /// The balance after so many rows.
    balances: Vec<i64>,
    /// The latest start of the calls whose transactions are among the first so many rows.
    sent_by: Vec<u64>,
    violations: &'a mut Vec<Violation>,
}

impl<'a> Judge<'a> {
    fn new(
        client: i32,
        account: &'a Account,
        calls: &[&Call],
        violations: &'a mut Vec<Violation>,
    ) -> Judge<'a> {
        let sent: HashMap<&str, &Call> = calls
            .iter()
            .filter_map(|call| match &call.asked {
                Asked::Transaction { description, .. } => Some((description.as_str(), *call)),
                Asked::Statement => None,
            })
            .collect();
        let mut judge = Judge {
            client,
            account,
            places: HashMap::new(),
            balances: vec![0],
            sent_by: vec![0],
            violations,
        };
        for (place, (cents, description)) in account.rows.iter().enumerate() {
            let sent = sent.get(description.as_str()).copied();
            if judge.places.insert(description, place).is_some() {
                judge.violation(Kind::Doubled, format!("{description} is there again in row {place}"), sent);
            }
            if sent.is_none() {
                judge.violation(Kind::Forged, format!("nobody sent {description}"), None);
            }
            let balance = judge.balances[place] + cents;
            if balance < -account.limit {
                judge.violation(Kind::BelowLimit, format!("{balance} after {description}"), sent);
            }
            judge.balances.push(balance);
            judge.sent_by.push(judge.sent_by[place].max(sent.map_or(0, |call| call.start)));
        }
        let sum = judge.balances[account.rows.len()];
        if sum != account.balance {
            let what = format!("{} is stored, the rows make {sum}", account.balance);
            judge.violation(Kind::WrongBalance, what, None);
        }
        judge
    }

    fn violation(&mut self, kind: Kind, what: String, at: Option<&Call>) {
        let at = at.map(|call| (call.start, call.end));
        self.violations.push(Violation { kind, client: self.client, what, at });
    }

    /// Judges the calls, which are in the order of their starts.
    fn judge(mut self, calls: &[&Call]) {
        let places: Vec<Option<usize>> = calls.iter().map(|call| self.place(call)).collect();
        // All that ended before a call started, and the furthest of their places.
        let mut by_end: Vec<usize> = (0..calls.len()).collect();
        by_end.sort_by_key(|index| calls[*index].end);
        let mut ended = by_end.into_iter().peekable();
        let mut furthest = 0;
        for (call, place) in calls.iter().zip(&places) {
            while let Some(before) = ended.next_if(|before| calls[*before].end < call.start) {
                // Whether what has no answer has ended is not known.
                if !matches!(calls[before].told, Told::Unknown | Told::Unanswered) {
                    furthest = furthest.max(places[before].unwrap_or(0));
                }
            }
            self.compare(call, *place, furthest);
        }
    }

    /// Returns how many rows there are once a call has happened, and judges what it was told by itself.
    fn place(&mut self, call: &Call) -> Option<usize> {
        if let Told::Wrong(status) = call.told {
            self.violation(Kind::WrongAnswer, format!("{status} to {:?}", call.asked), Some(call));
        }
        match (&call.asked, &call.told) {
            (Asked::Transaction { cents, description, keyed }, told) => {
                if *keyed && told.may_be_asked_again() {
                    self.violation(Kind::NeverKnown, format!("{description}: {told:?}"), Some(call));
                }
                let place = self.places.get(description.as_str()).map(|place| place + 1);
                match (told, place) {
                    (Told::Applied(_), None) => {
                        self.violation(Kind::Lost, format!("{description} was acknowledged"), Some(call));
                    }
                    (Told::Applied(balance), Some(place)) if self.balances[place] != *balance => {
                        let right = self.balances[place];
                        let what = format!("{description} was told {balance}, and it was {right}");
                        self.violation(Kind::WrongBalance, what, Some(call));
                    }
                    (Told::OverLimit | Told::Refused, Some(_)) => {
                        self.violation(Kind::AppliedThoughRefused, description.clone(), Some(call));
                    }
                    _ => {}
                }
                if place.is_some_and(|place| self.account.rows[place - 1].0 != *cents) {
                    self.violation(Kind::Forged, format!("{description} has another amount"), Some(call));
                }
                place
            }
            (Asked::Statement, Told::Statement(total, latest)) => {
                let shown = latest
                    .first()
                    .map_or(Some(0), |newest| self.places.get(newest.as_str()).map(|place| place + 1));
                let rows = |shown: usize| self.account.rows[..shown].iter().rev().take(SHOWN);
                let is_a_state = |shown: &usize| {
                    self.balances[*shown] == *total
                        && rows(*shown).map(|(_, description)| description).eq(latest)
                };
                let state = shown.filter(is_a_state);
                if state.is_none() {
                    self.violation(
                        Kind::NeverWas,
                        format!("a statement of {total} with {latest:?}"),
                        Some(call),
                    );
                }
                state
            }
            (Asked::Statement, _) => None,
        }
    }

    /// Judges a call against those that ended before it started, and those that started after it ended.
    fn compare(&mut self, call: &Call, place: Option<usize>, furthest: usize) {
        match (&call.asked, &call.told, place) {
            (Asked::Transaction { description, .. }, _, Some(place)) if place <= furthest => {
                let what = format!("{description} is row {place}, and {furthest} had been answered");
                self.violation(Kind::OutOfOrder, what, Some(call));
            }
            (Asked::Statement, _, Some(place)) if place < furthest => {
                let what = format!("{place} rows, and {furthest} had been answered");
                self.violation(Kind::Stale, what, Some(call));
            }
            (Asked::Statement, _, Some(place)) if self.sent_by[place] >= call.end => {
                let what = format!("{place} rows, of which one had not been sent");
                self.violation(Kind::NeverWas, what, Some(call));
            }
            (Asked::Transaction { cents, description, .. }, Told::OverLimit, None) => {
                let last = self.sent_by.partition_point(|sent| *sent < call.end);
                let explained = self.balances[furthest.min(last)..last]
                    .iter()
                    .any(|balance| balance + cents < -self.account.limit);
                if !explained {
                    self.violation(Kind::WronglyOverLimit, description.clone(), Some(call));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "checker_tests.rs"]
mod tests;
