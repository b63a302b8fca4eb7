//! What the k6 script leaves behind at its end, as `lib/summary.js` writes it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::plan::Operation;
use super::score::Tally;
use crate::files::read_json;
use crate::latency::Latency;

/// The outcome of one run of the script.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// By kind of request.
    pub operations: BTreeMap<Operation, Outcome>,
    /// Of all responses together.
    pub response_time_ms: Latency,
    /// Transactions answered 200: each must be a row.
    pub acknowledged: u64,
    /// Transactions whose answer was lost or a 5xx: each may be a row.
    pub outcome_unknown: u64,
    /// Iterations that k6 could not start in time. More than none, and the load was not played.
    pub dropped_iterations: u64,
    /// What was wrong, and how often.
    pub failures: Vec<Failure>,
}

impl Summary {
    /// Reads it from the file that the script wrote.
    ///
    /// # Errors
    /// When there is no such file (the script did not reach its end), or when it is another's.
    pub fn read(path: &Path) -> Result<Summary> {
        read_json(path, "the script’s summary")
    }

    /// Returns all responses, by verdict.
    pub fn tally(&self) -> Tally {
        self.operations.values().map(|outcome| outcome.tally).sum()
    }

    /// Returns the responses of one kind.
    pub fn responses(&self, operation: Operation) -> u64 {
        self.operations.get(&operation).map_or(0, |outcome| outcome.tally.total())
    }
}

/// The responses to one kind of request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// By verdict.
    #[serde(flatten)]
    pub tally: Tally,
    /// How long they took, connecting included.
    pub response_time_ms: Latency,
}

/// A fault in responses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The operation and what was wrong.
    pub what: String,
    /// In how many responses.
    pub count: u64,
}
