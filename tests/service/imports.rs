//! The rule of who may import whom inside the service, checked by reading its sources. What crates
//! enforce is not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// What each module may name of the others: `main → server → {http → mailbox → domain}`, and
/// `ledger → {mailbox's traits, domain}`. `listen` and `tls` are leaves, and `observing` but for `tls`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("tls", &[]),
    ("observing", &["tls"]),
    ("listen", &[]),
    ("health", &[]),
    ("mailbox", &["domain", "observing"]),
    ("ledger", &["mailbox", "domain", "observing", "tls"]),
    ("http", &["mailbox", "domain", "observing"]),
    ("readiness", &["http", "ledger", "mailbox"]),
    ("signals", &["observing"]),
    ("server", &["http", "ledger", "listen", "mailbox", "observing", "readiness", "signals"]),
    ("main", &["health", "observing", "server", "signals"]),
    ("lib", &[]),
];

/// Where each framework may be named: files or folders below `src/`.
const STAYS_IN: [(&str, &[&str]); 6] = [
    ("actix", &["mailbox/actor.rs", "mailbox/registry.rs"]),
    ("actix_web", &["http", "server.rs"]),
    ("actix_http", &["http/serve.rs"]),
    ("tokio_postgres", &["ledger"]),
    ("deadpool_postgres", &["ledger"]),
    ("dashmap", &["mailbox/registry.rs"]),
];

/// The boundary that knows JSON: where types may derive serde's traits.
const SERDE_DERIVES: &[&str] = &["http/wire.rs"];

#[test]
fn imports_point_one_way_and_frameworks_stay_where_they_belong() {
    let mut wrong = Vec::new();
    let sources = sources(&testbed::repository_root().join("src"));
    assert!(sources.len() > 20, "the sources were not found");
    for (path, source) in sources {
        let module = path.split(['/', '.']).next().unwrap_or_default();
        let rule = MAY_IMPORT.iter().find(|(name, _)| *name == module);
        let (_, allowed) = rule.unwrap_or_else(|| panic!("{module} is new: say here what it may import"));
        for name in &source.modules {
            if name != module && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{path} names {name}"));
            }
        }
        for (framework, places) in STAYS_IN {
            if source.roots.contains(framework) && !is_in(&path, places) {
                wrong.push(format!("{path} names {framework}"));
            }
        }
        if source.derives_serde && !is_in(&path, SERDE_DERIVES) {
            wrong.push(format!("{path} derives serde's traits"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Files beside each other, in each crate.
#[test]
fn no_files_import_each_other_in_a_circle() {
    for crate_ in ["src", "crates/settings/src", "crates/testbed/src", "crates/traces/src", "loadtest/src"] {
        let mut files = BTreeMap::new();
        for (path, source) in sources(&testbed::repository_root().join(crate_)) {
            let (folder, file) = path.rsplit_once('/').unwrap_or(("", &path));
            let beside = |name: &str| format!("{folder}/{name}");
            let imports: BTreeSet<String> = source.siblings.iter().map(|name| beside(name)).collect();
            files.insert(beside(file.trim_end_matches(".rs")), imports);
        }
        assert!(files.len() > 5, "the sources of {crate_} were not found");
        // What imports nothing of those that are left is in no circle.
        loop {
            let left: BTreeSet<String> = files.keys().cloned().collect();
            files.retain(|_, imports| !imports.is_disjoint(&left));
            if files.len() == left.len() {
                break;
            }
        }
        assert!(files.is_empty(), "{crate_}: circles, and what imports from them: {files:#?}");
    }
}

#[test]
fn every_way_to_name_something_is_seen() {
    let text = "use crate::{http, ledger::X}; use super::y::Z; use dashmap as d; fn f() { crate::server::g(actix::Y); \
                assert!(super::x() == guiche::health::z()); } #[derive(serde::Serialize)] struct S;";
    let source = Source::read(text);
    let modules: Vec<&str> = source.modules.iter().map(String::as_str).collect();
    assert_eq!(modules, ["health", "http", "ledger", "server"]);
    assert!(source.siblings.contains("y"), "{:?}", source.siblings);
    assert!(source.roots.contains("dashmap") && source.roots.contains("actix") && source.derives_serde);
}

fn is_in(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| path == *place || path.starts_with(&format!("{place}/")))
}

/// What one file names.
#[derive(Default)]
struct Source {
    /// Modules of this crate.
    modules: BTreeSet<String>,
    /// What stands beside the file, or in the one above.
    siblings: BTreeSet<String>,
    /// First segments of all paths, other crates among them.
    roots: BTreeSet<String>,
    derives_serde: bool,
}

impl Source {
    fn read(text: &str) -> Self {
        let mut source = Self::default();
        source.visit_file(&syn::parse_file(text).expect("it compiles, so it parses"));
        source
    }

    fn path(&mut self, segments: &[String]) {
        let [root, rest @ ..] = segments else { return };
        self.roots.insert(root.clone());
        if (root == "crate" || root == "guiche")
            && let [module, ..] = rest
        {
            self.modules.insert(module.clone());
        }
        if let ("super", [sibling, ..]) = (root.as_str(), rest) {
            self.siblings.insert(sibling.clone());
        }
    }

    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.path(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.path(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.path(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(before, tree)),
        }
    }
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        self.path(&segments);
        syn::visit::visit_path(self, path);
    }

    /// What macros are given is not parsed: its words are looked at.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let text = call.tokens.to_string().replace(' ', "");
        for path in text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
            let segments: Vec<String> = path.split("::").map(str::to_owned).collect();
            if segments.len() > 1 {
                self.path(&segments);
            }
        }
        syn::visit::visit_macro(self, call);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            let text = list.tokens.to_string();
            self.derives_serde |=
                list.path.is_ident("derive") && (text.contains("Serialize") || text.contains("Deserialize"));
        }
        syn::visit::visit_attribute(self, attribute);
    }
}

/// Every file below `directory`, by its path from there.
fn sources(directory: &Path) -> Vec<(String, Source)> {
    let (mut found, mut left) = (Vec::new(), vec![PathBuf::from(directory)]);
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("it can be read");
            left.extend(entries.map(|entry| entry.expect("it can be read").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(directory).expect("it is below").display().to_string();
            found.push((name, Source::read(&fs::read_to_string(&path).expect("it can be read"))));
        }
    }
    found
}
