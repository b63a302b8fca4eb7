//! Numbers as text, with their units.

use std::fmt::{self, Display};

/// A count with thousands set apart.
pub(super) use indicatif::HumanCount as Count;

/// Microseconds with three digits and the unit that fits.
pub(super) struct Micros(pub(super) u64);

impl Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0 as f64;
        match self.0 {
            0..1_000 => write!(f, "{} µs", self.0),
            1_000..10_000 => write!(f, "{:.2} ms", micros / 1e3),
            10_000..100_000 => write!(f, "{:.1} ms", micros / 1e3),
            100_000..1_000_000 => write!(f, "{:.0} ms", micros / 1e3),
            1_000_000..100_000_000 => write!(f, "{:.2} s", micros / 1e6),
            _ => write!(f, "{:.0} s", micros / 1e6),
        }
    }
}
