//! What the database reports of each call: declared once.

use serde::{Deserialize, Serialize};

/// A figure of the database's own account of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Its name in the trace.
    pub name: &'static str,
    /// Its heading in tables.
    pub heading: &'static str,
    /// What it counts.
    pub unit: Unit,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds that are a part of the call's time.
    Micros,
    /// Things.
    Count,
}

/// Declares what the database reports of each call. Between the stored functions and whoever shows
/// it, a figure is written here alone: its field, the functions' column (in an answer's first row,
/// as an integer), its name in the trace, its heading in tables, its unit.
macro_rules! call_report {
    ($( $(#[doc = $doc:literal])+ $field:ident = $column:literal, $name:literal, $heading:literal, $unit:ident; )+) => {
        /// What the database says of a call by its own account.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct CallReport {
            $( $(#[doc = $doc])+ #[serde(rename = $name, default)] pub $field: u64, )+
        }

        impl CallReport {
            /// The columns that the stored functions have for it.
            pub const COLUMNS: &'static [&'static str] = &[$($column),+];

            /// Its figures, in the same order.
            pub const FIGURES: &'static [Figure] =
                &[$(Figure { name: $name, heading: $heading, unit: Unit::$unit }),+];

            /// Takes each figure from `read`, which is given its position in [`CallReport::COLUMNS`].
            ///
            /// # Errors
            /// The first that `read` gives.
            pub fn read<E>(mut read: impl FnMut(usize) -> Result<u64, E>) -> Result<Self, E> {
                let mut positions = 0..;
                Ok(Self { $( $field: read(positions.next().unwrap_or_default())?, )+ })
            }

            /// Returns the figures' values, in their order.
            pub fn values(&self) -> [u64; Self::FIGURES.len()] {
                [$(self.$field),+]
            }
        }
    };
}

call_report! {
    /// Until the rows were locked: waiting for whoever held them, and reaching them, which takes a
    /// session's first call about a millisecond with nobody in the way.
    row_wait = "espera_us", "lock_wait", "lock", Micros;
    /// Working once they were.
    work = "trabalho_us", "work", "work", Micros;
}

impl CallReport {
    /// Returns each figure with its value.
    pub fn figures(&self) -> impl Iterator<Item = (Figure, u64)> + use<> {
        Self::FIGURES.iter().copied().zip(self.values())
    }

    /// Returns its parts of the call's time, in microseconds.
    pub fn parts(&self) -> impl Iterator<Item = (Figure, u64)> + use<> {
        self.figures().filter(|(figure, _)| figure.unit == Unit::Micros)
    }
}
