//! The parts that are tried.

pub mod body;
pub mod experiment;
mod front;
pub mod head;
pub mod key;
pub mod path;
pub mod trace;

/// Tries one input, and panics where something is wrong.
pub type Try = fn(&[u8]);

/// All of them, by the names of their corpora.
pub const ALL: [(&str, Try); 6] = [
    ("body", body::try_it),
    ("experiment", experiment::try_it),
    ("head", head::try_it),
    ("key", key::try_it),
    ("path", path::try_it),
    ("trace", trace::try_it),
];
