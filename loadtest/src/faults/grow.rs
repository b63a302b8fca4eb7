//! `loadtest grow`: a bank on workers of Citus gets another worker while it is loaded, and that its share of the clients.
//! Callers remember what they were told, and the rows say whether it was true.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use testbed::bank::{self, SHIPPED_CLIENTS};
use testbed::check::Books;
use testbed::cluster::connect;
use testbed::http::Endpoint;
use testbed::signals::interrupted;
use testbed::stack::{Engine, Stack, StackOptions};
use tokio::task::LocalSet;

use super::callers::Callers;
use super::checker::judge;
use super::history::{Call, History, accounts};
use super::{draw, verdict};
use crate::files::report_directory;
use crate::latency::quantile;
use crate::lock::Machine;
use crate::report::document::{self, Chart, Picture};
use crate::report::lines::{Axis, Line, LineChart, Scale};
use crate::report::text::{factor, markdown_table, significant, table};

/// Load before anything counts: sessions begin, and compile their functions.
const WARM_UP: Duration = Duration::from_secs(5);

/// What the parts of the load are called, in their order.
const PARTS: [&str; 4] = ["before", "the worker starts", "clients move", "after"];

/// A point of the chart, in microseconds.
const STEP: u64 = 1_000_000;

/// How large the bank is, and how long it is loaded.
#[derive(Clone, Debug, clap::Args)]
pub struct GrowArgs {
    /// Workers at first
    #[arg(long, default_value_t = 2, value_name = "M", value_parser = clap::value_parser!(u8).range(1..=63))]
    shards: u8,
    /// What each worker may use, in cores, and a gigabyte [default: what there is]
    #[arg(long, value_name = "CPUS")]
    shard_cpus: Option<f64>,
    /// Clients of the bank
    #[arg(long, default_value_t = 200, value_name = "N",
          value_parser = clap::value_parser!(u32).range(i64::from(SHIPPED_CLIENTS)..=100_000))]
    clients: u32,
    /// Callers at once
    #[arg(long, default_value_t = 32, value_name = "N")]
    callers: usize,
    /// Seconds of load before it grows, and as many afterwards
    #[arg(long, default_value_t = 20, value_name = "S", value_parser = clap::value_parser!(u64).range(2..=3_600))]
    seconds: u64,
    /// The service's program [default: the one beside this, else target/release/guiche]
    #[arg(long, value_name = "FILE")]
    guiche: Option<PathBuf>,
    /// Where the report goes [default: reports/grow-TIME]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

/// What came of it.
struct Grown {
    history: History,
    /// When each part begins, and the last one ends, in microseconds of the history.
    marks: [u64; PARTS.len() + 1],
    /// How many of the clients' shards each worker had in the end.
    shards: Vec<i64>,
    /// What is wrong with the books.
    problems: Vec<String>,
}

/// Runs the command to its end.
///
/// # Errors
/// When the stack does not start or stay, or no client moves; when a request failed, a promise was broken or the books
/// are wrong, which is reported all the same.
pub async fn run(args: &GrowArgs) -> Result<()> {
    let directory = report_directory(args.report.as_deref(), "grow");
    let _machine = Machine::take("a bank that grows")?;
    let options = StackOptions {
        shards: Some(args.shards),
        shard_cpus: args.shard_cpus,
        engine: Engine::Citus,
        port: 0,
        guiche: args.guiche.clone(),
        ..StackOptions::default()
    };
    let mut stack = Stack::start(options, &|step| out!("{step}")).await?;
    let local = LocalSet::new();
    let grown = tokio::select! {
        grown = local.run_until(load(&mut stack, args)) => grown,
        signal = interrupted() => Err(anyhow!("stopped by {signal}")),
    };
    let grown = stack.stop_after("growing", grown).await?;
    let page = report(&grown, args, &directory)?;
    out!("{}\n{}\nReport: {}", table(&rows(&grown)), summary(&grown), page.display());
    let (violations, failed) = (judge(&grown.history), grown.failed());
    if !violations.is_empty() || failed > 0 {
        let path = directory.join("history.jsonl");
        grown.history.write(&path)?;
        draw(&grown.history, &violations, &path)?;
    }
    verdict(&violations, Some(&directory))?;
    ensure!(grown.problems.is_empty(), "the books are wrong:\n  {}", grown.problems.join("\n  "));
    ensure!(failed == 0, "{failed} requests failed: {}", directory.join("history.jsonl").display());
    Ok(())
}

