//! What the page says in words: its notes, and the table that says the same as the lanes.

use std::fmt::Write;

use super::beside::Side;
use super::clocks::Skew;
use super::collect::Collected;
use super::format::Why;
use super::html::escape;
use super::losses::Losses;
use super::printable::{Shown, Timestamp};
use super::quantiles::Durations;
use super::reader::Damage;
use super::summary::Summary;
use super::tally::ClientSummary;
use super::units::{Count, Micros};

/// Clients in the page's table.
const CLIENTS_SHOWN: usize = 50;

/// Returns what a reader must know before looking: what was left out, dropped, or could not be read.
pub(super) fn notes(collected: &Collected, summary: &Summary, damage: &Damage) -> String {
    let mut notes = Vec::new();
    let until = collected.complete_until();
    if until < u64::MAX {
        notes.push(format!(
            "This page shows the first part of the trace, until {}. The whole has {} requests; \
             --from, --to and --client choose others, --page-requests sets how many fit.",
            Timestamp(until),
            Count(summary.total.requests)
        ));
    }
    if summary.dropped > 0 {
        let why = |(why, count): (&Why, &u64)| format!("{} because {}", Count(*count), why.words());
        let why: Vec<String> = summary.dropped_why.iter().map(why).collect();
        let count = Count(summary.dropped);
        notes.push(format!(
            "{count} lines are missing, {}. Where that was noted, the lanes have a gap.",
            why.join(", ")
        ));
    }
    for one in &summary.instances {
        match one.clock {
            Skew::None => {}
            Skew::Ahead(micros) => notes.push(format!(
                "The clock of {} is {} {} the first instance's, by the database's, which all share: its times are put right here.",
                one.instance,
                Micros(micros.unsigned_abs()),
                if micros < 0 { "behind" } else { "ahead of" }
            )),
            Skew::Unsteady => notes.push(format!(
                "The clock of {} was set while it was traced, or drifts: its times do not fit the others'.",
                one.instance
            )),
        }
    }
    if damage.malformed > 0 {
        notes
            .push(format!("{} lines of the files make no sense and were left out.", Count(damage.malformed)));
    }
    notes.extend(damage.unread.iter().cloned());
    for path in &damage.torn {
        notes.push(format!("The last line of {} is not whole.", Shown(path)));
    }
    notes.iter().fold(String::new(), |mut html, note| {
        write!(html, "<p class=\"note\">{}</p>", escape(note)).expect("a String takes everything");
        html
    })
}

/// Returns the summary as a table, for those who do not see the lanes.
pub(super) fn summary_table(summary: &Summary) -> String {
    let mut html = String::from(
        "<table><caption>Each client in figures</caption><thead><tr><th scope=col>client</th>\
         <th scope=col>requests</th><th scope=col>calls</th><th scope=col>a call carried, mean</th>\
         <th scope=col>most</th><th scope=col>wait in mailbox p50</th><th scope=col>p99</th><th scope=col>max</th>\
         <th scope=col>database p50</th><th scope=col>p99</th><th scope=col>max</th>\
         <th scope=col>row locks p99</th><th scope=col>max</th><th scope=col>busy</th><th scope=col>shed</th></tr></thead><tbody>",
    );
    add_row(&mut html, "all", &summary.total);
    for (client, row) in summary.clients.iter().take(CLIENTS_SHOWN) {
        add_row(&mut html, &client.to_string(), row);
    }
    if let Some(others) = &summary.others {
        add_row(&mut html, "others", others);
    }
    html.push_str("</tbody></table>");
    let hidden = summary.clients.len().saturating_sub(CLIENTS_SHOWN);
    if hidden > 0 {
        write!(html, "<p>{} further clients are not in the table.</p>", Count(hidden as u64))
            .expect("a String takes everything");
    }
    html
}

/// Returns what requests' time was lost to, as a bar for all, each instance and each client; and the worst holders. `side`
/// is what the trace is called, where there are two.
pub(super) fn losses(summary: &Summary, side: &str) -> String {
    let named = |name: &str| format!("{side} {name}").trim_start().to_owned();
    let mut html = String::from("<h2>What time was lost to</h2><div class=losses>");
    add_losses(&mut html, "all", &named("all"), &summary.lost);
    if summary.instances.len() > 1 {
        for one in &summary.instances {
            add_losses(&mut html, &one.instance, &named(&one.instance), &one.lost);
        }
    }
    for (client, row) in summary.clients.iter().take(CLIENTS_SHOWN) {
        let name = format!("client {client}");
        row.lost.iter().for_each(|losses| add_losses(&mut html, &name, &named(&name), losses));
    }
    html.push_str("</div>");
    if !summary.worst_holders.is_empty() {
        html.push_str("<h2>For whom others waited longest</h2><ol>");
        for holder in &summary.worst_holders {
            let (micros, waits) = (Micros(holder.micros), Count(holder.waits));
            let named = escape(&holder.holder);
            let named = match &holder.hash {
                Some(hash) => format!("<a href=\"{}\">{named}</a>", escape(hash)),
                None => named,
            };
            write!(html, "<li>{named}: {micros}, waits: {waits}</li>").expect("a String takes everything");
        }
        html.push_str("</ol>");
    }
    html
}

/// Returns what requests' time was lost to in two traces, one above the other.
pub(super) fn losses_of(sides: &[Side<'_>]) -> String {
    let mut html = String::from("<h2>What time was lost to, side by side</h2><div class=losses>");
    for side in sides {
        add_losses(&mut html, side.name(), &format!("{} all", side.name()), &side.summary.lost);
    }
    html + "</div>"
}

/// Adds a bar, whose name leads to the p50, the p99 and the worst holders of `whole`.
fn add_losses(html: &mut String, name: &str, whole: &str, losses: &Losses) {
    let words: Vec<String> = losses
        .shares()
        .into_iter()
        .filter(|(_, share)| *share >= 0.005)
        .map(|(part, share)| format!("{part} {:.0} %", share * 100.0))
        .collect();
    write!(html, "<a href=\"#lost={}\">{}</a><span class=path>", escape(whole), escape(name))
        .expect("a String takes everything");
    for ((class, words), micros) in
        Losses::PARTS.iter().zip(losses.values()).filter(|(_, micros)| *micros > 0)
    {
        write!(
            html,
            "<span class={class} style=\"flex-grow:{micros}\" title=\"{words} {}\"></span>",
            Micros(micros)
        )
        .expect("a String takes everything");
    }
    write!(html, "</span><span>{}</span>", words.join(", ")).expect("a String takes everything");
}

fn add_row(html: &mut String, name: &str, row: &ClientSummary) {
    let times = |Durations { count, p50, p99, max }: Durations| {
        [p50, p99, max].map(|micros| if count == 0 { "–".to_owned() } else { Micros(micros).to_string() })
    };
    let [wait, database, locks] = [times(row.wait), times(row.database), times(row.row_wait)];
    let busy = row.busy.map_or_else(|| "–".to_owned(), |busy| format!("{:.0}%", busy * 100.0));
    let mut cells = vec![
        Count(row.requests).to_string(),
        Count(row.calls).to_string(),
        format!("{:.1}", row.batch_mean),
        Count(row.batch_max).to_string(),
    ];
    cells.extend(wait.into_iter().chain(database).chain(locks.into_iter().skip(1)));
    cells.extend([busy, Count(row.shed).to_string()]);
    write!(html, "<tr><th scope=row>{}</th>", escape(name)).expect("a String takes everything");
    for cell in cells {
        write!(html, "<td>{cell}</td>").expect("a String takes everything");
    }
    html.push_str("</tr>");
}
