//! The database's address, which may hold a password.

use std::fmt;
use std::fs::File;
use std::io::Read;

use super::error::ConfigError;
use super::vars::Vars;

/// The most bytes of a file with an address.
const MAX_BYTES: u64 = 4096;

/// A database's address. It may hold a password: nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Reads `DATABASE_URL`, or the file that `DATABASE_URL_FILE` names, such as a Docker secret.
    pub(super) fn read(vars: &Vars<'_>) -> Result<Self, ConfigError> {
        let wrong = |name, what: String| Err(ConfigError::new(name, what));
        match (vars.get("DATABASE_URL"), vars.unless_off("DATABASE_URL_FILE")) {
            (Some(url), None) => Ok(Self(url.to_owned())),
            (None, Some(path)) => match read_file(path) {
                Ok(text) if !text.trim().is_empty() => Ok(Self(text.trim().to_owned())),
                Ok(_) => wrong("DATABASE_URL_FILE", format!("{path:?} is empty; put the database's address into it")),
                Err(error) => wrong("DATABASE_URL_FILE", format!("{path:?} cannot be read: {error}")),
            },
            (Some(_), Some(_)) => {
                wrong("DATABASE_URL_FILE", "is set, and so is DATABASE_URL; take one of them away".to_owned())
            }
            (None, None) => wrong(
                "DATABASE_URL",
                "is not set; give it a value such as postgresql://guiche:guiche@localhost:5432/rinha, or name a \
                 file that has it with DATABASE_URL_FILE"
                    .to_owned(),
            ),
        }
    }

    /// Returns the address itself, to be parsed and never shown.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

fn read_file(path: &str) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}