/// Loads the stack while it grows.
async fn load(stack: &mut Stack, args: &GrowArgs) -> Result<Grown> {
    let client = connect(&stack.admin_url()).await?;
    bank::seed(&client, args.clients, bank::LIMIT).await?;
    let endpoint = Endpoint::Tcp(stack.nginx.address);
    let callers = Callers::start(endpoint, args.clients, args.callers, false, 1);
    let part = Duration::from_secs(args.seconds);
    tokio::time::sleep(WARM_UP).await;
    let mut marks = [callers.now(); PARTS.len() + 1];
    tokio::time::sleep(part).await;
    marks[1] = callers.now();
    out!("another worker is started");
    stack.grow().await?;
    marks[2] = callers.now();
    out!("clients move to it");
    // The first only starts it, and has to have committed.
    for sql in ["SELECT citus_rebalance_start()", "SELECT citus_rebalance_wait()"] {
        tokio::select! {
            done = client.batch_execute(sql) => done.context(sql)?,
            (_, obituary) = stack.ended() => return Err(obituary),
        }
    }
    marks[3] = callers.now();
    tokio::time::sleep(part).await;
    marks[4] = callers.now();
    let calls = callers.stop().await;

    let sql = "SELECT (SELECT state::text FROM pg_dist_background_job ORDER BY job_id DESC LIMIT 1),
                      (SELECT array_agg(shards ORDER BY nodename) FROM (
                           SELECT nodename, count(*) AS shards FROM citus_shards
                           WHERE table_name = 'clientes'::regclass GROUP BY nodename) AS x)";
    let row = client.query_one(sql, &[]).await.context("cannot ask where the clients are")?;
    let (state, shards): (String, Vec<i64>) = (row.try_get(0)?, row.try_get(1)?);
    ensure!(state == "finished", "the move is {state}: see citus_job_status in the coordinator's log");
    ensure!(shards.len() == stack.shards.0.len(), "no client has moved: {shards:?}");
    let problems = Books::read(&stack.admin_url()).await?.problems();
    let history = History { calls, accounts: accounts(&stack.admin_url()).await? };
    Ok(Grown { history, marks, shards, problems })
}

impl Grown {
    /// Returns the calls that were over in a span of time.
    fn over(&self, [from, to]: [u64; 2]) -> impl Iterator<Item = &Call> {
        self.history.calls.iter().filter(move |call| (from..to).contains(&call.end))
    }

    /// Returns how many of all calls were not answered as they should be.
    fn failed(&self) -> usize {
        self.history.calls.iter().filter(|call| !call.is_answered()).count()
    }

    /// Returns how many a second were answered in it.
    fn rate(&self, span: [u64; 2]) -> f64 {
        self.over(span).filter(|call| call.is_answered()).count() as f64 * 1e6 / (span[1] - span[0]) as f64
    }

    /// Returns how many a second were answered before it grew.
    fn rate_before(&self) -> f64 {
        self.rate([self.marks[0], self.marks[1]])
    }

    fn spans(&self) -> impl Iterator<Item = (&'static str, [u64; 2])> {
        PARTS.into_iter().zip(self.marks.windows(2).map(|marks| [marks[0], marks[1]]))
    }
}

