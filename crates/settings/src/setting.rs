//! What is said of a setting.

use std::fmt;

use serde::Serialize;

/// One setting. All come from the environment; an empty value counts as unset.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Setting {
    /// The variable's name.
    pub name: &'static str,
    /// What holds where it is unset.
    pub default: Fallback,
    /// What it may be.
    pub values: Values,
    /// What it sets, units included.
    pub meaning: &'static str,
}

/// What holds where a setting is unset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// This value.
    Is(&'static str),
    /// What this describes, found out at the start.
    Found(&'static str),
    /// Nothing: the setting has to be given.
    Required,
}

/// What a setting may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// A whole number from the first to the second.
    Number(usize, usize),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A text of this form.
    Text(&'static str),
}

impl Values {
    /// Returns the number that a text says, where that is one within the bounds.
    pub(crate) fn number(self, text: &str) -> Option<usize> {
        let Self::Number(min, max) = self else { return None };
        text.parse().ok().filter(|number| (min..=max).contains(number))
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Is(value) | Self::Found(value) => value,
            Self::Required => "required",
        })
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(min, max) => write!(f, "a whole number from {min} to {max}"),
            Self::Text(form) => f.write_str(form),
            Self::Word(words) => match words {
                [] => Ok(()),
                [word] => f.write_str(word),
                [front @ .., last] => write!(f, "{} or {last}", front.join(", ")),
            },
        }
    }
}
