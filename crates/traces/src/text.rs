//! A summary as text for a terminal.

use std::fmt::{self, Display};

use super::format::{CallReport, Unit};
use super::losses::CLIENTS_MAX;
use super::printable::{Shown, Timestamp, printable};
use super::quantiles::Durations;
use super::reader::Damage;
use super::slowest::SlowRequest;
use super::summary::{Summary, Words};
use super::table::Table;
use super::tally::ClientSummary;
use super::text_waits::{held_by, write_waits};
use super::units::{Count, Micros};

/// Clients that the table shows; `--json` has them all.
const CLIENTS_SHOWN: usize = 20;

/// Everything that a reader is told.
pub(super) struct Report<'a> {
    pub(super) summary: &'a Summary,
    pub(super) slowest: &'a [SlowRequest],
    pub(super) damage: &'a Damage,
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = self.summary;
        if summary.total.requests == 0 && summary.total.calls == 0 {
            f.write_str("Nothing was traced (in what was asked for).\n")?;
            return write_damage(f, summary, self.damage);
        }
        write_head(f, summary)?;
        write_damage(f, summary, self.damage)?;
        write_clients(f, summary)?;
        if !self.slowest.is_empty() {
            write_slowest(f, self.slowest)?;
        }
        Ok(())
    }
}

fn write_head(f: &mut fmt::Formatter<'_>, summary: &Summary) -> fmt::Result {
    let span = Micros(summary.to.saturating_sub(summary.from));
    writeln!(f, "{span} from {}", Timestamp(summary.from))?;
    for instance in &summary.instances {
        let alone = summary.instances.iter().filter(|other| other.instance == instance.instance).count() == 1;
        let since = if alone { String::new() } else { format!(", since {}", Timestamp(instance.started)) };
        let end = if instance.ended { "" } else { ", without its end" };
        writeln!(
            f,
            "  {} ({}{since}): {} requests, {} calls{end}",
            printable(&instance.instance),
            printable(&instance.mode),
            Count(instance.requests),
            Count(instance.calls)
        )?;
    }
    writeln!(f)?;
    for (title, words) in [
        ("requests", &summary.kinds),
        ("outcomes", &summary.outcomes),
        ("calls", &summary.cuts),
        ("failed", &summary.failures),
        ("shed", &summary.sheds),
        ("actors", &summary.actors),
    ] {
        if !words.is_empty() {
            writeln!(f, "{title:<10}{}", Listed(words))?;
        }
    }
    write_waits(f, summary)
}

fn write_damage(f: &mut fmt::Formatter<'_>, summary: &Summary, damage: &Damage) -> fmt::Result {
    if summary.dropped > 0 {
        let count = Count(summary.dropped);
        writeln!(f, "missing   {count} lines were dropped by the writers: these figures lack them")?;
        for (why, count) in &summary.dropped_why {
            writeln!(f, "          {} because {}", Count(*count), why.words())?;
        }
    }
    if let Some((path, line)) = &damage.first_malformed {
        let count = Count(damage.malformed);
        writeln!(f, "malformed {count} lines make no sense, the first is line {line} of {}", Shown(path))?;
    }
    for why in &damage.unread {
        writeln!(f, "unread    {why}")?;
    }
    if let Some(path) = &damage.first_repeated {
        let count = Count(damage.repeated);
        writeln!(f, "repeated  {count} lines are in two files and count once, the first in {}", Shown(path))?;
    }
    for path in &damage.torn {
        writeln!(f, "torn      the last line of {} is not whole", Shown(path))?;
    }
    Ok(())
}

