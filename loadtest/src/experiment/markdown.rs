//! An experiment as Markdown, with its two pictures beside it.

use super::result::ExperimentResult;
use super::{answer, charts, table, words};
use crate::report::text::markdown_table;

/// The names of the two pictures.
pub const PICTURES: [&str; 2] = ["throughput.svg", "waits.svg"];

/// The text; `notes` say how it is to be read.
pub fn of(result: &ExperimentResult, notes: &[&str]) -> String {
    let pictures = [charts::throughput(result), charts::waits(result)].map(|chart| chart.description());
    let [throughput, waits] = pictures.map(|description| escape(&description));
    let answer = words::answer(result).unwrap_or_else(|reason| reason);
    let verdicts = answer::verdicts(result).into_iter().map(|verdict| {
        format!("**{}**: {} ({})", words::outcome(&verdict), escape(&verdict.says), escape(&verdict.measured))
    });
    let others = words::others(result).map(|others| escape(&others)).unwrap_or_default();
    let conditions = words::conditions(result);
    let conditions = conditions.into_iter().map(|(name, value)| format!("{name}: {}", escape(&value)));
    let sections = [
        section("Throughput and response time", format!("![{throughput}]({})", PICTURES[0])),
        section("Who waited on what", format!("![{waits}]({})\n\n{others}", PICTURES[1])),
        section("Figures", markdown_table(&table::rows(result), 2)),
        section("Invalid runs", list(words::invalid(result).iter().map(|point| escape(point)))),
        section(
            "Where the time of a request went",
            table::spent(result).map(|rows| markdown_table(&rows, 2)).unwrap_or_default(),
        ),
        section("Conditions", list(conditions)),
        section("How to read this", list(notes.iter().map(|note| escape(note)))),
    ];
    let problems = list(words::problems(result).iter().map(|problem| escape(problem)));
    format!(
        "# {}\n\n{}\n\n**{}**\n\n{}{}{}",
        escape(&result.title),
        escape(&result.question),
        escape(&answer),
        list(verdicts),
        section("What went wrong", problems),
        sections.concat()
    )
}

/// Nothing where there is nothing to say.
fn section(title: &str, text: String) -> String {
    if text.is_empty() { text } else { format!("\n## {title}\n\n{}\n", text.trim_end()) }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.map(|item| format!("- {item}\n")).collect()
}

/// Text that means nothing but itself in Markdown.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '\n' => escaped.push(' '),
            '*' | '[' | ']' | '`' | '\\' => escaped.extend(['\\', character]),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::fixture::experiment;

    #[test]
    fn tables_have_the_same_cells_in_every_row() {
        let mut experiment = experiment();
        experiment.series.values[0] = "direct | no mailbox".into();
        let text = of(&experiment, &words::NOTES);
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
        assert_eq!(rows.len(), (2 + 9) + (2 + 8), "{text}");
        let cells = |line: &str| line.matches('|').count() - line.matches("\\|").count();
        let (figures, spent) = rows.split_at(2 + 9);
        for table in [figures, spent] {
            assert!(table.iter().all(|row| cells(row) == cells(table[0])), "{table:?}");
        }
    }

    #[test]
    fn it_says_what_the_page_says() {
        let text = of(&experiment(), &words::NOTES);
        for part in [
            "# One hot client, five, a thousand\n",
            "**With one hot client, batched answers 2,610",
            "- **✗ not held**: direct gains nothing from more clients (3.03, expected &lt; 1.5)\n",
            "](throughput.svg)",
            "](waits.svg)",
            "## What went wrong",
            "## Invalid runs",
            "- Machine: 2 CPUs",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn empty_sections_are_left_out() {
        let mut experiment = experiment();
        experiment.points.clear();
        let text = of(&experiment, &words::NOTES);
        assert!(!text.contains("## Invalid runs") && !text.contains("## Where the time"), "{text}");
    }
}
