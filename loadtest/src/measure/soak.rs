//! `loadtest soak`: one stack within the contest's limits, loaded by wrk as hard as it can take for as long as is
//! asked for. Each minute is a row: what was answered, what each part has in memory, what the database has written and
//! what it did to keep itself in order.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio_postgres::Client;

use super::declaration::Declaration;
use super::figures::Spread;
use super::run::{make_bank, options};
use super::setup::{Arrivals, Setup};
use super::wrk::{Load, Wrk};
use crate::files::report_directory;
use crate::lock::Machine;
use crate::report::document::{self, Chart, Picture};
use crate::report::lines::{Axis, Line, LineChart, Scale};
use crate::report::text::{self, markdown_table, megabytes, significant};
use testbed::check::Books;
use testbed::cluster::connect;
use testbed::scrape::Work;
use testbed::signals::interrupted;
use testbed::stack::{Limits, Stack};

/// The share of the median below which a minute is held to have been slow.
const SLOW: f64 = 0.8;

/// How long, and on what.
#[derive(Clone, Debug, clap::Args)]
pub struct SoakArgs {
    /// Minutes of load
    #[arg(long, default_value_t = 10.0, value_name = "M")]
    minutes: f64,

    /// Seconds that are one row
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    every: u32,

    /// What is set where it is not what is shipped, such as clients=1000000,history=10000000; the words are those
    /// of `bench --case`
    #[arg(long, default_value = "", value_name = "KEY=VALUE,…", hide_default_value = true)]
    base: String,

