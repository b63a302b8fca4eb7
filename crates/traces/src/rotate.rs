//! A file of bounded size that makes room by moving itself aside.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::file_id::FileId;

/// Who may read it: its owner, and whom its owner's group has in it. It has what clients wrote.
const MODE: u32 = 0o640;

/// `path`, and the files before it as `path.1`, `path.2` …: at most `files` of them, each of at
/// most `max_bytes`. What falls off the end is removed.
pub(super) struct RotatedFile {
    path: PathBuf,
    max_bytes: u64,
    files: usize,
    current: Option<Current>,
}

struct Current {
    file: File,
    bytes: u64,
    /// The last write failed, perhaps within a line.
    torn: bool,
}

impl RotatedFile {
    /// Does not touch the disk yet.
    pub(super) fn new(path: &Path, max_bytes: u64, files: usize) -> Self {
        Self { path: path.to_owned(), max_bytes, files: files.max(1), current: None }
    }

    /// Returns whether `more` bytes need a new file: [`RotatedFile::start`] one before writing them.
    pub(super) fn is_full(&self, more: usize) -> bool {
        self.current.as_ref().is_none_or(|current| current.bytes + more as u64 > self.max_bytes)
    }

    /// Moves what is there aside and starts a new file with `head`.
    ///
    /// What is not a plain file (a device, say, or a symbolic link) is neither moved nor written to.
    pub(super) fn start(&mut self, head: &[u8]) -> io::Result<()> {
        self.current = None;
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it exists and is not a plain file"));
        }
        for older in (1..self.files).rev() {
            move_if_there(&self.numbered(older - 1), &self.numbered(older))?;
        }
        if self.files == 1 {
            remove_if_there(&self.path)?;
        }
        self.begin(new_file(&self.path)?, head)
    }

    /// Where somebody has moved the file away, starts another with `head` and returns true; an empty file that was
    /// put there is used. Nothing is moved aside, since names behind a dot and a number may be somebody else's now.
    /// After a failure it goes on as before.
    pub(super) fn reopen(&mut self, head: &[u8]) -> io::Result<bool> {
        let current = self.current.as_ref().map(|current| current.file.metadata()).transpose()?;
        let file = match fs::symlink_metadata(&self.path) {
            Ok(there) if current.is_some_and(|current| FileId::of(&current) == FileId::of(&there)) => {
                return Ok(false);
            }
            Ok(there) if there.is_file() && there.len() == 0 => {
                let file = OpenOptions::new().write(true).open(&self.path)?;
                // A link may have taken its place meanwhile.
                if FileId::of(&file.metadata()?) != FileId::of(&there) {
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it was replaced"));
                }
                file
            }
            Ok(_) => {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "another file is in its place"));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => new_file(&self.path)?,
            Err(error) => return Err(error),
        };
        self.begin(file, head).map(|()| true)
    }

    fn begin(&mut self, file: File, head: &[u8]) -> io::Result<()> {
        self.current = Some(Current { file, bytes: 0, torn: false });
        self.write(head)
    }

    /// Adds whole lines. After a failure the next ones start on a line of their own.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let current = self.current.as_mut().ok_or(io::ErrorKind::NotFound)?;
        if current.torn {
            current.file.write_all(b"\n")?;
            current.bytes += 1;
        }
        current.torn = true;
        current.file.write_all(lines)?;
        current.torn = false;
        current.bytes += lines.len() as u64;
        Ok(())
    }

    fn numbered(&self, number: usize) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Makes a file that is not there. Where there is a link by now, that is not followed.
fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)
}

fn move_if_there(from: &Path, to: &Path) -> io::Result<()> {
    if_there(fs::rename(from, to))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    if_there(fs::remove_file(path))
}

