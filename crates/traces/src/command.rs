//! `guiche traces`: reads trace files once, and makes of them whatever was asked for.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::chrome::ChromeWriter;
use super::file_id::FileId;
use super::input::ReadError;
use super::live::{Following, LiveError};
use super::output::{CannotWrite, Output, Outputs, cannot_write};
use super::page::Page;
use super::printable::Timestamp;
use super::reader::{Damage, Traces};
use super::reading::{Reading, Wishes};
use super::select::Moment;
use super::slowest::SlowRequest;
use super::summary::Summary;
use super::text::Report;

/// Requests that a page shows, unless told otherwise.
const PAGE_REQUESTS: u32 = 100_000;

/// Those of one that is kept up to date: the contest's in a minute.
const LIVE_REQUESTS: u32 = 20_000;

/// Reads traces that instances wrote with TRACE=FILE: a summary, a page, Perfetto's format.
///
/// Give the files of all instances together, rotated ones too: guiche traces api1.jsonl* api2.jsonl*
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Trace files, in any order, gzip too; - is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Only this client
    #[arg(long, value_name = "ID")]
    client: Option<i32>,
    /// Only what began at this time or later: 2024-06-01T12:00:00Z, or seconds since the start
    #[arg(long, value_name = "TIME")]
    from: Option<Moment>,
    /// Only what began before this time
    #[arg(long, value_name = "TIME")]
    to: Option<Moment>,
    /// How many of the slowest requests are listed
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    slowest: u32,
    /// The summary as JSON
    #[arg(long)]
    json: bool,
    /// Write a page with a lane for each client and instance; - is standard output
    #[arg(long, value_name = "OUT")]
    html: Option<PathBuf>,
    /// Show these files over the others in the page, each trace in time since its own beginning
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "html", conflicts_with_all = ["json", "chrome"])]
    beside: Vec<PathBuf>,
    /// Write the trace-event format, which Perfetto (ui.perfetto.dev) and chrome://tracing open; - is standard output
    #[arg(long, value_name = "OUT")]
    chrome: Option<PathBuf>,
    /// How large that becomes at most, in MB: browsers hold all of it in memory
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    chrome_mb: u32,
    /// How many requests the page shows at most: the earliest ones, or with --follow the newest [default: 100000;
    /// 20000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    page_requests: Option<u32>,
    /// Serve the page, and keep it up to date while the files are written; they may appear later
    #[arg(long, conflicts_with_all = ["json", "html", "chrome", "from", "to", "beside"])]
    follow: bool,
    /// Where it is served; on another address than this machine's own others can read it too
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090", requires = "follow")]
    serve: SocketAddr,
    /// How many seconds of the newest that page shows
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "follow", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    last: u32,
}

/// Why `guiche traces` failed.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// A file cannot be read as a trace.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was asked for cannot be written.
    #[error(transparent)]
    Write(#[from] CannotWrite),
    /// The files cannot be followed, or the page not be served.
    #[error(transparent)]
    Live(#[from] LiveError),
}

/// Everything as `--json` shows it.
#[derive(Serialize)]
struct JsonReport<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    slowest: &'a [SlowRequest],
    damage: &'a Damage,
}

