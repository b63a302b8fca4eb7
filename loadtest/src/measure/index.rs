//! A page that lists the reports of experiments.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use maud::{Markup, PreEscaped, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::error::Category;

use super::result::{Measurement, RESULTS};
use super::{charts, words};
use crate::files::save;
use crate::report::document::PAGE;
use crate::report::page::page;

/// How deep reports are looked for.
const DEPTH: usize = 3;

/// What has a meaning in an address, and is escaped in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// A report and where it is, from the index.
struct Entry {
    place: String,
    result: Measurement,
}

/// What was found.
#[derive(Default)]
struct Found {
    entries: Vec<Entry>,
    /// What is not listed, and why.
    skipped: Vec<String>,
}

/// Writes `experiments.html` into `reports`: all reports of experiments under it, the newest
/// first. What is broken or something else is named and left out. Returns its path.
///
/// # Errors
/// When it cannot be written.
pub fn write(reports: &Path) -> Result<PathBuf> {
    let mut found = Found::default();
    found.search(reports, "", DEPTH);
    found.entries.sort_by(|a, b| b.result.conditions.started_at.cmp(&a.result.conditions.started_at));
    found.skipped.sort();
    let path = reports.join("experiments.html");
    save(&path, &of(&found).into_string())?;
    Ok(path)
}

impl Found {
    fn search(&mut self, directory: &Path, place: &str, depth: usize) {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => return self.skipped.push(format!("{place}: {error}")),
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // A link could lead around in circles; it is none of ours.
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_directory && depth > 0 {
                self.search(&entry.path(), &format!("{place}{name}/"), depth - 1);
            } else if name == RESULTS {
                match read(directory) {
                    Ok(result) => self.entries.push(Entry { place: place.to_owned(), result }),
                    Err(reason) => self.skipped.push(format!("{place}: {reason}")),
                }
            }
        }
    }
}

fn read(directory: &Path) -> Result<Measurement, String> {
    let text = fs::read_to_string(directory.join(RESULTS)).map_err(|error| error.to_string())?;
    let result: Measurement = serde_json::from_str(&text).map_err(|error| match error.classify() {
        Category::Data => "not of an experiment".to_owned(),
        _ => format!("{RESULTS} is broken: {error}"),
    })?;
    match (result.question.is_empty(), directory.join(PAGE).is_file()) {
        (true, _) => Err("not of an experiment".to_owned()),
        (_, true) => Ok(result),
        (_, false) => Err(format!("there is no {PAGE}")),
    }
}

fn of(found: &Found) -> Markup {
    let body = html! {
        @if found.entries.is_empty() { p { "There is no report of an experiment here yet." } }
        @for entry in &found.entries { (listed(entry)) }
        @if !found.skipped.is_empty() {
            h2 { "Not listed" }
            ul.faint { @for reason in &found.skipped { li { (reason) } } }
        }
    };
    page("guiche: contention experiments", body)
}

fn listed(entry: &Entry) -> Markup {
    let Entry { place, result } = entry;
    let verdicts = words::verdicts(result);
    let held = verdicts.iter().filter(|verdict| verdict.held == Some(true)).count();
    let address = format!("{}{PAGE}", utf8_percent_encode(place, PATH));
    html! {
        article.entry {
            // What cannot be drawn is listed without a picture.
            a.thumbnail href=(address) aria-hidden="true" tabindex="-1" {
                @if let Ok(svg) = charts::thumbnail(result) { (PreEscaped(svg)) }
            }
            div {
                h2 { a href=(address) { (result.title) } }
                p.question { (result.question) }
                p { (words::answer(result).unwrap_or_else(|reason| reason)) }
                p.faint {
                    (result.name) ", " (result.conditions.started_at)
                    @if !verdicts.is_empty() { ", " (held) " of " (verdicts.len()) " expectations held" }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::{Scratch, experiment};
    use crate::measure::report;

    #[test]
    fn reports_are_listed_and_others_are_named() {
        let scratch = Scratch::new("index");
        let reports = scratch.path();
        let mut older = experiment();
        (older.title, older.conditions.started_at) = ("The older".into(), "2025-12-31T00:00:00Z".into());
        report::write(&older, &reports.join("a 1")).expect("a report");
        report::write(&experiment(), &reports.join("series/hot")).expect("a report");
        save(&reports.join("bench/results.json"), "{\"goals\": []}").expect("it can be written");
        save(&reports.join("broken/results.json"), "{\"name\": ").expect("it can be written");
        fs::create_dir(reports.join("empty")).expect("it can be made");
        let page = write(reports).expect("an index");
        let page = fs::read_to_string(page).expect("the page");
        assert!(
            page.contains("href=\"series/hot/report.html\"") && page.contains("href=\"a%201/report.html\"")
        );
        let place = |part: &str| page.find(part).unwrap_or_else(|| panic!("{part} is missing in {page}"));
        assert!(place("One hot client, five") < place("The older"), "the newest is first");
        assert!(place("bench/: not of an experiment") < place("broken/: results.json is broken"));
        assert!(page.contains("9.0 times as many as direct") && page.contains("1 of 3 expectations held"));
        assert!(!page.contains("empty/"));
        let outside = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains("http://") && !outside.contains("https://") && !page.contains("<script"));
    }

    #[test]
    fn nothing_at_all_is_said() {
        let scratch = Scratch::new("no-index");
        let page = fs::read_to_string(write(scratch.path()).expect("an index")).expect("the page");
        assert!(page.contains("no report of an experiment"));
    }
}