fn write_clients(f: &mut fmt::Formatter<'_>, summary: &Summary) -> fmt::Result {
    let mut table = Table::new(&[
        "client",
        "requests",
        "calls",
        "a call",
        "most",
        "wait p50",
        "p99",
        "max",
        "database p50",
        "p99",
        "max",
        "lock p99",
        "answer p99",
        "busy",
        "shed",
        "left",
    ]);
    table.row(client_row("all", &summary.total));
    for (client, row) in summary.clients.iter().take(CLIENTS_SHOWN) {
        table.row(client_row(&client.to_string(), row));
    }
    if let Some(others) = &summary.others {
        table.row(client_row("others", others));
    }
    writeln!(f, "\n{table}")?;
    let hidden = summary.clients.len().saturating_sub(CLIENTS_SHOWN);
    if hidden > 0 {
        writeln!(f, "{} further clients: see --json or --client.", Count(hidden as u64))?;
    }
    if summary.others.is_some() {
        writeln!(f, "others: paths that name no client, and clients beyond the first {CLIENTS_MAX} met.")?;
    }
    writeln!(
        f,
        "a call, most: requests that one database call carried, of the row's clients. wait: in the mailbox.\n\
         database: a whole call. lock: waiting for row locks in it. busy: time with a call in flight."
    )
}

fn client_row(name: &str, summary: &ClientSummary) -> Vec<String> {
    let mut row = vec![
        name.to_owned(),
        Count(summary.requests).to_string(),
        Count(summary.calls).to_string(),
        format!("{:.1}", summary.batch_mean),
        Count(summary.batch_max).to_string(),
    ];
    let durations = |Durations { count, p50, p99, max }: Durations| {
        [p50, p99, max].map(|micros| if count == 0 { "-".into() } else { Micros(micros).to_string() })
    };
    row.extend(durations(summary.wait));
    row.extend(durations(summary.database));
    row.push(durations(summary.row_wait)[1].clone());
    row.push(durations(summary.took)[1].clone());
    row.push(summary.busy.map_or_else(|| "-".into(), |busy| format!("{:.0}%", busy * 100.0)));
    row.push(Count(summary.shed).to_string());
    row.push(Count(summary.left).to_string());
    row
}

fn write_slowest(f: &mut fmt::Formatter<'_>, slowest: &[SlowRequest]) -> fmt::Result {
    let reported = CallReport::FIGURES.iter().map(|figure| figure.heading);
    let behind = ["rest", "held by", "client", "kind", "outcome", "instance", "call", "arrived", "id"];
    let heads = ["took", "body", "mailbox", "connection"].into_iter().chain(reported).chain(behind);
    let mut table = Table::new(&heads.collect::<Vec<_>>());
    for request in slowest {
        let part =
            |micros: Option<u64>| micros.map_or_else(|| "-".into(), |micros| Micros(micros).to_string());
        let number = |number: Option<String>| number.unwrap_or_else(|| "-".into());
        let outcome = match request.status {
            Some(status) => format!("{status} {}", request.outcome),
            None => request.outcome.clone(),
        };
        let mut row = vec![
            Micros(request.took).to_string(),
            part(request.body),
            part(request.queued),
            part(request.connection),
        ];
        row.extend(CallReport::FIGURES.iter().enumerate().map(|(position, figure)| {
            let value = request.report.map(|report| report.values()[position]);
            match figure.unit {
                Unit::Micros => part(value),
                Unit::Count => number(value.map(|count| Count(count).to_string())),
            }
        }));
        row.extend([
            part(request.rest),
            request.row.as_ref().map_or_else(|| "-".into(), held_by),
            number(request.client.map(|client| client.to_string())),
            request.kind.clone(),
            outcome,
            request.instance.clone(),
            number(request.call.map(|call| call.to_string())),
            TimeOfDay(request.at).to_string(),
            request.id.clone(),
        ]);
        table.row(row);
    }
    writeln!(
        f,
        "\nThe slowest requests, and where their time went (rest: the commit, the way there and back):"
    )?;
    writeln!(f, "{table}")
}

/// Words with their counts, the most frequent first.
struct Listed<'a>(&'a Words);

impl Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<_> = self.0.iter().collect();
        words.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (position, (word, count)) in words.into_iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{} {}", Count(*count), printable(word))?;
        }
        Ok(())
    }
}

/// Microseconds since the epoch as a time of day, UTC.
struct TimeOfDay(u64);

impl Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Timestamp(self.0).to_string();
        let time = text.strip_suffix(" UTC").and_then(|text| Some(text.split_once(' ')?.1));
        f.write_str(time.unwrap_or(&text))
    }
}
