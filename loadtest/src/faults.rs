//! `loadtest faults`: breaks a running stack in one way after the other, under load, and proves that nothing
//! is lost, doubled or stale.

pub mod callers;
pub mod checker;
pub mod disaster;
pub mod history;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use testbed::http::Endpoint;
use testbed::nginx::Balancing;
use testbed::stack::{Stack, StackOptions};
use tokio::task::LocalSet;

use crate::contest::args::timestamp;
use crate::report::text::{markdown_table, table};
use callers::Callers;
use checker::{Violation, judge};
use disaster::Disaster;
use history::{Call, History, Told, accounts};

/// How long all goes well before a fault, and at least after it.
const CALM: Duration = Duration::from_secs(1);

/// How long it may take after a fault until all goes well again.
const RECOVERY: Duration = Duration::from_secs(20);

/// Violations that are shown; the file has all.
const SHOWN: usize = 10;

/// What `faults` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct FaultsArgs {
    /// Only this fault; may be repeated [default: all]
    #[arg(long, value_enum)]
    fault: Vec<Disaster>,
    /// Only this way of NGINX to share out; may be repeated [default: all]
    #[arg(long, value_enum)]
    balancing: Vec<Balancing>,
    /// For so many minutes, with faults drawn at random, in place of each once
    #[arg(long)]
    minutes: Option<f64>,
    /// Callers at once
    #[arg(long, default_value_t = 24)]
    callers: usize,
    /// What everything random is drawn from [default: another one each time, which is told]
    #[arg(long)]
    seed: Option<u64>,
    /// Where the report goes [default: reports/faults-TIME]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Judge a history that was kept, and do nothing else
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
}

/// One fault under one way to share out, and what callers saw of it.
struct Strike {
    balancing: Balancing,
    disaster: Disaster,
    seen: Seen,
    /// From when everything was there again to the last answer that was not as it should be.
    recovery: Duration,
}

/// Answers by what they said.
#[derive(Clone, Copy, Default)]
struct Seen {
    answered: u64,
    refused: u64,
    unknown: u64,
}

/// Plays the faults, or judges a history.
///
/// # Errors
/// When the stack does not start or stay, when it does not recover, and when a promise was broken.
pub async fn run(args: &FaultsArgs) -> Result<()> {
    if let Some(path) = &args.replay {
        let history = History::read(path)?;
        println!("{} calls of {} clients", history.calls.len(), history.accounts.len());
        return verdict(&judge(&history), None);
    }
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    let directory = args
        .report
        .clone()
        .unwrap_or_else(|| testbed::repository_root().join(format!("reports/faults-{}", timestamp())));
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let all = |chosen: &[Balancing]| match chosen {
        [] => Balancing::value_variants().to_vec(),
        chosen => chosen.to_vec(),
    };
    let (mut strikes, mut calls, mut violations) = (Vec::new(), 0, Vec::new());
    let balancings = all(&args.balancing);
    for balancing in &balancings {
        let minutes = args.minutes.map(|minutes| minutes / balancings.len() as f64);
        let (played, history) = LocalSet::new().run_until(play(args, *balancing, minutes, seed)).await?;
        calls += history.calls.len();
        strikes.extend(played);
        let found = judge(&history);
        if !found.is_empty() {
            history.write(&directory.join(format!("{balancing}.jsonl")))?;
        }
        violations.extend(found);
    }
    let rows = rows(&strikes);
    println!("\n{}", table(&rows));
    println!("{calls} calls were judged, {} promises broken", violations.len());
    write_report(&directory, seed, calls, &rows, &violations)?;
    verdict(&violations, Some(&directory))
}

