//! The body of a transaction.

use std::fmt;

use guiche::http::hostile;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// What a body says: cents, kind, description.
pub type Said = (i64, char, String);

/// Reads it as the service does, and as the model.
pub fn try_it(input: &[u8]) {
    let read = hostile::body(input).ok();
    let read = read.map(|it| (it.amount.cents(), it.kind.letter(), it.description.as_str().to_owned()));
    if let Some(said) = model(input) {
        assert_eq!(read, said, "{}", String::from_utf8_lossy(input));
    }
}

/// The members of an object in their order, twice where they are there twice.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(All)
    }
}

/// Returns what a body says, by building all of it. `None` where serde_json's own values have no room for what it
/// holds, however right it may be: numbers beyond those of a double, half a surrogate pair, a great depth.
pub fn model(input: &[u8]) -> Option<Option<Said>> {
    let Members(members) = match serde_json::from_slice(input) {
        Ok(members) => members,
        Err(why) => {
            let why = why.to_string();
            let no_room = ["out of range", "surrogate", "recursion", "hex escape"];
            return if no_room.iter().any(|word| why.contains(word)) { None } else { Some(None) };
        }
    };
    let once = |name: &str| {
        let mut found = members.iter().filter(|(known, _)| known == name);
        found.next().filter(|_| found.next().is_none()).map(|(_, value)| value)
    };
    let said = || {
        let cents = once("valor")?.as_i64().filter(|cents| *cents > 0)?;
        let kind = once("tipo")?.as_str().filter(|kind| ["c", "d"].contains(kind))?;
        let text = once("descricao")?.as_str()?;
        let fits = (1..=10).contains(&text.chars().count()) && !text.contains('\0');
        fits.then(|| (cents, kind.chars().next().unwrap_or_default(), text.to_owned()))
    };
    Some(said())
}
