//! `guiche traces`: reads trace files once, and makes of them whatever was asked for.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::chrome::ChromeWriter;
use super::page::Page;
use super::reader::{Damage, ReadError, Traces};
use super::reading::{Reading, ReadingError, Wishes};
use super::select::Moment;
use super::slowest::SlowRequest;
use super::summary::Summary;
use super::text::Report;

/// Reads traces that instances wrote with TRACE=FILE: a summary, a page, Perfetto's format.
///
/// Give the files of all instances together, rotated ones too: guiche traces api1.jsonl* api2.jsonl*
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Trace files, in any order
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
    /// Write a page with a lane for each client and instance
    #[arg(long, value_name = "OUT")]
    html: Option<PathBuf>,
    /// Write the trace-event format, which Perfetto (ui.perfetto.dev) and chrome://tracing open
    #[arg(long, value_name = "OUT")]
    chrome: Option<PathBuf>,
    /// How many requests the page shows at most, the earliest ones
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    page_requests: u32,
}

/// Why `guiche traces` failed.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// A file cannot be read as a trace.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was asked for cannot be written.
    #[error("cannot write {}: {cause}", path.display())]
    Write {
        /// Where to.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

/// Everything as `--json` shows it.
#[derive(Serialize)]
struct JsonReport<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    slowest: &'a [SlowRequest],
    damage: &'a Damage,
}

/// Reads the files and writes what was asked for; the summary goes to standard output.
///
/// # Errors
/// [`TracesError`].
pub fn run(arguments: &Arguments) -> Result<(), TracesError> {
    let cannot_write = |path: &Path, cause| TracesError::Write { path: path.to_owned(), cause };
    let wishes = Wishes {
        client: arguments.client,
        from: arguments.from,
        to: arguments.to,
        slowest: arguments.slowest as usize,
        page_requests: arguments.html.is_some().then_some(arguments.page_requests as usize),
    };
    let traces = Traces::open(&arguments.files)?;
    let chrome = arguments.chrome.as_deref().map(|path| {
        let made = File::create(path).and_then(|file| ChromeWriter::new(BufWriter::new(file), wishes.client));
        made.map_err(|cause| cannot_write(path, cause))
    });
    let bar = progress_bar(traces.bytes());
    let read = wishes.read(traces, chrome.transpose()?, |bytes| bar.inc(bytes));
    bar.finish_and_clear();
    let Reading { summary, slowest, page, traces } = read.map_err(|error| match error {
        ReadingError::Read(error) => TracesError::Read(error),
        ReadingError::Chrome(cause) => {
            cannot_write(arguments.chrome.as_deref().unwrap_or("".as_ref()), cause)
        }
    })?;
    let damage = &traces.damage;
    if let (Some(collected), Some(path)) = (page, &arguments.html) {
        let page = Page { collected, runs: traces.runs(), summary: &summary, damage };
        write_page(page, path).map_err(|cause| cannot_write(path, cause))?;
    }
    print(&summary, &slowest, damage, arguments.json)
        .map_err(|cause| cannot_write("standard output".as_ref(), cause))
}

fn write_page(page: Page<'_>, path: &Path) -> io::Result<()> {
    let mut output = BufWriter::new(File::create(path)?);
    page.write(&mut output)?;
    output.flush()
}

fn print(summary: &Summary, slowest: &[SlowRequest], damage: &Damage, json: bool) -> io::Result<()> {
    let mut output = BufWriter::new(io::stdout().lock());
    let written = if json {
        let report = JsonReport { summary, slowest, damage };
        serde_json::to_writer_pretty(&mut output, &report)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(output))
    } else {
        write!(output, "{}", Report { summary, slowest, damage })
    };
    match written.and_then(|()| output.flush()) {
        // Whoever reads has seen enough (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Bytes read, on a terminal alone.
fn progress_bar(bytes: u64) -> ProgressBar {
    let target =
        if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(bytes), target);
    let style = ProgressStyle::with_template("reading {bar:40} {bytes} of {total_bytes}, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