/// Plays faults against a stack of their own.
async fn play(
    args: &FaultsArgs,
    balancing: Balancing,
    minutes: Option<f64>,
    seed: u64,
) -> Result<(Vec<Strike>, History)> {
    let options = StackOptions { balancing, port: 0, ..StackOptions::default() };
    let mut stack = Stack::start(options, &|_: &str| {}).await?;
    let callers = Callers::start(Endpoint::Tcp(stack.nginx.address), args.callers, seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let faults = if args.fault.is_empty() { Disaster::value_variants() } else { &args.fault };
    let begin = Instant::now();
    let mut strikes = Vec::new();
    let struck = async {
        for number in 0.. {
            let disaster = match minutes {
                Some(minutes) if begin.elapsed().as_secs_f64() > minutes * 60.0 => break,
                Some(_) => faults[random.usize(..faults.len())],
                None if number == faults.len() => break,
                None => faults[number],
            };
            let strike = strike(&mut stack, &callers, balancing, disaster, &mut random).await?;
            println!("{:6.1} s  {}", begin.elapsed().as_secs_f64(), row(&[&strike]).join("  "));
            strikes.push(strike);
        }
        anyhow::Ok(())
    };
    let outcome = struck.await;
    let calls = callers.stop().await;
    let accounts = accounts(&stack.admin_url()).await;
    stack.stop().await?;
    outcome?;
    Ok((strikes, History { calls, accounts: accounts? }))
}

/// Strikes once, in calm, and waits until all goes well again.
async fn strike(
    stack: &mut Stack,
    callers: &Callers,
    balancing: Balancing,
    disaster: Disaster,
    random: &mut fastrand::Rng,
) -> Result<Strike> {
    tokio::time::sleep(CALM).await;
    let first = callers.count();
    disaster.strike(stack, random).await.with_context(|| format!("{disaster} with {balancing}"))?;
    let healed = callers.now();
    let is_good = |call: &Call| !matches!(call.told, Told::Refused | Told::Unknown | Told::Wrong(_));
    let deadline = Instant::now() + RECOVERY;
    loop {
        tokio::time::sleep(CALM / 4).await;
        let (last_bad, seen) = callers.look(|calls| {
            let of_strike = &calls[first..];
            let last_bad = of_strike.iter().rev().find(|call| !is_good(call)).map_or(0, |call| call.end);
            (last_bad, Seen::of(of_strike))
        });
        let calm_since = last_bad.max(healed);
        if callers.now() - calm_since >= CALM.as_micros() as u64 {
            let recovery = Duration::from_micros(calm_since - healed);
            return Ok(Strike { balancing, disaster, seen, recovery });
        }
        ensure!(Instant::now() < deadline, "{disaster} with {balancing}: not well after {RECOVERY:?}");
    }
}

impl Seen {
    fn of(calls: &[Call]) -> Seen {
        let mut seen = Seen::default();
        for call in calls {
            match call.told {
                Told::Refused => seen.refused += 1,
                Told::Unknown | Told::Wrong(_) => seen.unknown += 1,
                _ => seen.answered += 1,
            }
        }
        seen
    }
}

const HEADINGS: [&str; 7] =
    ["fault", "balancing", "times", "answered", "refused", "unknown", "normal after s, at most"];

fn row(strikes: &[&Strike]) -> Vec<String> {
    let Some(Strike { balancing, disaster, .. }) = strikes.first() else { return Vec::new() };
    let sum =
        |count: fn(&Seen) -> u64| strikes.iter().map(|strike| count(&strike.seen)).sum::<u64>().to_string();
    let longest = strikes.iter().map(|strike| strike.recovery).max().unwrap_or_default();
    vec![
        disaster.to_string(),
        balancing.to_string(),
        strikes.len().to_string(),
        sum(|seen| seen.answered),
        sum(|seen| seen.refused),
        sum(|seen| seen.unknown),
        format!("{:.2}", longest.as_secs_f64()),
    ]
}

/// Returns the headings, and a row for each fault and way to share out.
fn rows(strikes: &[Strike]) -> Vec<Vec<String>> {
    let mut alike = BTreeMap::<(Disaster, String), Vec<&Strike>>::new();
    for strike in strikes {
        alike.entry((strike.disaster, strike.balancing.to_string())).or_default().push(strike);
    }
    let headings = HEADINGS.map(str::to_owned).to_vec();
    std::iter::once(headings).chain(alike.values().map(|strikes| row(strikes))).collect()
}

fn write_report(
    directory: &Path,
    seed: u64,
    calls: usize,
    rows: &[Vec<String>],
    violations: &[Violation],
) -> Result<()> {
    let text = format!(
        "# Faults\n\n{} UTC, seed {seed}. {calls} calls were judged, {} promises broken.\n\n{}",
        timestamp(),
        violations.len(),
        markdown_table(rows, 2)
    );
    let path = directory.join("report.md");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("Report: {}", path.display());
    Ok(())
}

fn verdict(violations: &[Violation], kept: Option<&Path>) -> Result<()> {
    if violations.is_empty() {
        return Ok(());
    }
    let mut kinds = BTreeMap::<_, u64>::new();
    for Violation { kind, client, what } in violations {
        let count = kinds.entry(*kind).or_default();
        *count += 1;
        if *count <= SHOWN as u64 {
            println!("{kind}, client {client}: {what}");
        }
    }
    let kinds: Vec<String> = kinds.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let again = kept.map_or(String::new(), |directory| {
        format!("; judge it again with --replay {}/….jsonl", directory.display())
    });
    bail!("promises were broken: {}{again}", kinds.join(", "))
}
