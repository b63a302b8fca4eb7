//! Everything that is made of a trace, for whoever tries it with hostile input (`fuzz/`).

use std::io;
use std::path::PathBuf;

use indicatif::ProgressBar;

use super::chrome::ChromeWriter;
use super::page::Page;
use super::reader::Traces;
use super::reading::{Reading, Wishes};
use super::text::Report;

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Requests.
    pub requests: u64,
    /// Calls.
    pub calls: u64,
    /// Lines that made no sense.
    pub malformed: u64,
    /// Lines that were there already.
    pub repeated: u64,
    /// Bytes of all that was made of it.
    pub written: u64,
}

/// Reads traces and makes of them all that `guiche traces` can.
///
/// # Errors
/// That these are none, in its words; or that something could not be written.
pub fn read(paths: &[PathBuf]) -> Result<Told, String> {
    let failed = |why: io::Error| why.to_string();
    let wishes = Wishes { slowest: 10, page_requests: Some(1_000), ..Wishes::default() };
    let traces = Traces::open(paths, ProgressBar::hidden()).map_err(|why| why.to_string())?;
    let chrome = ChromeWriter::new(Count(0), None, 1 << 20).map_err(failed)?;
    let mut reading = wishes.read(traces, Some(chrome)).map_err(failed)?;
    let mut written = Count(0);
    if let Some(side) = reading.side() {
        Page { sides: vec![side], live: None }.write(&mut written).map_err(failed)?;
    }
    let Reading { summary, slowest, traces, .. } = reading;
    let damage = &traces.damage;
    let report = Report { summary: &summary, slowest: &slowest, damage }.to_string();
    serde_json::to_writer(&mut written, &summary).map_err(|why| why.to_string())?;
    Ok(Told {
        requests: summary.total.requests,
        calls: summary.total.calls,
        malformed: damage.malformed,
        repeated: damage.repeated,
        written: written.0 + report.len() as u64,
    })
}

/// Counts what is written, and keeps nothing.
struct Count(u64);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