fn if_there(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("guiche-rotate-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("the temporary directory is writable");
        path
    }

    #[test]
    fn only_the_newest_files_stay() {
        let directory = directory("newest");
        let path = directory.join("t");
        let mut file = RotatedFile::new(&path, 8, 3);
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "six\n"] {
            if file.is_full(line.len()) {
                file.start(b"").expect("a new file");
            }
            file.write(line.as_bytes()).expect("there is room");
        }
        let read = |name: &str| fs::read_to_string(directory.join(name)).ok();
        assert_eq!(read("t").as_deref(), Some("six\n"));
        assert_eq!(read("t.1").as_deref(), Some("five\n"));
        assert_eq!(read("t.2").as_deref(), Some("four\n"));
        assert_eq!(read("t.3"), None, "three files are the bound");
        fs::remove_dir_all(&directory).expect("it is ours");
    }

    #[test]
    fn what_somebody_moved_away_is_begun_again() {
        let directory = directory("moved");
        let (path, moved) = (directory.join("t"), directory.join("t.1"));
        let mut file = RotatedFile::new(&path, 100, 2);
        file.start(b"one\n").expect("a new file");
        assert!(!file.reopen(b"head\n").expect("nothing to do"), "it is still there");
        fs::rename(&path, &moved).expect("ours");
        file.write(b"two\n").expect("there is room");
        assert!(file.reopen(b"head\n").expect("a new file"));
        file.write(b"three\n").expect("there is room");
        let read = |path: &Path| fs::read_to_string(path).expect("it is there");
        assert_eq!((read(&moved), read(&path)), ("one\ntwo\n".into(), "head\nthree\n".into()));

        fs::rename(&path, &moved).expect("ours");
        fs::write(&path, "").expect("writable");
        assert!(file.reopen(b"head\n").expect("an empty file is taken"));
        fs::remove_file(&path).expect("ours");
        fs::write(&path, "somebody else's\n").expect("writable");
        file.reopen(b"head\n").expect_err("nothing is written over what somebody else wrote");
        file.write(b"four\n").expect("the old one goes on");
        assert_eq!(read(&path), "somebody else's\n");
        fs::remove_dir_all(&directory).expect("it is ours");
    }

    #[test]
    fn a_planted_link_is_not_followed_and_nobody_else_reads_it() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let directory = directory("planted");
        let (path, theirs) = (directory.join("t"), directory.join("theirs"));
        for target in [&theirs, &directory.join("missing")] {
            fs::write(&theirs, "").expect("writable");
            symlink(target, &path).expect("ours");
            for files in [1, 2] {
                let mut file = RotatedFile::new(&path, 8, files);
                let error = file.start(b"head\n").expect_err("a link");
                assert!(error.to_string().contains("not a plain file"), "{error}");
                file.reopen(b"head\n").expect_err("a link");
            }
            fs::remove_file(&path).expect("ours");
        }
        assert_eq!(fs::read_to_string(&theirs).expect("it is there"), "");
        assert!(!directory.join("missing").exists());

        let mut file = RotatedFile::new(&path, 8, 1);
        file.start(b"one\n").expect("a new file");
        fs::remove_file(&path).expect("ours");
        file.reopen(b"two\n").expect("a new file");
        file.start(b"three\n").expect("a new file");
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o137, 0, "{mode:o}: others may not read it, and its group not write");
        fs::remove_dir_all(&directory).expect("it is ours");
    }

    #[test]
    fn what_an_earlier_run_left_is_moved_aside() {
        let directory = directory("earlier");
        let path = directory.join("t");
        fs::write(&path, "old\n").expect("writable");
        let mut file = RotatedFile::new(&path, 100, 2);
        assert!(file.is_full(0), "nothing is open yet");
        file.start(b"head\n").expect("a new file");
        assert_eq!(fs::read_to_string(directory.join("t.1")).expect("moved"), "old\n");
        assert_eq!(fs::read_to_string(&path).expect("new"), "head\n");
        fs::remove_dir_all(&directory).expect("it is ours");
    }
}
