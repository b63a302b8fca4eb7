//! The HTTP client that a collector is reached with, and why it is not.

use std::error::Error;
use std::iter::successors;
use std::pin::Pin;
use std::sync::Arc;

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::blocking::{Client, ClientBuilder};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use settings::{CollectorTls, ConfigError, PemFile, Reach};

use crate::tls;

use super::loss::Loss;

/// Begins a client that trusts whom the settings say, and nobody where the endpoint is not https.
pub(super) fn client(reach: &Reach) -> Result<ClientBuilder, ConfigError> {
    let tls = match &reach.tls {
        Some(tls) => configure(tls)?,
        None => tls::client().with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
    };
    Ok(Client::builder().timeout(reach.timeout).tls_backend_preconfigured(tls))
}

fn configure(tls: &CollectorTls) -> Result<ClientConfig, ConfigError> {
    let roots = match &tls.roots {
        Some(file) => tls::roots(&file.path).map_err(|why| unusable(file, &why))?,
        None => tls::system_roots().ok_or_else(|| {
            let problem =
                "must name a file of certificates to trust: the system has none, and the endpoint is https";
            ConfigError::new("OTEL_EXPORTER_OTLP_CERTIFICATE", problem)
        })?,
    };
    let client = tls::client().with_root_certificates(roots);
    let Some([certificate, key]) = &tls.own else { return Ok(client.with_no_client_auth()) };
    let chain = tls::certificates(&certificate.path).map_err(|why| unusable(certificate, &why))?;
    let private = PrivateKeyDer::from_pem_file(&key.path);
    let private =
        private.map_err(|why| unusable(key, &format_args!("names a file without a usable key: {why}")))?;
    let client = client.with_client_auth_cert(chain, private);
    client.map_err(|why| unusable(key, &format_args!("names a key that does not fit the certificate: {why}")))
}

fn unusable(file: &PemFile, why: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::new(file.variable, why.to_string())
}

/// Says why something could not be sent, down to the last cause.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = successors(Some(error), |&error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}

/// Sends spans for OpenTelemetry's exporter, whose own errors leave the cause out.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) client: Client,
    pub(super) loss: Arc<Loss>,
}

impl HttpClient for Telling {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
    {
        Box::pin(async move {
            let sent = self.client.send_bytes(request).await;
            sent.inspect_err(|why| self.loss.because(causes(&**why)))
        })
    }
}
