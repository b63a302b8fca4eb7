//! `loadtest k6 SCRIPT.js`: somebody's own script against a stack, with what the stack used and whether its books are
//! right.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use minijinja::context;

use crate::args::StackArgs;
use crate::contest::costs::Meter;
use crate::contest::report::services;
use crate::files::report_directory;
use crate::k6::{Channel, Event, K6, Run, Sample};
use crate::latency::histogram;
use crate::report::document;
use crate::report::text::{grouped, markdown_table, significant, table};
use testbed::Running;
use testbed::check::Books;

/// The report's words.
const TEMPLATE: &str = include_str!("../templates/k6.md");

/// Which script, and against what.
#[derive(Clone, Debug, clap::Args)]
pub struct ScriptArgs {
    /// The script, which finds the service in __ENV.BASE_URL
    #[arg(value_name = "SCRIPT.js")]
    pub script: PathBuf,

    /// The stack to start.
    #[command(flatten)]
    pub stack: StackArgs,

    /// The program k6 [default: .venv/bin/k6, else the one in PATH]
    #[arg(long, value_name = "FILE", env = "K6")]
    pub k6: Option<PathBuf>,

    /// Where the report goes [default: reports/k6-TIME]
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,

    /// What k6 is told beside, such as -- --vus 10 --duration 30s
    #[arg(last = true, value_name = "K6 ARGUMENTS")]
    pub arguments: Vec<String>,
}

/// What came back, by k6's own samples.
struct Responses {
    times: Histogram<u64>,
    failed: u64,
}

impl Responses {
    fn add(&mut self, sample: &Sample<'_>) {
        match sample.metric {
            "http_req_duration" => self.times.saturating_record((sample.value * 1e3) as u64),
            "http_req_failed" => self.failed += u64::from(sample.value > 0.0),
            _ => {}
        }
    }

    /// Returns them as a table, the header first.
    fn rows(&self) -> Vec<Vec<String>> {
        let header = ["requests", "failed", "p50 ms", "p98 ms", "p99 ms", "max ms"].map(str::to_owned);
        let times =
            [0.5, 0.98, 0.99, 1.0].map(|share| significant(self.times.value_at_quantile(share) as f64 / 1e3));
        let counts = [self.times.len(), self.failed].map(grouped);
        vec![header.into(), counts.into_iter().chain(times).collect()]
    }
}

/// Runs the command to its end.
///
/// # Errors
/// When it could not be played, was interrupted, or the books are wrong.
pub async fn run(args: &ScriptArgs) -> Result<()> {
    let script = std::path::absolute(&args.script)?;
    ensure!(script.is_file(), "there is no script {}", args.script.display());
    let k6 = K6::find(args.k6.as_deref())?;
    let directory = report_directory(args.report.as_deref(), "k6");
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let play = async |running: &Running, say: &dyn Fn(&str)| {
        say(&format!("ready: {}; k6 plays {}", running.url(), script.display()));
        play(&k6, &script, &args.arguments, running, &directory).await
    };
    let problems = args.stack.play_on("a script of k6", &[], play).await?;
    ensure!(problems.is_empty(), "the books are wrong:\n  {}", problems.join("\n  "));
    Ok(())
}

/// Plays it and writes the report; returns what is wrong with the books.
async fn play(
    k6: &K6,
    script: &Path,
    arguments: &[String],
    running: &Running,
    directory: &Path,
) -> Result<Vec<String>> {
    let (mut responses, mut meter) = (Responses { times: histogram(), failed: 0 }, Meter::default());
    meter.sample(running.usage());
    let log = directory.join("k6.log");
    let env = vec![("BASE_URL", running.url())];
    let run = Run { script, arguments, env, channel: Channel::Samples, log: &log, cpus: None };
    let cpu = k6
        .run(&run, &mut |event| match event {
            Event::Sample(sample) => responses.add(&sample),
            Event::Tick => meter.sample(running.usage()),
            Event::Line(..) => {}
        })
        .await?;
    meter.sample(running.usage());
    let books = Books::read(&running.admin_url().await?).await?;
    let (rows, requests) = (responses.rows(), responses.times.len());
    let used = services(&meter.into_costs(), requests);
    let options = running.options();
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    let context = context! {
        title => script.file_name().unwrap_or_default().to_string_lossy(),
        problems => books.problems(),
        rows => grouped(books.rows),
        responses => markdown_table(&rows, 1),
        services => markdown_table(&used, 1),
        k6 => k6.version,
        k6_cpu => format!("{:.1} s", cpu.as_secs_f64()),
        said => said.lines().collect::<Vec<_>>(),
        stack => format!("{}, {}, {}, CPU {}", options.mode, options.profile, options.balancing, options.split),
        is_limited => running.is_limited(),
        disk => running.disk(),
    };
    let page = document::write(directory, &document::render(TEMPLATE, context)?, &[])?;
    out!("\n{}\n{}", table(&rows), table(&used));
    out!("Report: {}", page.display());
    Ok(books.problems())
}
