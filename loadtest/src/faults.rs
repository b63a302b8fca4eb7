//! `loadtest faults`: breaks a running stack in one way after the other, under load, and proves that nothing
//! is lost, doubled or stale.

pub mod callers;
pub mod checker;
pub mod disaster;
pub mod grow;
pub mod history;
pub mod picture;
pub mod strike;
pub mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::ValueEnum;
use testbed::bank::SHIPPED_CLIENTS;
use testbed::http::Endpoint;
use testbed::nginx::Balancing;
use testbed::stack::{Stack, StackOptions};
use tokio::task::LocalSet;

use crate::files::{report_directory, save, timestamp};
use crate::report::text::{markdown_table, table};
use callers::Callers;
use checker::{Violation, judge};
use disaster::{Disaster, Fault};
use history::{History, accounts};
use strike::{Strike, strike};

/// Violations that are shown; the file has all.
const SHOWN: usize = 10;

/// Pairs that are played once each is, and of how many draws one is a pair.
const PAIRS: usize = 5;
const ONE_PAIR_IN: usize = 3;

/// What `faults` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct FaultsArgs {
    /// Only this fault, or two at once (`hold-row+kill-instance`); may be repeated [default: all, and pairs]
    #[arg(long, value_name = "FAULT[+FAULT]")]
    fault: Vec<Fault>,
    /// Only this way of NGINX to share out; may be repeated [default: all]
    #[arg(long, value_enum)]
    balancing: Vec<Balancing>,
    /// For so many minutes, with faults drawn at random, in place of each once
    #[arg(long)]
    minutes: Option<f64>,
    /// Callers at once
    #[arg(long, default_value_t = 24)]
    callers: usize,
    /// Callers ask for each transaction under a key, again until they know what became of it
    #[arg(long)]
    keyed: bool,
    /// What everything random is drawn from [default: another one each time, which is told]
    #[arg(long)]
    seed: Option<u64>,
    /// Where the report goes [default: reports/faults-TIME]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Judge a history that was kept, draw what is wrong with it beside the file, and do nothing else
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
}

/// What came of the faults that were played on one stack.
struct Played {
    strikes: Vec<Strike>,
    calls: usize,
    violations: Vec<Violation>,
    /// Why it ended too early, if it did.
    failure: Option<anyhow::Error>,
}

/// Plays the faults, or judges a history.
///
/// # Errors
/// When a stack does not start or stay, or does not recover, and when a promise was broken; what was seen until
/// then is reported all the same.
pub async fn run(args: &FaultsArgs) -> Result<()> {
    if let Some(path) = &args.replay {
        let history = History::read(path)?;
        out!("{} calls of {} clients", history.calls.len(), history.accounts.len());
        let violations = judge(&history);
        draw(&history, &violations, path)?;
        return verdict(&violations, None);
    }
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    out!("seed {seed}");
    let directory = report_directory(args.report.as_deref(), "faults");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let (faults, left_out) = choose(&args.fault)?;
    // Behind proxies a stack is another one: what dies behind one is not refused at once.
    let linked: Vec<Fault> = faults.iter().filter(|fault| fault.needs_links()).cloned().collect();
    let plain: Vec<Fault> = faults.iter().filter(|fault| !fault.needs_links()).cloned().collect();
    let groups = [(&plain, &plain), (&linked, &faults)];
    left_out.iter().for_each(|line| out!("{line}"));
    let balancings = match &args.balancing[..] {
        [] => Balancing::value_variants(),
        chosen => chosen,
    };
    let (mut strikes, mut calls, mut violations, mut failures) = (Vec::new(), 0, Vec::new(), Vec::new());
    let sessions = balancings.iter().flat_map(|balancing| groups.map(|group| (*balancing, group)));
    for (balancing, (own, partners)) in sessions.filter(|(_, (own, _))| !own.is_empty()) {
        let share = own.len() as f64 / (faults.len() * balancings.len()) as f64;
        let minutes = args.minutes.map(|minutes| minutes * share);
        let session =
            Session { args, faults: own, partners, balancing, minutes, seed, directory: &directory };
        match LocalSet::new().run_until(session.play()).await {
            Ok(played) => {
                calls += played.calls;
                strikes.extend(played.strikes);
                violations.extend(played.violations);
                failures.extend(played.failure);
            }
            Err(error) => failures.push(error.context(format!("with {balancing}"))),
        }
        failures.iter().for_each(|failure| out!("failed: {failure:#}"));
    }
    let rows = table::rows(&strikes);
    out!("\n{}", table(&rows));
    out!("{calls} calls were judged, {} promises broken", violations.len());
    let text = format!(
        "# Faults\n\n{} UTC, seed {seed}. {calls} calls were judged, {} promises broken.\n\n{}\n{}\n{}",
        timestamp(),
        violations.len(),
        markdown_table(&rows, 2),
        left_out.join("\n"),
        table::waits(&strikes),
    );
    let path = directory.join("report.md");
    save(&path, &text)?;
    out!("Report: {}", path.display());
    verdict(&violations, Some(&directory))?;
    failures.into_iter().next().map_or(Ok(()), Err)
}

