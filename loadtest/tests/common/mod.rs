//! What the tests of this crate share.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The service's program: that of `GUICHE_BIN`, else one built now, because a dependency on its
/// package would be a circle.
pub(crate) fn guiche() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| std::env::var_os("GUICHE_BIN").map_or_else(build, PathBuf::from)).clone()
}

fn build() -> PathBuf {
    let root = loadtest::repository_root();
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "guiche", "--bin", "guiche"])
        .current_dir(&root)
        .status()
        .expect("cargo is there");
    assert!(built.success(), "the service does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("debug/guiche")
}