    /// Where the report goes [default: reports/soak-TIME]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

/// What was seen of one minute.
#[derive(Clone, Debug, Default)]
struct Minute {
    answers_per_s: f64,
    p99_ms: f64,
    /// Anonymous and shared memory of each service at its end.
    memory: Vec<(&'static str, u64)>,
    kept: Kept,
}

/// What the database says of itself, since it was made.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    wal_bytes: i64,
    table_bytes: i64,
    index_bytes: i64,
    checkpoints: i64,
    /// Vacuums and analyses that came by themselves.
    vacuums: i64,
    /// Database transactions since the oldest row that is not frozen.
    age: i64,
}

/// Runs the command to its end.
///
/// # Errors
/// When the stack does not start or stay, or its limits cannot be enforced, when it was interrupted, and when the books
/// are wrong in the end. The report has the rows that there are.
pub async fn run(args: &SoakArgs) -> Result<()> {
    let setup = Declaration::bench()?.base()?.with(&args.base)?;
    setup.check()?;
    ensure!(
        matches!(setup.arrivals, Arrivals::Saturating { .. }),
        "a soak is loaded by wrk: connections, and no users, rate or pace"
    );
    let rows = (args.minutes * 60.0 / f64::from(args.every)).round();
    ensure!((1.0..=100_000.0).contains(&rows), "--minutes {} is no row, or too many", args.minutes);
    let directory = report_directory(args.report.as_deref(), "soak");
    let wrk = Wrk::find()?;
    let _machine = Machine::take("a soak")?;
    let stack = Stack::start(options(&setup, None)?, &|step| out!("{step}")).await?;
    let mut minutes = Vec::new();
    let soaked = tokio::select! {
        soaked = soak(&stack, &wrk, &setup, (rows as u32, args.every), &mut minutes) => soaked,
        signal = interrupted() => Err(anyhow::anyhow!("stopped by {signal}")),
    };
    let soaked = stack.stop_after("a soak", soaked).await;
    if !minutes.is_empty() {
        let unfinished = soaked.as_ref().err().map(|why| format!(" Not finished: {why:#}."));
        let page = report(&minutes, &unfinished.unwrap_or_default(), args, &directory)?;
        out!("{}\n{}\nReport: {}", text::table(&table(&minutes)), verdict(&minutes), page.display());
    }
    let problems = soaked?;
    ensure!(problems.is_empty(), "the books are wrong:\n  {}", problems.join("\n  "));
    Ok(())
}

/// Loads it row by row, and adds what was seen to `minutes`. Returns what is wrong with the books.
async fn soak(
    stack: &Stack,
    wrk: &Wrk,
    setup: &Setup,
    (rows, every_s): (u32, u32),
    minutes: &mut Vec<Minute>,
) -> Result<Vec<String>> {
    if let Limits::NotPermitted(_) | Limits::NotAsked = stack.limits {
        bail!("{}; a soak without them means nothing", stack.limits);
    }
    let client = connect(&stack.admin_url()).await?;
    let laid_down = make_bank(&client, setup).await?;
    let duration = Duration::from_secs(every_s.into());
    let url = stack.url();
    let mut before = Kept::read(&client).await?;
    for row in 0..rows {
        let load = Load { url: &url, setup, duration, seed: row, cpus: None };
        let run = wrk.play(&load, stack.dir(), &mut || ()).await?;
        ensure!(run.requests > 0, "not one request was answered in row {}", row + 1);
        let (used, now) = (stack.usage(), Kept::read(&client).await?);
        let bytes = |one: &testbed::ServiceUsage| one.used.anonymous_bytes + one.used.shared_bytes;
        let minute = Minute {
            answers_per_s: run.requests as f64 / run.seconds,
            p99_ms: run.latency_ms.p99,
            memory: used.iter().map(|one| (one.service.name(), bytes(one))).collect(),
            kept: now.since(before),
        };
        out!("{:>4}  {:>8.0}/s  p99 {:.1} ms", row + 1, minute.answers_per_s, minute.p99_ms);
        minutes.push(minute);
        before = now;
    }
    let (mut books, counts) = Books::read_with_counts(&stack.admin_url(), &stack.metrics).await?;
    books.rows = books.rows.saturating_sub(laid_down);
    Ok(books.problems_beside(&Work::of(&counts)))
}

impl Kept {
    async fn read(client: &Client) -> Result<Kept> {
        let sql = "SELECT current_setting('server_version_num')::int >= 170000";
        let recent: bool =
            client.query_one(sql, &[]).await.context("cannot ask for the version")?.try_get(0)?;
        let checkpoints = match recent {
            true => "SELECT num_timed + num_requested FROM pg_stat_checkpointer",
            false => "SELECT checkpoints_timed + checkpoints_req FROM pg_stat_bgwriter",
        };
        let sql = format!(
            "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, pg_table_size('transacoes'),
                    pg_indexes_size('transacoes'), ({checkpoints}),
                    (SELECT sum(autovacuum_count + autoanalyze_count) FROM pg_stat_user_tables)::bigint,
                    (SELECT max(age(relfrozenxid)) FROM pg_class WHERE relname IN ('clientes', 'transacoes'))::bigint"
        );
        let row = client.query_one(&sql, &[]).await.context("cannot read the database's statistics")?;
        let [wal_bytes, table_bytes, index_bytes] = [row.try_get(0)?, row.try_get(1)?, row.try_get(2)?];
        let [checkpoints, vacuums, age] = [row.try_get(3)?, row.try_get(4)?, row.try_get(5)?];
        Ok(Kept { wal_bytes, table_bytes, index_bytes, checkpoints, vacuums, age })
    }

