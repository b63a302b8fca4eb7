//! Waits for rows, clocks, and what time was lost to, as text for a terminal.

use std::fmt;

use super::clocks::Skew;
use super::losses::Losses;
use super::printable::printable;
use super::slowest::{HeldBy, Row};
use super::summary::{Summary, WorstHolder};
use super::units::{Count, Micros};

/// Clients whose losses are told.
const CLIENTS_SHOWN: usize = 5;

pub(super) fn write_waits(f: &mut fmt::Formatter<'_>, summary: &Summary) -> fmt::Result {
    let waits = &summary.waits;
    if waits.count > 0 {
        writeln!(
            f,
            "waits     {} for rows, {} in all: {} for calls of these traces, {} for somebody else, {} for nobody (the row \
             was free), {} not known",
            Count(waits.count),
            Micros(waits.micros),
            Count(waits.for_calls),
            Count(waits.for_others),
            Count(waits.for_nobody),
            Count(waits.unknown())
        )?;
    }
    for (position, WorstHolder { holder, waits, micros, .. }) in summary.worst_holders.iter().enumerate() {
        let title = if position == 0 { "held up" } else { "" };
        let plural = if *waits == 1 { "" } else { "s" };
        let (micros, waits) = (Micros(*micros), Count(*waits));
        writeln!(f, "{title:<10}{micros} in {waits} wait{plural} by {}", printable(holder))?;
    }
    for instance in &summary.instances {
        let name = printable(&instance.instance);
        match instance.clock {
            Skew::None => {}
            Skew::Ahead(micros) => {
                let side = if micros < 0 { "behind" } else { "ahead of" };
                let by = Micros(micros.unsigned_abs());
                writeln!(
                    f,
                    "clock     that of {name} is {by} {side} the first one's; the page puts it right"
                )?;
            }
            Skew::Unsteady => {
                writeln!(
                    f,
                    "clock     that of {name} was set meanwhile, or drifts: its times do not fit the others'"
                )?;
            }
        }
    }
    write_losses(f, summary)
}

fn write_losses(f: &mut fmt::Formatter<'_>, summary: &Summary) -> fmt::Result {
    if summary.lost == (Losses { unknown: summary.lost.unknown, ..Losses::default() }) {
        return Ok(());
    }
    let mut line = |title: &str, whose: &str, losses: &Losses| {
        let shares = losses.shares();
        let told = shares.iter().filter(|(_, share)| *share >= 0.005);
        let told: Vec<String> = told.map(|(part, share)| format!("{part} {:.0} %", share * 100.0)).collect();
        if told.is_empty() {
            Ok(())
        } else {
            writeln!(f, "{title:<10}{}: {}", printable(whose), told.join(", "))
        }
    };
    line("time lost", "all", &summary.lost)?;
    if summary.instances.len() > 1 {
        summary.instances.iter().try_for_each(|one| line("", &one.instance, &one.lost))?;
    }
    let clients = summary.clients.iter().take(CLIENTS_SHOWN).filter(|_| summary.clients.len() > 1);
    clients
        .filter_map(|(id, client)| Some((id, client.lost.as_ref()?)))
        .try_for_each(|(id, losses)| line("", &format!("client {id}"), losses))
}

/// Returns the last holder, and how many were before it.
pub(super) fn held_by(row: &Row) -> String {
    let Row::HeldBy(holders) = row else {
        return if matches!(row, Row::Free) { "nobody" } else { "not known" }.into();
    };
    let last = match holders.last() {
        Some(HeldBy { instance: Some(instance), call: Some(call), .. }) => {
            format!("call {call} of {instance}")
        }
        Some(HeldBy { transaction: Some(id), .. }) => format!("somebody else, transaction {}", id.0),
        _ => return "not known".into(),
    };
    match holders.len() - 1 {
        0 => last,
        before => format!("{last}, and {before} before it"),
    }
}
