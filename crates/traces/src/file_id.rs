//! Which file it is.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// A file by whatever name: links and other paths to it are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}