    /// Returns what was written and done since then; sizes and the age stay what they are now.
    fn since(self, before: Kept) -> Kept {
        Kept {
            wal_bytes: self.wal_bytes - before.wal_bytes,
            checkpoints: self.checkpoints - before.checkpoints,
            vacuums: self.vacuums - before.vacuums,
            ..self
        }
    }
}

/// Returns the headings, and a row for each minute.
fn table(minutes: &[Minute]) -> Vec<Vec<String>> {
    let services = minutes.first().map_or(&[][..], |minute| &minute.memory);
    let header = ["row", "answers/s", "p99 ms"].map(str::to_owned).into_iter();
    let header = header.chain(services.iter().map(|(name, _)| format!("{name} memory")));
    let header = header
        .chain(["WAL", "table", "its index", "checkpoints", "autovacuum", "age in xids"].map(str::to_owned));
    let row = |(index, minute): (usize, &Minute)| {
        let Minute { answers_per_s, p99_ms, memory, kept } = minute;
        let mut row = vec![(index + 1).to_string(), significant(*answers_per_s), significant(*p99_ms)];
        row.extend(memory.iter().map(|(_, bytes)| megabytes(*bytes)));
        let sizes = [kept.wal_bytes, kept.table_bytes, kept.index_bytes];
        row.extend(sizes.map(|bytes| megabytes(bytes.unsigned_abs())));
        row.extend([kept.checkpoints, kept.vacuums, kept.age].map(|count| count.to_string()));
        row
    };
    std::iter::once(header.collect()).chain(minutes.iter().enumerate().map(row)).collect()
}

fn median(minutes: &[Minute], of: impl Fn(&Minute) -> f64) -> f64 {
    Spread::of(minutes.iter().map(of).collect()).median
}

/// Returns in a sentence whether it was steady.
fn verdict(minutes: &[Minute]) -> String {
    let median = median(minutes, |minute| minute.answers_per_s);
    let least = minutes.iter().map(|minute| minute.answers_per_s / median).fold(f64::INFINITY, f64::min);
    let slow = minutes.iter().filter(|minute| minute.answers_per_s < SLOW * median).count();
    let what =
        if slow == 0 { "No row is".to_owned() } else { format!("{slow} of {} rows are", minutes.len()) };
    format!(
        "{what} under {SLOW} of the median, {} answers/s; the least is {least:.2} of it.",
        significant(median)
    )
}

/// Writes the report; returns its page.
fn report(
    minutes: &[Minute],
    unfinished: &str,
    args: &SoakArgs,
    directory: &std::path::Path,
) -> Result<PathBuf> {
    let line = |name, of: &dyn Fn(&Minute) -> f64| {
        let median = median(minutes, of);
        let share = |value: f64| if median > 0.0 { 100.0 * value / median } else { 0.0 };
        let points = minutes.iter().enumerate().map(|(at, minute)| (at as f64 + 1.0, share(of(minute))));
        Line { name, points: points.collect() }
    };
    let memory = |minute: &Minute| minute.memory.iter().map(|(_, bytes)| *bytes as f64).sum();
    let lines = vec![
        line("answers/s", &|minute| minute.answers_per_s),
        line("p99", &|minute| minute.p99_ms),
        line("memory of all", &memory),
        line("WAL for an answer", &|minute| minute.kept.wal_bytes as f64 / minute.answers_per_s),
    ];
    let every = format!("rows of {} s", args.every);
    let chart = Chart::Lines(LineChart {
        description: "What was answered, how late, in how much memory, with how much WAL, each as a share of its median",
        x: Axis { label: &every, scale: Scale::Linear },
        y: Axis { label: "% of the median", scale: Scale::Linear },
        lines,
    });
    let pictures = [Picture { file: "soak.svg", title: "", note: String::new(), chart }];
    let set = if args.base.is_empty() { "as shipped" } else { &args.base };
    let markdown = format!(
        "# A soak\n\n{} rows of {} s each, within the contest’s limits, {set}. {}{unfinished}\n\n![The rows over time](soak.svg)\n\n{}",
        minutes.len(),
        args.every,
        verdict(minutes),
        markdown_table(&table(minutes), 1),
    );
    document::write(directory, &markdown, &pictures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_minute_is_told() {
        let minutes = |rates: &[f64]| -> Vec<Minute> {
            rates.iter().map(|rate| Minute { answers_per_s: *rate, ..Minute::default() }).collect()
        };
        let steady = verdict(&minutes(&[100.0, 90.0, 110.0]));
        assert_eq!(steady, "No row is under 0.8 of the median, 100 answers/s; the least is 0.90 of it.");
        assert!(verdict(&minutes(&[100.0, 79.0, 110.0])).starts_with("1 of 3 rows are under 0.8"));
    }

    #[test]
    fn what_was_written_is_a_difference_and_a_size_is_not() {
        let of = |wal_bytes, table_bytes| Kept { wal_bytes, table_bytes, ..Kept::default() };
        let since = of(500, 30).since(of(200, 10));
        assert_eq!((since.wal_bytes, since.table_bytes), (300, 30));
    }
}
