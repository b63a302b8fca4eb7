//! Calls that failed: what they had locked they let go of without a report, so their ids are not known.

use std::collections::VecDeque;

/// Failed calls that are remembered.
const FAILED_MAX: usize = 10_000;

/// Failed calls, each with when it began, when it was over, and whose rows it may have locked.
#[derive(Debug, Default)]
pub(super) struct Failed(VecDeque<(u64, u64, Vec<i32>)>);

impl Failed {
    /// Adds one that was out from `began` to `over`.
    pub(super) fn add(&mut self, began: u64, over: u64, clients: Vec<i32>) {
        if self.0.len() == FAILED_MAX {
            self.0.pop_front();
        }
        self.0.push_back((began, over, clients));
    }

    /// Returns whether one may have held the client's row at some time between these. Instances' clocks are taken to be
    /// that of the database here.
    pub(super) fn may_have_held(&self, client: i32, from: u64, to: u64) -> bool {
        let meanwhile = |(began, over, _): &&(u64, u64, Vec<i32>)| *began <= to && from <= *over;
        self.0.iter().filter(meanwhile).any(|(.., clients)| clients.contains(&client))
    }
}
