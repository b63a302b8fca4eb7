//! What rounds can tell: whether a value that differs from round to round is on one side of a bound.
//!
//! The rounds of all cases are run in turn, so that a formula over several cases has a value in each round, in
//! which the machine was the same for all of them. A bound is passed where all of the 95 % interval of the
//! values' mean (Student's t) is beyond it.

use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::statistics::Statistics;

/// Where the interval's upper end is among all values that the mean may have.
const UPPER: f64 = 0.975;

/// More rounds than these nobody will play.
const MOST: usize = 30;

/// What rounds tell of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Whether it holds.
    Clearly(bool),
    /// Whether it held in the only round.
    Once(bool),
    /// Neither: about so many more rounds might tell, or none that anybody would play.
    Not(Option<usize>),
}

/// Judges the values of the rounds by `holds`, which changes at `bound`; `median` stands for them where they are
/// all the same.
pub(super) fn judge(values: &[f64], median: f64, bound: f64, holds: &dyn Fn(f64) -> bool) -> Told {
    let rounds = values.len();
    if rounds < 2 {
        return Told::Once(holds(median));
    }
    let (mean, deviation) = (values.mean(), values.std_dev());
    let half = |rounds: usize| quantile((rounds - 1) as f64) * deviation / (rounds as f64).sqrt();
    // Equal numbers have a mean that is next to them.
    if deviation <= 1e-9 * mean.abs() {
        return Told::Clearly(holds(median));
    }
    let (least, most) = (holds(mean - half(rounds)), holds(mean + half(rounds)));
    if least == most {
        return Told::Clearly(least);
    }
    let enough = (rounds + 1..=MOST).find(|rounds| half(*rounds) < (mean - bound).abs());
    Told::Not(enough.map(|enough| enough - rounds))
}

/// Returns how many standard errors the interval's end is from the mean.
fn quantile(freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(UPPER))
}

/// How many times as large the values of one sample are as those of another, whose rounds were not run in turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::measure) struct Ratio {
    /// The ratio of their geometric means.
    pub(in crate::measure) ratio: f64,
    /// The ends of its interval, where there is one.
    pub(in crate::measure) least: f64,
    pub(in crate::measure) most: f64,
    told: Told,
}

/// Compares `b` with `a`; nothing where there are no values, or some that are no quantities.
pub(in crate::measure) fn ratio(a: &[f64], b: &[f64]) -> Option<Ratio> {
    if a.is_empty() || b.is_empty() || a.iter().chain(b).any(|value| *value <= 0.0) {
        return None;
    }
    let [a, b] = [a, b].map(|values| values.iter().map(|value| value.ln()).collect::<Vec<f64>>());
    let difference = b.as_slice().mean() - a.as_slice().mean();
    let ratio = difference.exp();
    if a.len() < 2 || b.len() < 2 {
        return Some(Ratio { ratio, least: ratio, most: ratio, told: Told::Once(difference > 0.0) });
    }
    // With so many rounds more of each.
    let half = |more: usize| {
        let parts = [&a, &b].map(|values| {
            let rounds = (values.len() + more) as f64;
            (values.as_slice().variance() / rounds, rounds - 1.0)
        });
        let squared: f64 = parts.iter().map(|(part, _)| part).sum();
        let freedom = squared.powi(2) / parts.iter().map(|(part, free)| part.powi(2) / free).sum::<f64>();
        // Rounds that all agree have no interval.
        if squared > 0.0 { quantile(freedom) * squared.sqrt() } else { 0.0 }
    };
    let (least, most) = ((difference - half(0)).exp(), (difference + half(0)).exp());
    let told = if difference.abs() > half(0) {
        Told::Clearly(difference > 0.0)
    } else {
        let played = a.len().max(b.len());
        Told::Not((1..MOST.saturating_sub(played)).find(|more| half(*more) < difference.abs()))
    };
    Some(Ratio { ratio, least, most, told })
}

impl Ratio {
    /// Returns whether the second is higher or lower, or what might tell.
    pub(in crate::measure) fn says(&self) -> String {
        let word = match self.told.held() {
            Some(_) if self.ratio == 1.0 => "equal",
            Some(true) => "higher",
            Some(false) => "lower",
            None => "cannot be told",
        };
        let doubt = self.told.doubt();
        let is_all = doubt.is_empty() || self.told == Told::Not(None);
        if is_all { word.to_owned() } else { format!("{word} ({doubt})") }
    }
}

