//! What the Compose files say, with every default filled in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

pub(crate) fn image_of(service: &Value) -> &str {
    service["image"].as_str().expect("a service has an image")
}

/// A numeric user that is not root, as in `65532:65532`.
pub(crate) fn is_unprivileged(user: &str) -> bool {
    user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0))
}

/// The services of a file with all defaults filled in, by name.
pub(crate) fn services(file: &Path) -> BTreeMap<String, Value> {
    let services = document(file)["services"].as_object().cloned().unwrap_or_else(Map::new);
    assert!(!services.is_empty(), "{} has no services", file.display());
    services.into_iter().collect()
}

/// A file with all defaults filled in.
pub(crate) fn document(file: &Path) -> Value {
    let text = filled_in(&read(file));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The user that the service's own image runs as.
pub(crate) fn image_user() -> String {
    let dockerfile = read(&root().join("Dockerfile"));
    let user = dockerfile.lines().find_map(|line| line.strip_prefix("USER "));
    user.expect("the image has a user").to_owned()
}

/// `${NAME:-default}` → `default`.
pub(crate) fn filled_in(text: &str) -> String {
    let mut pieces = text.split("${");
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (variable, rest) = piece.split_once('}').expect("a variable ends");
        let (_, default) = variable.split_once(":-").unwrap_or_else(|| panic!("{variable} has no default"));
        filled.push_str(default);
        filled.push_str(rest);
    }
    filled
}

/// The variables that a file takes, with their defaults.
pub(crate) fn variables(text: &str) -> BTreeMap<String, String> {
    // A comment may show how one is written.
    let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    code.flat_map(|line| line.split("${").skip(1))
        .filter_map(|piece| piece.split_once('}')?.0.split_once(":-"))
        .map(|(name, default)| (name.to_owned(), default.to_owned()))
        .collect()
}

/// The variables that a service's environment names without a value.
pub(crate) fn passed_through(services: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let environments = services.values().filter_map(|service| service["environment"].as_object());
    environments
        .flatten()
        .filter(|(_, value)| value.is_null())
        .map(|(name, _)| (name.clone(), String::new()))
        .collect()
}

pub(crate) fn env_example() -> BTreeMap<String, String> {
    read(&root().join(".env.example"))
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_once('=').unwrap_or_else(|| panic!("{line}")))
        .map(|(name, default)| (name.to_owned(), default.to_owned()))
        .collect()
}

pub(crate) fn strings<'a>(service: &'a Value, key: &str) -> Vec<&'a str> {
    let list = service.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A number may be written with or without quotes.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(crate) fn root() -> PathBuf {
    testbed::repository_root()
}

pub(crate) fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
