//! What the contest pays.

use serde::{Deserialize, Serialize};

use crate::report::text::grouped;

/// The prize before any fine, in cents of a dollar.
const PRIZE_CENTS: i64 = 100_000 * 100;

/// The percentage of right and fast responses from which nothing is fined.
const SLA_PERCENT: i128 = 98;

/// The fine for each percent below it, in cents.
const SLA_FINE_CENTS_PER_PERCENT: i128 = 1_000 * 100;

/// The fine for each response with an inconsistent balance, in cents.
const INCONSISTENCY_FINE_CENTS: i64 = 803 * 100 + 1;

/// Responses by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Right, and within 250 ms.
    pub right: u64,
    /// Right, but later.
    pub slow: u64,
    /// Not what the rules ask for.
    pub wrong: u64,
    /// With a balance below -limit, or against what had been answered before.
    pub inconsistent: u64,
}

impl Tally {
    /// Returns all responses.
    pub fn total(&self) -> u64 {
        self.right + self.slow + self.wrong + self.inconsistent
    }
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Tally>>(tallies: I) -> Tally {
        tallies.fold(Tally::default(), |a, b| Tally {
            right: a.right + b.right,
            slow: a.slow + b.slow,
            wrong: a.wrong + b.wrong,
            inconsistent: a.inconsistent + b.inconsistent,
        })
    }
}

/// The official score. Amounts are in cents of a dollar.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Percent of responses that were right and within 250 ms.
    pub right_and_fast_percent: f64,
    /// For being under 98 percent.
    pub sla_fine_cents: i64,
    /// For inconsistent balances.
    pub inconsistency_fine_cents: i64,
    /// What is paid. The rules name no floor: a service may owe.
    pub prize_cents: i64,
}

impl Score {
    /// Returns the score of a run. No response at all is 0 percent.
    pub fn of(tally: &Tally) -> Score {
        let total = tally.total();
        let percent = if total == 0 { 0.0 } else { 100.0 * tally.right as f64 / total as f64 };
        let sla_fine_cents = sla_fine_cents(tally.right, total);
        let inconsistent = i64::try_from(tally.inconsistent).unwrap_or(i64::MAX);
        let inconsistency_fine_cents = inconsistent.saturating_mul(INCONSISTENCY_FINE_CENTS);
        let fines = sla_fine_cents.saturating_add(inconsistency_fine_cents);
        Score {
            right_and_fast_percent: percent,
            sla_fine_cents,
            inconsistency_fine_cents,
            prize_cents: PRIZE_CENTS.saturating_sub(fines),
        }
    }
}

/// Computes in whole numbers, for `98 - percent` is not exact, and rounds up, so that no fine looks like none.
fn sla_fine_cents(right: u64, total: u64) -> i64 {
    if total == 0 {
        return (SLA_PERCENT * SLA_FINE_CENTS_PER_PERCENT) as i64;
    }
    let (right, total) = (i128::from(right), i128::from(total));
    let missing = (SLA_PERCENT * total - 100 * right).max(0);
    // At most 98 percent are missing, so the quotient fits.
    ((missing * SLA_FINE_CENTS_PER_PERCENT + total - 1) / total) as i64
}

/// Returns an amount as the contest writes it: `USD 100,000.00`.
pub fn usd(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    format!("USD {sign}{}.{:02}", grouped(cents / 100), cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(right: u64, slow: u64, wrong: u64, inconsistent: u64) -> Score {
        Score::of(&Tally { right, slow, wrong, inconsistent })
    }

    #[test]
    fn a_flawless_run_gets_it_all() {
        assert_eq!(usd(score(61_503, 0, 0, 0).prize_cents), "USD 100,000.00");
    }

    #[test]
    fn nothing_is_fined_down_to_98_percent() {
        assert_eq!(score(98, 2, 0, 0).prize_cents, PRIZE_CENTS);
        assert_eq!(score(98, 0, 2, 0).prize_cents, PRIZE_CENTS);
        assert_eq!(score(97_999, 2_001, 0, 0).sla_fine_cents, 100);
    }

    #[test]
    fn each_percent_below_costs_a_thousand() {
        assert_eq!(usd(score(95, 5, 0, 0).prize_cents), "USD 97,000.00");
        assert_eq!(usd(score(0, 10, 0, 0).prize_cents), "USD 2,000.00");
        assert_eq!(usd(score(0, 0, 0, 0).prize_cents), "USD 2,000.00");
    }

    #[test]
    fn each_inconsistency_costs_803_01() {
        let ten = score(61_493, 0, 0, 10);
        assert_eq!(usd(ten.inconsistency_fine_cents), "USD 8,030.10");
        assert_eq!(usd(ten.prize_cents), "USD 91,969.90");
    }

    #[test]
    fn an_inconsistency_is_not_right_either() {
        // 96 percent are right: both fines apply.
        assert_eq!(usd(score(96, 0, 0, 4).prize_cents), "USD 94,787.96");
    }

    #[test]
    fn fines_have_no_floor() {
        assert_eq!(usd(score(0, 0, 0, 200).prize_cents), "USD -158,602.00");
    }
}
