//! What the tests of this crate share.

use std::path::PathBuf;
use std::process::Command;

/// The service's program, built now: a dependency on its package would be a circle.
pub(crate) fn guiche() -> PathBuf {
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