impl Told {
    /// Returns whether it holds, if that is told.
    pub(super) fn held(self) -> Option<bool> {
        match self {
            Told::Clearly(held) | Told::Once(held) => Some(held),
            Told::Not(_) => None,
        }
    }

    /// Returns why it is not told, or what it rests on; nothing where it is clear.
    pub(super) fn doubt(self) -> String {
        match self {
            Told::Clearly(_) => String::new(),
            Told::Once(_) => "one round".to_owned(),
            Told::Not(Some(1)) => "1 more round might tell".to_owned(),
            Told::Not(Some(more)) => format!("{more} more rounds might tell"),
            Told::Not(None) => "the rounds differ by more".to_owned(),
        }
    }

    /// Returns what two conditions come to that are both to hold.
    pub(super) fn and(self, other: Told) -> Told {
        match (self, other) {
            (Told::Clearly(true), other) | (other, Told::Clearly(true)) => other,
            (no @ (Told::Clearly(false) | Told::Once(false)), _)
            | (_, no @ (Told::Clearly(false) | Told::Once(false))) => no,
            (Told::Not(one), Told::Not(other)) => {
                Told::Not(one.zip(other).map(|(one, other)| one.max(other)))
            }
            (Told::Not(rounds), _) | (_, Told::Not(rounds)) => Told::Not(rounds),
            (once @ Told::Once(true), Told::Once(true)) => once,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_least_one(values: &[f64]) -> Told {
        judge(values, values[0], 1.0, &|value| value >= 1.0)
    }

    #[test]
    fn the_same_thing_twice_is_no_winner() {
        assert_eq!(at_least_one(&[1.01, 0.99, 1.001]), Told::Not(None));
        assert_eq!(at_least_one(&[1.03, 0.98, 1.04]), Told::Not(Some(14)));
    }

    #[test]
    fn what_is_clear_is_told() {
        assert_eq!(at_least_one(&[2.0, 2.1, 1.9]), Told::Clearly(true));
        assert_eq!(at_least_one(&[0.5, 0.6, 0.4]), Told::Clearly(false));
    }

    #[test]
    fn rounds_that_agree_are_judged_as_they_are() {
        assert_eq!(at_least_one(&[1.0, 1.0, 1.0]), Told::Clearly(true));
        assert_eq!(at_least_one(&[0.999, 0.999]), Told::Clearly(false));
    }

    #[test]
    fn one_round_is_said_to_be_one() {
        assert_eq!(at_least_one(&[1.5]), Told::Once(true));
    }

    #[test]
    fn two_samples_are_compared_by_their_spreads() {
        let same = ratio(&[100.0, 101.0, 99.0], &[101.0, 102.0, 100.0]).expect("quantities");
        assert!(same.least < 1.0 && same.most > 1.0, "{same:?}");
        assert_eq!(same.says(), "cannot be told (6 more rounds might tell)");
        let faster = ratio(&[100.0, 101.0, 99.0], &[151.0, 150.0, 152.0]).expect("quantities");
        assert!(
            (faster.ratio - 1.51).abs() < 0.01 && faster.least > 1.4 && faster.says() == "higher",
            "{faster:?}"
        );
        assert_eq!(ratio(&[2.0], &[1.0, 1.0]).expect("quantities").says(), "lower (one round)");
        assert_eq!(ratio(&[2.0, 2.0], &[2.0, 2.0]).expect("quantities").says(), "cannot be told");
        assert_eq!(ratio(&[2.0], &[2.0]).expect("quantities").says(), "equal (one round)");
        assert_eq!(ratio(&[0.0], &[1.0]), None);
    }

    #[test]
    fn the_interval_is_students() {
        for (freedom, expected) in [(2.0, 4.303), (10.0, 2.228)] {
            assert!((quantile(freedom) - expected).abs() < 1e-3, "{}", quantile(freedom));
        }
    }

    #[test]
    fn of_several_conditions_all_are_to_hold() {
        let (yes, no, untold) = (Told::Clearly(true), Told::Clearly(false), Told::Not(Some(2)));
        assert_eq!((yes.and(untold), untold.and(no), yes.and(yes)), (untold, no, yes));
        assert_eq!(untold.and(Told::Not(None)), Told::Not(None));
        assert_eq!(
            (Told::Once(true).and(yes), Told::Once(true).and(Told::Once(false))),
            (Told::Once(true), Told::Once(false))
        );
    }
}
