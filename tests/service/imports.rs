//! The rule of who may import whom, checked by reading the sources.
//!
//! Imports point one way: `main → server → {http → mailbox → domain}`, and `ledger → {mailbox's
//! traits, domain}`. Each framework stays in the folder that exists to know it.

use std::fs;
use std::path::{Path, PathBuf};

/// What each module of the crate may name of the others. `telemetry` and `metrics` are
/// leaves that others receive values from.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("metrics", &[]),
    ("telemetry", &[]),
    ("health", &[]),
    ("mailbox", &["domain", "metrics"]),
    ("ledger", &["mailbox", "domain", "metrics"]),
    ("http", &["mailbox", "domain", "metrics", "telemetry"]),
    ("server", &["http", "ledger", "mailbox", "metrics"]),
    ("main", &["health", "server", "telemetry"]),
    ("lib", &[]),
];

/// Where each crate may be named: files or folders below `src/`.
const STAYS_IN: [(&str, &[&str]); 5] = [
    ("actix", &["mailbox/actor.rs", "mailbox/registry.rs"]),
    ("actix_web", &["http", "server.rs"]),
    ("tokio_postgres", &["ledger"]),
    ("deadpool_postgres", &["ledger"]),
    ("dashmap", &["mailbox/registry.rs"]),
];

/// Where types may derive serde's traits: one boundary knows JSON.
const SERDE_DERIVES: [&str; 1] = ["http/wire.rs"];

