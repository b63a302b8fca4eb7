//! How many requests of what kind, and for how long.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

/// What a request of the simulation does; the names are those of the k6 script.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Operation {
    /// The opening of 25 and 25, and the rules checked client by client.
    Validations,
    /// Debits of the open load.
    Debits,
    /// Credits of the open load.
    Credits,
    /// Statements of the open load.
    Statements,
}

impl Operation {
    /// All of them, in the order in which they are shown.
    pub const ALL: &'static [Operation] = Operation::VARIANTS;

    /// Returns its name, as the script and the reports have it.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns the requests per second at the end of the ramp and all through the plateau.
    fn peak(self) -> u64 {
        match self {
            Operation::Validations => 0,
            Operation::Debits => 220,
            Operation::Credits => 110,
            Operation::Statements => 10,
        }
    }
}

/// The requests before the open load: 25 debits, a statement, 25 credits, a statement, 14
/// requests for each of five clients, and client 6.
const VALIDATIONS: u64 = 25 + 1 + 25 + 1 + 5 * 14 + 1;

/// The open load: every rate rises from 1/s to its peak and stays there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Seconds that the rates rise.
    pub ramp_s: u64,
    /// Seconds that they stay.
    pub plateau_s: u64,
}

impl Plan {
    /// The official run: 61,503 requests.
    pub const FULL: Plan = Plan { ramp_s: 120, plateau_s: 120 };

    /// The same rates, each phase cut to 10 s.
    pub const QUICK: Plan = Plan { ramp_s: 10, plateau_s: 10 };

    /// Returns the number of requests of one kind: for the open load the area under its rate.
    pub fn expected(&self, operation: Operation) -> u64 {
        match operation {
            Operation::Validations => VALIDATIONS,
            _ => (1 + operation.peak()) * self.ramp_s / 2 + operation.peak() * self.plateau_s,
        }
    }

    /// Returns the number of all requests.
    pub fn expected_total(&self) -> u64 {
        Operation::ALL.iter().map(|operation| self.expected(*operation)).sum()
    }

    /// Returns the requests per second of the open load at its peak.
    pub fn peak_per_second(&self) -> u64 {
        Operation::ALL.iter().map(|operation| operation.peak()).sum()
    }

    /// Returns how long the open load lasts.
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.ramp_s + self.plateau_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_run_is_the_official_one() {
        let expected = Operation::ALL.iter().map(|operation| Plan::FULL.expected(*operation));
        assert_eq!(expected.collect::<Vec<_>>(), [123, 39_660, 19_860, 1_860]);
        assert_eq!(Plan::FULL.expected_total(), 61_503);
    }

    #[test]
    fn the_quick_run_keeps_the_rates() {
        assert_eq!(Plan::QUICK.expected_total(), 5_238);
    }

    #[test]
    fn names_lead_back() {
        for operation in Operation::ALL {
            assert_eq!(operation.name().parse(), Ok(*operation));
        }
        assert!("loans".parse::<Operation>().is_err());
    }
}