/// Returns the headings, and a row for each part.
fn rows(grown: &Grown) -> Vec<Vec<String>> {
    let header =
        ["part", "seconds", "requests", "failed", "answers/s, of before", "p50 ms", "p99 ms", "slowest ms"];
    let before = grown.rate_before();
    let row = |(name, span): (&str, [u64; 2])| {
        let mut times: Vec<f64> = grown.over(span).map(|call| (call.end - call.start) as f64 / 1e3).collect();
        times.sort_by(f64::total_cmp);
        let failed = grown.over(span).filter(|call| !call.is_answered()).count();
        let mut row = vec![name.to_owned(), significant((span[1] - span[0]) as f64 / 1e6)];
        row.extend([times.len(), failed].map(|count| count.to_string()));
        row.push(factor(grown.rate(span) / before));
        row.extend([0.5, 0.99, 1.0].map(|share| significant(quantile(&times, share))));
        row
    };
    std::iter::once(header.map(str::to_owned).to_vec()).chain(grown.spans().map(row)).collect()
}

fn summary(grown: &Grown) -> String {
    let shards: Vec<String> = grown.shards.iter().map(i64::to_string).collect();
    format!(
        "{} of {} requests failed. In the end the workers had {} of the clients’ shards.",
        grown.failed(),
        grown.history.calls.len(),
        shards.join(", ")
    )
}

/// Writes the report; returns its page.
fn report(grown: &Grown, args: &GrowArgs, directory: &Path) -> Result<PathBuf> {
    let before = grown.rate_before();
    let line = |(name, [from, to]): (&'static str, [u64; 2])| {
        let steps = (from..to).step_by(STEP as usize).filter(|at| at + STEP <= to || to - from < STEP);
        let points = steps.map(|at| {
            let end = (at + STEP).min(to);
            ((at + end - 2 * grown.marks[0]) as f64 / 2e6, 100.0 * grown.rate([at, end]) / before)
        });
        Line { name, points: points.collect() }
    };
    let chart = Chart::Lines(LineChart {
        description: "How many requests were answered in each second, as a share of the mean before it grew",
        x: Axis { label: "seconds", scale: Scale::Linear },
        y: Axis { label: "answers/s, % of before", scale: Scale::Linear },
        lines: grown.spans().map(line).collect(),
    });
    let pictures = [Picture { file: "grow.svg", title: "", note: String::new(), chart }];
    let markdown = format!(
        "# A bank that grows\n\n{} workers and one more{}; {} clients, {} callers. {}\n\n\
         ![Answers per second over time](grow.svg)\n\n{}",
        args.shards,
        args.shard_cpus.map_or(String::new(), |cpus| format!(", {cpus} CPUs each")),
        args.clients,
        args.callers,
        summary(grown),
        markdown_table(&rows(grown), 1),
    );
    document::write(directory, &markdown, &pictures)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::history::{Asked, Told};
    use super::*;

    #[test]
    fn parts_are_told_apart_and_a_refusal_is_no_answer() {
        let call = |(at_ms, told): (u64, Told)| Call {
            client: 1,
            start: at_ms * 1_000,
            end: at_ms * 1_000 + 500,
            asked: Asked::Statement,
            told,
        };
        let applied = |at_ms| (at_ms, Told::Applied(1));
        let calls =
            [applied(0), applied(10), applied(1_000), (1_500, Told::Refused), applied(2_000), applied(3_000)];
        let grown = Grown {
            history: History { calls: calls.map(call).to_vec(), accounts: BTreeMap::new() },
            marks: [0, 1_000_000, 2_000_000, 3_000_000, 4_000_000],
            shards: vec![16, 8, 8],
            problems: Vec::new(),
        };
        let rows: Vec<String> = rows(&grown).iter().map(|row| row[..5].join(" ")).collect();
        assert_eq!(
            rows[1..],
            [
                "before 1 2 0 1.0",
                "the worker starts 1 2 1 0.50",
                "clients move 1 1 0 0.50",
                "after 1 1 0 0.50"
            ]
        );
        assert!(
            summary(&grown).starts_with("1 of 6 requests failed. In the end the workers had 16, 8, 8 of")
        );
    }
}
