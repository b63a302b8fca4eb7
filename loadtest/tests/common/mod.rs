//! What the tests of this crate share.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The service's program: that of `GUICHE_BIN`, else one built now, because a dependency on its
/// package would be a circle.
pub(crate) fn guiche() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let built = || build("guiche", &["--bin", "guiche"]).join("guiche");
    PROGRAM.get_or_init(|| std::env::var_os("GUICHE_BIN").map_or_else(built, PathBuf::from)).clone()
}

/// Builds a part of the workspace. Returns the directory that it is in, which is that of these
/// tests' own programs.
pub(crate) fn build(package: &str, target: &[&str]) -> PathBuf {
    let root = loadtest::repository_root();
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", package])
        .args(target)
        .current_dir(&root)
        .status()
        .expect("cargo is there");
    assert!(built.success(), "{package} does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("debug")
}

/// Waits until `condition` holds; after 30 s in vain it panics.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}
