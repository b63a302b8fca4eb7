//! Where a page, an export and the summary go: never over a trace, nor over a file of somebody else.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::file_id::FileId;
use super::printable::Shown;

/// What a page has in its first [`HEAD_BYTES`] bytes.
const PAGE_MARK: &str = "<meta name=\"generator\" content=\"guiche traces\">";

/// What a trace-event file has in its first [`HEAD_BYTES`] bytes.
pub(super) const EXPORT_MARK: &str = "\"otherData\":{\"program\":\"guiche traces\"}";

const HEAD_BYTES: u64 = 512;

const STANDARD_OUTPUT: &str = "/dev/stdout";

/// Why what was asked for cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {cause}", Shown(path))]
pub struct CannotWrite {
    /// Where to.
    path: PathBuf,
    /// What the system says, or why it must not be.
    pub(super) cause: io::Error,
}

/// Where everything that was asked for goes.
pub(super) struct Outputs {
    pub(super) page: Option<Output>,
    pub(super) export: Option<Output>,
    /// Standard error where one of the others goes to standard output.
    pub(super) summary: Box<dyn Write>,
}

impl Outputs {
    /// Opens where a page and an export are to go, and changes nothing that is there yet; `inputs` are the
    /// traces, and the summary is `json` or text.
    ///
    /// # Errors
    /// [`CannotWrite`], of the first that cannot be written or must not be.
    pub(super) fn open(
        html: Option<&Path>,
        chrome: Option<&Path>,
        json: bool,
        inputs: &[FileId],
    ) -> Result<Self, CannotWrite> {
        let standard = standard_output();
        if standard.is_some_and(|id| inputs.contains(&id)) {
            return Err(cannot_write(
                STANDARD_OUTPUT.as_ref(),
                refused("it is one of the traces to be read"),
            ));
        }
        let open = |path: Option<&Path>, mark| {
            let open =
                |path| Output::open(path, mark, inputs, standard).map_err(|cause| cannot_write(path, cause));
            path.map(open).transpose()
        };
        let page = open(html, PAGE_MARK)?;
        let export = open(chrome, EXPORT_MARK)?;
        let to_standard =
            |output: &Option<Output>| output.as_ref().is_some_and(|output| output.file.is_none());
        let taken = to_standard(&page) || to_standard(&export);
        let same = page.as_ref().zip(export.as_ref()).is_some_and(|(page, export)| page.id == export.id);
        let conflict = if same {
            Some("the page and the export cannot both go there")
        } else if taken && json {
            Some("the summary (--json) goes there")
        } else {
            None
        };
        if let (Some(conflict), Some(path)) = (conflict, chrome.or(html)) {
            return Err(cannot_write(path, refused(conflict)));
        }
        let summary: Box<dyn Write> = if taken { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
        Ok(Self { page, export, summary: Box::new(BufWriter::new(summary)) })
    }
}

/// A page or an export to be written.
pub(super) struct Output {
    /// `None` for standard output.
    file: Option<File>,
    id: Option<FileId>,
}

impl Output {
    fn open(path: &Path, mark: &str, inputs: &[FileId], standard: Option<FileId>) -> io::Result<Self> {
        let there = if path.as_os_str() == "-" { None } else { fs::metadata(path).ok() };
        if path.as_os_str() == "-" || (standard.is_some() && there.as_ref().map(FileId::of) == standard) {
            return Ok(Self { file: None, id: standard });
        }
        // A pipe that is opened for reading too would never be closed.
        let plain = there.as_ref().is_none_or(Metadata::is_file);
        let file = OpenOptions::new().read(plain).write(true).create(true).truncate(false).open(path)?;
        let id = FileId::of(&file.metadata()?);
        if inputs.contains(&id) {
            return Err(refused("it is one of the traces to be read"));
        }
        if plain {
            let mut head = Vec::new();
            Read::take(&file, HEAD_BYTES).read_to_end(&mut head)?;
            if !head.is_empty() && !String::from_utf8_lossy(&head).contains(mark) {
                return Err(refused(
                    "it exists, and was not written by this option; remove it or choose another name",
                ));
            }
        }
        Ok(Self { file: Some(file), id: Some(id) })
    }

    /// Returns what to write to. What an earlier call left in the file is gone then.
    pub(super) fn begin(self) -> io::Result<BufWriter<Box<dyn Write>>> {
        let Some(mut file) = self.file else { return Ok(BufWriter::new(Box::new(io::stdout()))) };
        if file.metadata()?.is_file() {
            io::Seek::rewind(&mut file)?;
            file.set_len(0)?;
        }
        Ok(BufWriter::new(Box::new(file)))
    }
}

pub(super) fn cannot_write(path: &Path, cause: io::Error) -> CannotWrite {
    CannotWrite { path: path.to_owned(), cause }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(ErrorKind::AlreadyExists, why)
}

/// What standard output is, unless it is a device such as a terminal, which several may write to.
fn standard_output() -> Option<FileId> {
    let metadata = fs::metadata(STANDARD_OUTPUT).ok()?;
    let device = std::os::unix::fs::FileTypeExt::is_char_device(&metadata.file_type());
    (!device).then(|| FileId::of(&metadata))
}
