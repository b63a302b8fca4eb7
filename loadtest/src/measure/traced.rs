//! Traces of runs: where the instances write them, and what is kept of each beside the report.
//!
//! Where a setting says `TRACE={dir}/…`, a run's trace is kept as `traces/NUMBER-CASE-round-N`: its files, packed, and
//! the page of the interval that was measured. The report leads there, and to the slowest answers in it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::process::Command;

use super::result::{Measurement, Run};
use super::setup::{RUN_DIRECTORY, Setup, TRACE, WATCHED};
use super::trace::{Said, SlowAnswer, Traced};
use crate::report::document::plain;
use crate::report::text::significant;
use testbed::files::files_in;
use testbed::instance::find_guiche;

/// The traces of a report, beside it.
const TRACES: &str = "traces";

/// What all of them take at most, in bytes, before another one is kept: later runs trace and keep nothing.
const ROOM: u64 = 1 << 30;

/// A run's page.
const PAGE: &str = "page.html";

/// Slow answers of a run that are asked for.
const ASKED: &str = "200";

/// Where the instances of a run write their traces.
#[derive(Clone, Debug, Default)]
pub struct Place {
    report: PathBuf,
    /// From the report's directory.
    name: String,
    watched: Option<PathBuf>,
}

/// What is ready for a run.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// By which instances write there, in addition to the run's settings.
    pub(super) setting: Option<(String, String)>,
    /// What is going to be kept of it, if anything is.
    pub(super) kept: Option<Traced>,
}

impl Place {
    /// Returns that of one round of the case that has this number among all of a report, from 0; `watched` is the
    /// directory of the page that is served meanwhile.
    pub(super) fn of(
        report: &Path,
        watched: Option<&Path>,
        (number, label): (usize, &str),
        round: u32,
    ) -> Place {
        let name = format!("{TRACES}/{:02}-{}-round-{}", number + 1, plain_name(label), round + 1);
        Place { report: report.to_owned(), name, watched: watched.map(Path::to_owned) }
    }

    /// Makes it ready for a run with this setup. What a run left there that came to nothing goes.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub(super) fn prepare(&self, setup: &Setup) -> Result<Prepared> {
        let Some(setting) = setup.env.get(TRACE) else { return Ok(Prepared::default()) };
        let says = |place: &str, directory: &Path, kept| Prepared {
            setting: Some((TRACE.to_owned(), setting.replace(place, &directory.display().to_string()))),
            kept,
        };
        match &self.watched {
            Some(watched) if setting.contains(WATCHED) => return Ok(says(WATCHED, watched, None)),
            _ if !setting.contains(RUN_DIRECTORY) => return Ok(Prepared::default()),
            _ => {}
        }
        let directory = self.directory()?;
        let failed = || format!("cannot make {}", directory.display());
        if directory.exists() {
            fs::remove_dir_all(&directory).with_context(failed)?;
        }
        if bytes_in(&self.report.join(TRACES)) >= ROOM {
            return Ok(Prepared { kept: Some(Traced::default()), ..Prepared::default() });
        }
        fs::create_dir_all(&directory).with_context(failed)?;
        let kept = Traced { directory: self.name.clone(), ..Traced::default() };
        Ok(says(RUN_DIRECTORY, &directory, Some(kept)))
    }

    /// Keeps what the instances of a run have written, now that they have ended: draws its page, finds the slowest
    /// answers, and packs the files.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(super) async fn keep(&self, run: &Run) -> Result<Vec<SlowAnswer>> {
        let directory = self.directory()?;
        let files = files_in(&directory, None)?;
        ensure!(!files.is_empty(), "no instance has written one");
        let page = directory.join(PAGE);
        let [from, to] = run.interval_s.map(moment);
        let mut traces = Command::new(find_guiche(None)?);
        traces.arg("traces").args(&files).arg("--from").arg(from?).arg("--to").arg(to?);
        traces.args(["--json", "--slowest", ASKED, "--html"]).arg(&page).kill_on_drop(true);
        let output = traces.output().await.context("cannot run guiche traces")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        let said: Said = serde_json::from_slice(&output.stdout).context("guiche traces gives no summary")?;
        files.iter().try_for_each(|file| pack(file)).context("cannot pack it")?;
        let page = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
        Ok(said.slowest(&page))
    }

    /// Removes what a run has left that failed.
    pub(super) fn discard(&self) {
        // Whatever stays is removed when it is tried again.
        let _ = self.directory().map(fs::remove_dir_all);
    }

    fn directory(&self) -> Result<PathBuf> {
        std::path::absolute(self.report.join(&self.name)).context("where am I?")
    }
}