/// Returns the faults that can be had here, of those asked for or of all, and a line for each that cannot.
fn choose(asked: &[Fault]) -> Result<(Vec<Fault>, Vec<String>)> {
    let all = || Disaster::all().map(|disaster| Fault(vec![disaster])).collect();
    let asked: Vec<Fault> = if asked.is_empty() { all() } else { asked.to_vec() };
    let mut left_out = BTreeMap::new();
    for disaster in asked.iter().flat_map(|fault| &fault.0) {
        if let Some(why) = disaster.left_out() {
            left_out.insert(*disaster, format!("{disaster} is left out, because {why}"));
        }
    }
    let can_be_had = |fault: &Fault| fault.0.iter().all(|disaster| !left_out.contains_key(disaster));
    let faults: Vec<Fault> = asked.into_iter().filter(can_be_had).collect();
    let left_out: Vec<String> = left_out.into_values().collect();
    ensure!(!faults.is_empty(), "nothing is left to be played: {}", left_out.join("; "));
    Ok((faults, left_out))
}

/// The faults that are played on one stack.
struct Session<'a> {
    args: &'a FaultsArgs,
    faults: &'a [Fault],
    /// What may come together with one of these.
    partners: &'a [Fault],
    balancing: Balancing,
    minutes: Option<f64>,
    seed: u64,
    directory: &'a Path,
}

impl Session<'_> {
    async fn play(&self) -> Result<Played> {
        let balancing = self.balancing;
        let linked = self.faults.iter().any(Fault::needs_links);
        let links = linked.then_some(self.seed);
        let options = StackOptions { balancing, port: 0, links, ..StackOptions::default() };
        let mut stack = Stack::start(options, &|_: &str| {}).await?;
        // It starts PostgreSQL again, the first time.
        if self.partners.iter().any(Fault::is_preloaded) {
            stack.cluster.delay_fsync(Duration::ZERO).await?;
        }
        let endpoint = Endpoint::Tcp(stack.nginx.address);
        let callers =
            Callers::start(endpoint, SHIPPED_CLIENTS, self.args.callers, self.args.keyed, self.seed);
        let mut strikes = Vec::new();
        let failure = self.strike_all(&mut stack, &callers, &mut strikes).await.err();
        let calls = callers.stop().await;
        let accounts = accounts(&stack.admin_url()).await;
        let stopped = stack.stop().await;
        let failure = failure.map(|error| anyhow!("{error:#}, with {balancing}")).or(stopped.err());
        let accounts = match accounts {
            Ok(accounts) => accounts,
            Err(error) => return Err(failure.unwrap_or(error)),
        };
        let history = History { calls, accounts };
        let violations = judge(&history);
        if !violations.is_empty() {
            let name = if linked { format!("{balancing}-links") } else { balancing.to_string() };
            let path = self.directory.join(format!("{name}.jsonl"));
            history.write(&path)?;
            draw(&history, &violations, &path)?;
        }
        strike::attribute(&mut strikes, &violations);
        Ok(Played { strikes, calls: history.calls.len(), violations, failure })
    }

    /// Strikes as often as there is time, or with each once and a few pairs.
    async fn strike_all(
        &self,
        stack: &mut Stack,
        callers: &Callers,
        strikes: &mut Vec<Strike>,
    ) -> Result<()> {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let begin = Instant::now();
        let pairs = if self.args.fault.is_empty() { PAIRS } else { 0 };
        for number in 0.. {
            let fault = match self.minutes {
                Some(minutes) if begin.elapsed().as_secs_f64() > minutes * 60.0 => break,
                Some(_) => self.draw(&mut random),
                None if number < self.faults.len() => self.faults[number].clone(),
                None if number == self.faults.len() + pairs => break,
                None => self.pair(&mut random),
            };
            let strike = strike(stack, callers, self.balancing, fault, &mut random).await?;
            out!("{:6.1} s  {}", begin.elapsed().as_secs_f64(), table::line(&strike));
            table::stalls(&strike).for_each(|line| out!("          {line}"));
            strikes.push(strike);
        }
        Ok(())
    }

    fn draw(&self, random: &mut fastrand::Rng) -> Fault {
        match random.usize(..ONE_PAIR_IN) {
            0 if self.args.fault.is_empty() => self.pair(random),
            _ => self.faults[random.usize(..self.faults.len())].clone(),
        }
    }

    /// Draws one of these, and a partner that is not the same.
    fn pair(&self, random: &mut fastrand::Rng) -> Fault {
        let one = &self.faults[random.usize(..self.faults.len())];
        let others: Vec<&Fault> = self.partners.iter().filter(|partner| *partner != one).collect();
        let other = random.choice(others).unwrap_or(one);
        Fault([one, other].into_iter().flat_map(|fault| fault.0.clone()).collect())
    }
}

/// Draws what is wrong with a history, if anything is, beside its file.
fn draw(history: &History, violations: &[Violation], beside: &Path) -> Result<()> {
    if violations.is_empty() {
        return Ok(());
    }
    let path = beside.with_extension("html");
    save(&path, &picture::draw(history, violations))?;
    out!("Drawn: {}", path.display());
    Ok(())
}

fn verdict(violations: &[Violation], kept: Option<&Path>) -> Result<()> {
    if violations.is_empty() {
        return Ok(());
    }
    let mut kinds = BTreeMap::<_, u64>::new();
    for Violation { kind, client, what, .. } in violations {
        let count = kinds.entry(*kind).or_default();
        *count += 1;
        if *count <= SHOWN as u64 {
            out!("{kind}, client {client}: {what}");
        }
    }
    let kinds: Vec<String> = kinds.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let again = kept.map_or(String::new(), |directory| {
        format!("; judge it again with --replay {}/….jsonl", directory.display())
    });
    bail!("promises were broken: {}{again}", kinds.join(", "))
}
