//! HTML pages that need nothing else.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// For light and dark grounds; the last row of a table in `.sums` stands out, one in `.dense` has
/// small letters, one in `.pairs` has two columns
/// of names, a line where the first of them changes.
const STYLE: &str = "
:root { color-scheme: light dark; --ink: #222; --faint: #666; --ground: #fff; --edge: #ddd; --bad: #a8321c; --good: #1d6f42 }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --faint: #999; --ground: #161616; --edge: #3a3a3a; --bad: #ff9d85; --good: #6fd3a0 } }
body { margin: 2rem auto; padding: 0 1rem; max-width: 64rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground) }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2.2rem } h3 { font-size: 1rem }
.good { color: var(--good) } .bad { color: var(--bad) }
p.faint, footer { color: var(--faint) }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .5rem; text-align: right; border-bottom: 1px solid var(--edge); white-space: nowrap }
th:first-child, td:first-child { text-align: left } .sums tr:last-child td { font-weight: 600 }
.dense table { font-size: .75rem } .dense th, .dense td { padding: .2rem .35rem }
.pairs .first td { border-top: 2px solid var(--edge) } .narrow table { width: auto } .narrow :is(th, td) { padding-right: 1.5rem }
.pairs th { white-space: normal; vertical-align: bottom } .pairs :is(th, td):nth-child(2) { text-align: left }
svg.chart { width: 100%; height: auto } .charts { --panel: 26rem; display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, var(--panel)), 1fr)); gap: .5rem 1.5rem } .three { --panel: 18rem }
.question { font-size: 1.1rem; color: var(--faint); margin: .2rem 0 } .answer { font-size: 1.35rem; line-height: 1.35; font-weight: 600; margin: .8rem 0 }
.answer :is(.good, .bad) { font-size: 2.4rem } .verdicts { list-style: none; padding: 0 } .verdicts li { margin: .2rem 0 } .faint { color: var(--faint) }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem } .facts dt { color: var(--faint) } .facts dd { margin: 0 }
.entry { display: grid; grid-template-columns: 15rem 1fr; gap: 1.5rem; padding: 1.2rem 0; border-bottom: 1px solid var(--edge) }
.entry h2 { margin: 0 } .entry p { margin: .3rem 0 } a { color: inherit }
@media (max-width: 40rem) { .facts, .entry { grid-template-columns: 1fr } .facts dd { margin-bottom: .5rem } }
";

/// Returns a page with its title as the heading.
pub fn page(title: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                (body)
            }
        }
    }
}

/// Returns a table, the first row being its header.
pub fn table(rows: &[Vec<String>]) -> Markup {
    let Some((header, rows)) = rows.split_first() else { return html! {} };
    html! {
        div.scroll { table {
            thead { tr { @for cell in header { th scope="col" { (cell) } } } }
            tbody {
                @for (row, before) in rows.iter().zip(std::iter::once(header).chain(rows)) {
                    // Where the name in the first column changes.
                    tr.first[row.first() != before.first()] { @for cell in row { td { (cell) } } }
                }
            }
        } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_with_a_new_name_is_marked() {
        let rows = [["clients", "mode"], ["1", "direct"], ["1", "batched"], ["5", "direct"]];
        let text = table(&rows.map(|row| row.map(str::to_owned).to_vec())).into_string();
        let marked: Vec<&str> =
            text.split(r#"<tr class="first"><td>"#).skip(1).map(|row| &row[..1]).collect();
        assert_eq!(marked, ["1", "5"]);
    }
}