/// Reads the files and writes what was asked for. The summary goes to standard output, unless a page or
/// an export does; then to standard error.
///
/// # Errors
/// [`TracesError`]; a reader who leaves (`| head`) is none.
pub fn run(arguments: &Arguments) -> Result<(), TracesError> {
    if arguments.follow {
        return Ok(arguments.following().run()?);
    }
    match read_and_write(arguments) {
        Err(TracesError::Write(error)) if error.cause.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

impl Arguments {
    fn following(&self) -> Following {
        Following {
            files: self.files.clone(),
            address: self.serve,
            client: self.client,
            last: Duration::from_secs(self.last.into()),
            most: self.page_requests.unwrap_or(LIVE_REQUESTS) as usize,
        }
    }
}

fn read_and_write(arguments: &Arguments) -> Result<(), TracesError> {
    let wishes = Wishes {
        client: arguments.client,
        from: arguments.from,
        to: arguments.to,
        slowest: arguments.slowest as usize,
        page_requests: arguments
            .html
            .is_some()
            .then_some(arguments.page_requests.unwrap_or(PAGE_REQUESTS) as usize),
    };
    let bar = progress_bar();
    let mut sides = vec![Traces::open(&arguments.files, bar.clone())?];
    if !arguments.beside.is_empty() {
        let mut pair = [sides.remove(0), Traces::open(&arguments.beside, bar.clone())?];
        Traces::name(&mut pair);
        sides.extend(pair);
    }
    bar.set_length(sides.iter().map(Traces::bytes).sum());
    sides.iter().for_each(|traces| tell(&traces.damage.unread));
    let told: Vec<usize> = sides.iter().map(|traces| traces.damage.unread.len()).collect();
    let (html, chrome) = (arguments.html.as_deref(), arguments.chrome.as_deref());
    let inputs: Vec<FileId> = sides.iter().flat_map(Traces::ids).collect();
    let Outputs { page: page_output, export, summary: mut output } =
        Outputs::open(html, chrome, arguments.json, &inputs)?;
    let cannot_export = |cause| cannot_write(chrome.unwrap_or("".as_ref()), cause);
    let export = export.map(|export| {
        ChromeWriter::new(export.begin()?, wishes.client, u64::from(arguments.chrome_mb) << 20)
    });
    let mut export = export.transpose().map_err(cannot_export)?;
    let wishes = Wishes { page_requests: wishes.page_requests.map(|most| most / sides.len()), ..wishes };
    let read = sides.into_iter().map(|traces| wishes.read(traces, export.take()));
    let mut readings = read.collect::<io::Result<Vec<Reading>>>().map_err(cannot_export)?;
    bar.finish_and_clear();
    for (reading, told) in readings.iter().zip(told) {
        tell(&reading.traces.damage.unread[told..]);
    }
    if let Some(until) = readings[0].export_until {
        let (until, most) = (Timestamp(until), arguments.chrome_mb);
        let _ = writeln!(
            io::stderr(),
            "guiche: the export has its {most} MB (--chrome-mb): what ended after {until} is not in it; --from, --to and --client choose others"
        );
    }
    if let (Some(output), Some(path)) = (page_output, html) {
        let sides = readings.iter_mut().filter_map(Reading::side).collect();
        write_page(Page { sides, live: None }, output).map_err(|cause| cannot_write(path, cause))?;
    }
    readings
        .iter()
        .try_for_each(|reading| print(&mut output, reading, arguments.json))
        .map_err(|cause| cannot_write("standard output".as_ref(), cause).into())
}

/// Says what cannot be read, where whoever reads the summary or a page by a program sees it too.
fn tell(unread: &[String]) {
    for why in unread {
        let _ = writeln!(io::stderr(), "guiche: {why}; it is left out");
    }
}

fn write_page(page: Page<'_>, output: Output) -> io::Result<()> {
    let mut output = output.begin()?;
    page.write(&mut output)?;
    output.flush()
}

fn print(output: &mut impl Write, reading: &Reading, json: bool) -> io::Result<()> {
    let Reading { summary, slowest, traces, .. } = reading;
    let damage = &traces.damage;
    if json {
        let report = JsonReport { summary, slowest, damage };
        serde_json::to_writer_pretty(&mut *output, &report).map_err(io::Error::from)?;
        writeln!(output)?;
    } else {
        write!(output, "{}", Report { summary, slowest, damage })?;
    }
    output.flush()
}

/// Bytes read, on a terminal alone.
fn progress_bar() -> ProgressBar {
    let target =
        if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(None, target);
    let style = ProgressStyle::with_template("reading {bar:40} {bytes} of {total_bytes}, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