/// Returns Markdown: a line for each run that has a trace, and below it one for each of its slowest answers.
pub fn lines(result: &Measurement) -> Vec<String> {
    let runs = result.cases().flat_map(|(_, case)| case.runs.iter().map(move |run| (&case.label, run)));
    let told = runs.filter_map(|(label, run)| {
        let Traced { directory, slowest } = run.trace.as_ref()?;
        let (name, round) = (plain(label), run.round + 1);
        if directory.is_empty() {
            let room = ROOM >> 20;
            return Some(vec![format!(
                "- {name}, round {round}: not kept, as those before it have {room} MB"
            )]);
        }
        let link = |slow: &SlowAnswer| {
            let (took, says) = (format!("{} ms", significant(slow.ms)), plain(&slow.says));
            let id = utf8_percent_encode(&slow.id, NON_ALPHANUMERIC);
            match slow.id.is_empty() {
                true => format!("  - {took}, {says}"),
                false => format!("  - [{took}]({directory}/{PAGE}#request={id}), {says}"),
            }
        };
        let head = format!(
            "- {name}, round {round}: [what each mailbox did]({directory}/{PAGE}); the slowest answers:"
        );
        Some(std::iter::once(head).chain(slowest.iter().map(link)).collect())
    });
    told.flatten().collect()
}

/// Returns letters and digits of a label, as a part of a file's name.
fn plain_name(label: &str) -> String {
    let words = label.split(|character: char| !character.is_ascii_alphanumeric());
    let name = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
    name.chars().take(60).collect()
}

/// Returns a moment, in seconds since 1970, as `guiche traces` reads it.
fn moment(at_s: f64) -> Result<String> {
    let nanos = (at_s * 1e6) as i128 * 1_000;
    let time =
        OffsetDateTime::from_unix_timestamp_nanos(nanos).ok().and_then(|time| time.format(&Rfc3339).ok());
    time.context("the clock shows no year of our era")
}

/// Puts a packed file in the place of `file`.
fn pack(file: &Path) -> io::Result<()> {
    let mut packed = file.as_os_str().to_owned();
    packed.push(".gz");
    let mut writer = GzEncoder::new(File::create(packed)?, Compression::fast());
    io::copy(&mut File::open(file)?, &mut writer)?;
    writer.finish()?;
    fs::remove_file(file)
}

/// Returns how large the files in a directory's directories are.
fn bytes_in(directory: &Path) -> u64 {
    let inside = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let files = inside(directory).flat_map(|entry| inside(&entry.path()).collect::<Vec<_>>());
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::{Scratch, experiment};

    #[test]
    fn a_run_traces_beside_the_report_until_there_is_no_room() {
        let scratch = Scratch::new("traced");
        let place = |watched| Place::of(scratch.path(), watched, (1, "clients 3 · direct"), 0);
        let with = |settings: &str| Setup::default().with(settings).expect("right");
        let kept = with("TRACE={dir}/{instance}.jsonl");
        let prepared = place(None).prepare(&kept).expect("a directory");
        let directory = "traces/02-clients-3-direct-round-1";
        let file = scratch.path().join(directory).join("{instance}.jsonl").display().to_string();
        assert_eq!(prepared.setting, Some((TRACE.to_owned(), file)));
        assert_eq!(prepared.kept.map(|kept| kept.directory).as_deref(), Some(directory));
        let watched = place(Some("/page".as_ref())).prepare(&with("TRACE={watch}/x")).expect("nothing to do");
        assert!(watched.kept.is_none() && watched.setting.is_some_and(|setting| setting.1 == "/page/x"));
        let none = place(None).prepare(&Setup::default()).expect("nothing to do");
        assert!(none.kept.is_none() && none.setting.is_none());

        let other = scratch.path().join(TRACES).join("01-other-round-1");
        fs::create_dir_all(&other).expect("it can be made");
        File::create(other.join(PAGE)).and_then(|file| file.set_len(ROOM)).expect("it is empty on the disk");
        let full = place(None).prepare(&kept).expect("nothing to make");
        assert!(full.setting.is_none() && !scratch.path().join(directory).exists());
        let mut result = experiment();
        result.comparisons[0].cases[0].runs[0].trace = full.kept;
        let says = "- clients 1 · direct, round 1: not kept, as those before it have 1024 MB";
        assert_eq!(lines(&result), [says]);
    }
}
