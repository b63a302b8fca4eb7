//! Certificates of their own.

use std::path::PathBuf;

use testbed::process::Launch;

use super::{PATIENCE, run_directory};

/// A certificate for `localhost` that is its own root, and its key.
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    pub(crate) async fn make(name: &str) -> Self {
        let at = |end| run_directory().join(format!("{name}.{end}"));
        let (certificate, key) = (at("crt"), at("key"));
        Launch::new("openssl", "openssl", at("log"))
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args(["-subj", &format!("/CN={name}"), "-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .run(PATIENCE)
            .await
            .expect("openssl makes a certificate");
        Self { certificate, key }
    }
}
