//! A look-up of settings by name.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use super::error::ConfigError;
use super::setting::Fallback;
use super::table::setting;

/// A look-up of settings by name: what is unset has the table's default, what is not usable is
/// told with what the table says it may be.
pub(super) struct Vars<'a>(pub(super) &'a BTreeMap<String, String>);

impl Vars<'_> {
    /// Returns the value, with an empty one counting as unset (as compose files pass them).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Returns the value, or the table's default where there is one.
    pub(super) fn text(&self, name: &'static str) -> Option<&str> {
        self.get(name).or(match setting(name).default {
            Fallback::Is(default) => Some(default),
            Fallback::Found(_) | Fallback::Required => None,
        })
    }

    /// Returns the value where it is not `off`.
    pub(super) fn unless_off(&self, name: &'static str) -> Option<&str> {
        self.text(name).filter(|text| *text != "off")
    }

    /// Returns one of the words that the table lists.
    pub(super) fn word<T: FromStr>(&self, name: &'static str) -> Result<T, ConfigError> {
        let text = self.text(name).unwrap_or_default();
        text.parse().map_err(|_| not_usable(name, text))
    }

    /// Returns a number within the table's bounds.
    pub(super) fn number(&self, name: &'static str) -> Result<usize, ConfigError> {
        self.number_or(name, 0)
    }

    /// Returns a number within the table's bounds; `found` where the table leaves the default to be found.
    pub(super) fn number_or(&self, name: &'static str, found: usize) -> Result<usize, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(found) };
        setting(name).values.number(text).ok_or_else(|| not_usable(name, text))
    }

    /// Returns a duration in whole milliseconds.
    pub(super) fn millis(&self, name: &'static str) -> Result<Duration, ConfigError> {
        Ok(Duration::from_millis(self.number(name)? as u64))
    }
}

/// Says what the setting may be.
fn not_usable(name: &'static str, text: &str) -> ConfigError {
    ConfigError::new(name, format!("{text:?} is not usable: expected {}", setting(name).values))
}

/// Returns the variables that are UTF-8: other programs' may be anything, ours are.
pub(super) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
