//! Reports of measurements with known figures.

use std::fs;

use super::*;
use crate::measure::fixture::{Scratch, bench, experiment};

fn page_of(result: &Measurement) -> String {
    document::of(&markdown(result, true).expect("Markdown"), &charts::pictures(result)).expect("a page")
}

fn text_of(result: &Measurement) -> String {
    markdown(result, true).expect("Markdown")
}

#[test]
fn everything_is_written_and_read_back() {
    let scratch = Scratch::new("report");
    let directory = scratch.path().join("hot");
    let page = write(&experiment(), &directory).expect("a report");
    assert_eq!(page, directory.join("report.html"));
    for name in ["results.json", "points.csv", "samples.csv", "report.md", "throughput.svg", "waits.svg"] {
        assert!(directory.join(name).metadata().expect(name).len() > 100, "{name}");
    }
    let again = read(&directory).expect("the results");
    assert_eq!(table::csv_of_samples(&again), table::csv_of_samples(&experiment()));
    assert_eq!(text_of(&again), text_of(&experiment()));
}

#[test]
fn a_sample_is_small_and_refers_to_nothing_else() {
    let scratch = Scratch::new("sample");
    let text = write_sample(&experiment(), scratch.path()).expect("a sample");
    let files: Vec<_> =
        fs::read_dir(scratch.path()).expect("the directory").map(|one| one.expect("a file")).collect();
    let bytes: u64 = files.iter().map(|file| file.metadata().expect("a size").len()).sum();
    assert_eq!(files.len(), 3);
    assert!(bytes < 60_000, "{bytes} bytes");
    let text = fs::read_to_string(text).expect("the text");
    assert!(!text.contains(".csv") && !text.contains(".json") && !text.contains(".html"), "{text}");
}

#[test]
fn pages_are_written_again_from_the_results() {
    let scratch = Scratch::new("rewrite");
    let directory = scratch.path().join("hot");
    let page = write(&experiment(), &directory).expect("a report");
    let before = fs::read_to_string(&page).expect("the page");
    fs::remove_file(&page).expect("the page can be removed");
    let samples = scratch.path().join("samples");
    rewrite(&ReportArgs { directories: vec![directory.clone()], sample: Some(samples.clone()) })
        .expect("again");
    assert_eq!(fs::read_to_string(&page).expect("the page"), before);
    assert!(samples.join("hot/report.md").exists() && scratch.path().join("experiments.html").exists());
    let nothing = ReportArgs { directories: vec![scratch.path().to_owned()], sample: None };
    assert!(format!("{:#}", rewrite(&nothing).expect_err("no results")).contains("results.json"));
}

#[test]
fn the_benchmark_is_written_again_too() {
    let scratch = Scratch::new("rewrite-bench");
    let directory = scratch.path().join("bench");
    let result = bench(&[&[("mode=direct", 1_000), ("mode=batched", 6_000)]]);
    let page = write(&result, &directory).expect("a report");
    let before = fs::read_to_string(&page).expect("the page");
    let file = directory.join("results.json");
    rewrite(&ReportArgs { directories: vec![file], sample: None }).expect("again");
    assert_eq!(fs::read_to_string(&page).expect("the page"), before);
    assert!(!scratch.path().join("experiments.html").exists());
}

#[test]
fn the_page_stands_by_itself() {
    for result in [experiment(), bench(&[&[("mode=direct", 1_000), ("mode=batched", 6_000)]])] {
        let page = page_of(&result);
        // What lies beside it is its own.
        let own = ["points.csv", "samples.csv", "results.json"].map(|file| format!("href=\"{file}\""));
        let outside = own
            .iter()
            .fold(page.replace("http://www.w3.org/2000/svg", ""), |page, link| page.replace(link, ""));
        for sign in ["http://", "https://", "<script", "src=", "href=", "@import"] {
            assert!(!outside.contains(sign), "{sign} is in the page");
        }
        assert!(page.contains("max-width") && page.contains("<svg"));
    }
}

#[test]
fn the_page_says_everything() {
    let page = page_of(&experiment());
    for part in [
        "What does it cost when all requests want the same row?",
        "9.0 times as many as direct.",
        ">✓ held<",
        ">✗ not held<",
        ">? cannot be told<",
        "(3.03, expected &lt; 1.5)",
        "5 cents &lt; the sum",
        "PostgreSQL did not start",
        "clients 1000, serial: rounds 1, 2: k6 used 93%",
        "no valid figure",
        "share 0.50 CPU",
        "rest of the database",
        "<p class=\"question\">",
        "<p class=\"answer\">",
        "<strong class=\"bad\">",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    assert_eq!(page.matches("<svg").count(), 2 + 3);
}

#[test]
fn the_benchmarks_page_says_everything() {
    let page = page_of(&bench(&[&[("mode=direct", 1_000), ("mode=batched", 6_000)]]));
    for part in [
        "<svg",
        "batched to direct",
        "6.00 (6,000 : 1,000)",
        "mode=direct",
        "2 CPUs",
        ">met (one round)<",
        ">missed (one round)<",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
}

#[test]
fn an_experiment_without_valid_runs_has_a_page() {
    let mut experiment = experiment();
    let runs = experiment.comparisons[0].cases.iter_mut().flat_map(|case| &mut case.runs);
    runs.for_each(|run| run.invalid = Some("k6 dropped iterations".into()));
    let page = page_of(&experiment);
    assert!(page.contains("answers (no valid figure) requests per second"));
    assert!(!page.contains("✓ held"));
    experiment.comparisons[0].cases.clear();
    page_of(&experiment);
}

#[test]
fn tables_have_the_same_cells_in_every_row() {
    let mut experiment = experiment();
    let axes = experiment.comparisons[0].axes.as_mut().expect("axes");
    axes[1].values[0] = "direct | no mailbox".into();
    for (result, expected) in [(experiment, (2 + 9) + (2 + 8)), (bench(&[&[("mode=direct", 1), ("", 2)]]), 0)]
    {
        let text = text_of(&result);
        let tables: Vec<Vec<&str>> = text
            .split("\n\n")
            .map(|block| block.lines().filter(|line| line.starts_with("| ")).collect::<Vec<&str>>())
            .filter(|rows| !rows.is_empty())
            .collect();
        let rows: usize = tables.iter().map(Vec::len).sum();
        assert!(expected == 0 || rows == expected, "{text}");
        let cells = |line: &str| line.matches('|').count() - line.matches("\\|").count();
        for table in tables {
            assert!(table.iter().all(|row| cells(row) == cells(table[0])), "{table:?}");
        }
    }
}

#[test]
fn it_says_what_the_page_says() {
    let text = text_of(&experiment());
    for part in [
        "# One hot client, five, a thousand\n",
        "**With one hot client, batched answers 2,610",
        "- **✗ not held**: direct gains nothing from more clients (3.03, expected &lt; 1.5)\n",
        "](throughput.svg)",
        "](waits.svg)",
        "## What went wrong",
        "invalid runs",
        "- Machine: 2 CPUs",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn empty_sections_are_left_out() {
    let mut experiment = experiment();
    experiment.comparisons[0].cases.clear();
    let text = text_of(&experiment);
    assert!(!text.contains("invalid runs\n") && !text.contains("## Where the time"), "{text}");
}
