//! HTML pages that need nothing else.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// For light and dark grounds; the last row of a table in `.sums` stands out, one in
/// `.dense` has small letters.
const STYLE: &str = "
:root { color-scheme: light dark; --ink: #222; --faint: #666; --ground: #fff; --edge: #ddd; --bad: #a8321c; --good: #1d6f42 }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --faint: #999; --ground: #161616; --edge: #3a3a3a; --bad: #ff9d85; --good: #6fd3a0 } }
body { margin: 2rem auto; padding: 0 1rem; max-width: 64rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground) }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2.2rem }
.score { font-size: 2.6rem; font-weight: 600; margin: .2rem 0 } .good { color: var(--good) } .bad { color: var(--bad) }
p.faint, footer { color: var(--faint) }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .5rem; text-align: right; border-bottom: 1px solid var(--edge); white-space: nowrap }
th:first-child, td:first-child { text-align: left } .sums tr:last-child td { font-weight: 600 }
.dense table { font-size: .75rem } .dense th, .dense td { padding: .2rem .35rem }
";

/// A page with its title as the heading.
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

/// A table, the first row being its header.
pub fn table(rows: &[Vec<String>]) -> Markup {
    let Some((header, rows)) = rows.split_first() else { return html! {} };
    html! {
        div.scroll { table {
            thead { tr { @for cell in header { th scope="col" { (cell) } } } }
            tbody { @for row in rows { tr { @for cell in row { td { (cell) } } } } }
        } }
    }
}
