//! TLS to PostgreSQL where `sslmode` in its address asks for it, in libpq's meaning. `docs/tls.md` has the rules.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::{Host, SslMode};

use crate::tls::{self, BadRoots};

use super::asked_tls::AskedTls;

/// What `sslmode` may be.
const MODES: [&str; 5] = ["disable", "prefer", "require", "verify-ca", "verify-full"];

/// What an address asks of TLS cannot be had. No value is repeated but a mode that is known: in `sslmode= password=x`
/// it is the password.
#[derive(Debug, thiserror::Error)]
pub enum BadTls {
    /// No such mode.
    #[error("sslmode is none of disable, prefer, require, verify-ca and verify-full")]
    Mode,
    /// Certificates of the client, or lists of revoked ones.
    #[error("{0} is not supported; take it away, and see docs/tls.md for what is")]
    Unsupported(&'static str),
    /// Certificates were given to a mode that looks at none.
    #[error(
        "sslrootcert needs sslmode=verify-full, verify-ca or require; with {0} no certificate is checked"
    )]
    Unchecked(&'static str),
    /// Anybody's certificate would do.
    #[error(
        "sslmode={0} needs sslrootcert=PATH of the certificates to trust; those of the system need verify-full"
    )]
    NoRoots(&'static str),
    /// The file with the certificates cannot be used.
    #[error("sslrootcert {0}")]
    BadRoots(#[from] BadRoots),
    /// The system has no certificates, as in an image with nothing but the service.
    #[error("the system has no certificates to trust; name a file of them with sslrootcert=PATH")]
    NoSystemRoots,
}

/// Sets in `database` what is asked for, and returns how TLS is spoken, or `None` where it is not. It is not over unix
/// sockets, whatever is asked.
pub(super) fn set_up(
    asked: AskedTls,
    database: &mut tokio_postgres::Config,
) -> Result<Option<ClientConfig>, BadTls> {
    if let Some(name) = asked.unsupported {
        return Err(BadTls::Unsupported(name));
    }
    let mode = match asked.mode.as_deref() {
        None => "disable",
        Some(given) => MODES.into_iter().find(|mode| *mode == given).ok_or(BadTls::Mode)?,
    };
    let roots = match (mode, asked.roots.as_deref()) {
        ("disable" | "prefer", Some(_)) => return Err(BadTls::Unchecked(mode)),
        ("disable" | "prefer" | "require", None) => None,
        ("verify-full", None | Some("system")) => Some(tls::system_roots().ok_or(BadTls::NoSystemRoots)?),
        (_, None | Some("system")) => return Err(BadTls::NoRoots(mode)),
        (_, Some(path)) => Some(tls::roots(path)?),
    };
    let unix_only = database.get_hostaddrs().is_empty()
        && database.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
    if mode == "disable" || unix_only {
        database.ssl_mode(SslMode::Disable);
        return Ok(None);
    }
    database.ssl_mode(if mode == "prefer" { SslMode::Prefer } else { SslMode::Require });
    if database.get_hosts().is_empty() {
        // A name is what TLS speaks to, and may be an address.
        for address in database.get_hostaddrs().to_vec() {
            database.host(address.to_string());
        }
    }
    Ok(Some(client(roots, mode == "verify-full")))
}

/// Returns how to speak to a server whose certificate `roots` have signed, or anybody; `named` has it be of the host.
fn client(roots: Option<RootCertStore>, named: bool) -> ClientConfig {
    let builder = tls::client();
    let algorithms = builder.crypto_provider().signature_verification_algorithms;
    let mut client = match roots {
        Some(roots) if named => builder.with_root_certificates(roots).with_no_client_auth(),
        roots => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyName { roots, algorithms }))
            .with_no_client_auth(),
    };
    client.alpn_protocols = vec![b"postgresql".to_vec()]; // which sslnegotiation=direct needs
    client
}

/// Takes a certificate of any name: one that `roots` have signed, or, without them, every one.
#[derive(Debug)]
struct AnyName {
    roots: Option<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(certificate)?;
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
