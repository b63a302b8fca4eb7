//! What all who speak TLS as clients share: the cryptography, and where trusted certificates come from.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

/// A file of certificates cannot be used; each is worded to follow the name of what names the file.
#[derive(Debug, thiserror::Error)]
pub enum BadRoots {
    /// It is not there, or is no PEM.
    #[error("names a file that cannot be read: {0}")]
    Unreadable(#[from] pem::Error),
    /// A certificate of it is none.
    #[error("names a file with a certificate that cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// It has no certificate.
    #[error("names a file without a certificate; expected PEM, -----BEGIN CERTIFICATE-----")]
    Empty,
}

/// Begins a client that speaks TLS 1.2 and 1.3.
pub fn client() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of TLS 1.2 and 1.3")
}

/// Reads the certificates of a file.
///
/// # Errors
/// [`BadRoots`].
pub fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, BadRoots> {
    let certificates = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() { Err(BadRoots::Empty) } else { Ok(certificates) }
}

/// Returns the certificates of a file, to be trusted.
///
/// # Errors
/// [`BadRoots`].
pub fn roots(path: &str) -> Result<RootCertStore, BadRoots> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// Returns the certificates that the system trusts, if it has any: an image may have none.
pub fn system_roots() -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    (!roots.is_empty()).then_some(roots)
}