#[test]
fn imports_point_one_way() {
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.module();
        let rule = MAY_IMPORT.iter().find(|(name, _)| *name == module);
        let (_, allowed) = rule.unwrap_or_else(|| panic!("{module} is new: say here what it may import"));
        for imported in source.imported_modules() {
            if imported != module && !allowed.contains(&imported.as_str()) {
                wrong.push(format!("{} names {imported}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_framework_stays_where_it_belongs() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, places) in STAYS_IN {
            if source.names_crate(name) && !source.is_in(places) {
                wrong.push(format!("{} names {name}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn json_is_known_at_the_boundary_alone() {
    let sources = sources();
    let derives = sources.iter().filter(|source| source.derives_serde());
    let wrong: Vec<&str> =
        derives.filter(|source| !source.is_in(&SERDE_DERIVES)).map(|source| source.path.as_str()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// One file of `src/`, as the words and signs that are left without comments and texts.
struct Source {
    /// Below `src/`.
    path: String,
    tokens: Vec<String>,
}

impl Source {
    /// The module of the crate that it belongs to: its folder, or its own name.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path == *place || self.path.starts_with(&format!("{place}/")))
    }

    /// How many modules deep the file itself is: `config.rs` and `http/mod.rs` one, `http/wire.rs` two.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count();
        if self.path.ends_with("/mod.rs") { parts - 1 } else { parts }
    }

    /// The crate's modules that are named here, by `crate::`, by the crate's name, or by as many
    /// `super::` as lead to its root.
    fn imported_modules(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut inline = Vec::new();
        let mut braces = 0;
        for (at, token) in self.tokens.iter().enumerate() {
            match token.as_str() {
                "{" => {
                    braces += 1;
                    if at >= 2 && self.tokens[at - 2] == "mod" {
                        inline.push(braces);
                    }
                }
                "}" => {
                    inline.pop_if(|depth| *depth == braces);
                    braces -= 1;
                }
                "crate" | "guiche" if self.begins_path(at) => found.extend(self.members(at + 2)),
                "super" if self.begins_path(at) => {
                    let supers =
                        self.tokens[at..].chunks(2).take_while(|pair| pair == &["super", "::"]).count();
                    if supers >= self.depth() + inline.len() {
                        found.extend(self.members(at + 2 * supers));
                    }
                }
                _ => {}
            }
        }
        found.retain(|name| name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'));
        found
    }

    /// The names at this place of a path: one, or those of a group in braces.
    fn members(&self, at: usize) -> Vec<String> {
        if self.tokens.get(at).is_none_or(|token| token != "{") {
            return self.tokens.get(at).cloned().into_iter().collect();
        }
        let mut depth = 0;
        let mut names = Vec::new();
        for (before, token) in self.tokens[at..].iter().zip(&self.tokens[at + 1..]) {
            match before.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if depth == 1 && (before == "{" || before == ",") {
                names.push(token.clone());
            }
        }
        names
    }

    fn begins_path(&self, at: usize) -> bool {
        self.tokens.get(at + 1).is_some_and(|next| next == "::") && (at == 0 || self.tokens[at - 1] != "::")
    }

    fn names_crate(&self, name: &str) -> bool {
        let named = |(at, token): (usize, &String)| {
            let alone = at > 0 && ["use", "crate"].contains(&self.tokens[at - 1].as_str());
            token == name && (self.begins_path(at) || alone)
        };
        self.tokens.iter().enumerate().any(named)
    }

    fn derives_serde(&self) -> bool {
        let mut within = false;
        self.tokens.iter().any(|token| {
            match token.as_str() {
                "derive" => within = true,
                "]" => within = false,
                _ => {}
            }
            within && (token == "Serialize" || token == "Deserialize")
        })
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    assert!(files.len() > 10, "the sources are in {}", root.display());
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).expect("a source file");
        let path = file.strip_prefix(&root).expect("it is below").to_string_lossy().into_owned();
        Source { path, tokens: tokens(&text) }
    };
    files.into_iter().map(read).collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

/// The words of a source, `::`, and every other sign by itself; no comments, no texts.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = text_length(rest) {
            length
        } else if is_word(first) {
            let length = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else {
            let length = if rest.starts_with("::") { 2 } else { first.len_utf8() };
            if !first.is_whitespace() {
                tokens.push(rest[..length].to_owned());
            }
            length
        };
        rest = &rest[length..];
    }
    tokens
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The length of the text or character that the source goes on with, `None` where it does not.
fn text_length(source: &str) -> Option<usize> {
    let unprefixed = source.strip_prefix('b').unwrap_or(source);
    let prefix = source.len() - unprefixed.len();
    if let Some(raw) = unprefixed.strip_prefix('r') {
        let body = raw.trim_start_matches('#');
        if let Some(text) = body.strip_prefix('"') {
            let hashes = raw.len() - body.len();
            let end = format!("\"{}", "#".repeat(hashes));
            let length = text.find(&end).map_or(text.len(), |at| at + end.len());
            return Some(prefix + 1 + hashes + 1 + length);
        }
    }
    let quote = unprefixed.chars().next().filter(|first| ['"', '\''].contains(first))?;
    let mut letters = unprefixed.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' {
            letters.next();
        } else if letter == quote {
            return Some(prefix + at + 1);
        } else if quote == '\'' && !unprefixed[at + letter.len_utf8()..].starts_with('\'') {
            return None; // a lifetime, or a label
        }
    }
    None
}

/// The checks are only as good as the reading.
#[test]
fn sources_are_read_right() {
    let read = |path: &str, text: &str| Source { path: path.to_owned(), tokens: tokens(text) };
    let imported = |path: &str, text: &str| read(path, text).imported_modules().join(" ");
    assert_eq!(imported("http/wire.rs", "use crate::domain::{A, B};"), "domain");
    assert_eq!(
        imported("http/wire.rs", "use crate::{ledger::X, metrics, mailbox::{self, y}};"),
        "ledger metrics mailbox"
    );
    assert_eq!(imported("http/wire.rs", "use super::super::ledger; use super::error;"), "ledger");
    assert_eq!(imported("http/mod.rs", "use super::ledger; use self::wire;"), "ledger");
    assert_eq!(imported("config.rs", "mod tests { use super::*; use super::super::server; }"), "server");
    assert_eq!(imported("main.rs", "use guiche::{health, server};"), "health server");
    assert_eq!(
        imported("x.rs", "// crate::a\n/* crate::b */ let x = \"crate::c\"; let y = r#\"\"crate::d\"#;"),
        ""
    );
    assert_eq!(imported("x.rs", "fn f<'a>(x: &'a str) { '\"'; '\\''; b'x'; crate::e::f() }"), "e");
    assert!(read("x.rs", "use actix::Actor;").names_crate("actix"));
    assert!(!read("x.rs", "use actix_web::web; crate::actix::x();").names_crate("actix"));
    assert!(read("x.rs", "#[derive(Debug, serde::Serialize)] struct X;").derives_serde());
    assert!(
        !read("x.rs", "use serde::Serialize; #[derive(Debug)] struct X; impl Serialize for X {}")
            .derives_serde()
    );
}
