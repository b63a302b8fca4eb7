//! The HTTP client that a collector is reached with, and why it is not.

use std::error::Error;
use std::iter::successors;
use std::thread;
use std::time::{Duration, Instant};

use reqwest::blocking::Client;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use settings::{CollectorTls, ConfigError, PemFile, Reach};

use crate::tls;

/// Where one signal is sent.
#[derive(Debug)]
pub(super) struct Destination {
    client: Client,
    reach: Reach,
}

/// It was not taken.
pub(super) struct Refused {
    pub(super) why: String,
    /// The collector wants it again, after so long at least.
    pub(super) again: Option<Duration>,
}

impl Destination {
    /// Makes it, with the client of the `other` signal where both have the same headers and certificates.
    pub(super) fn new(reach: &Reach, other: Option<&Self>) -> Result<Self, ConfigError> {
        let is_alike =
            |other: &&Self| (&other.reach.headers, &other.reach.tls) == (&reach.headers, &reach.tls);
        let client =
            other.filter(is_alike).map_or_else(|| client(reach), |other| Ok(other.client.clone()))?;
        Ok(Self { client, reach: reach.clone() })
    }

    /// Returns the time that an export may take.
    pub(super) fn timeout(&self) -> Duration {
        self.reach.timeout
    }

    /// Sends a message once.
    pub(super) fn post(&self, message: Vec<u8>, timeout: Duration) -> Result<(), Refused> {
        let sent = self.client.post(&self.reach.url).timeout(timeout).body(message).send();
        let answer = sent.map_err(|why| Refused { why: causes(&why), again: None })?;
        let wait = answer.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
        let again = RETRYABLE.contains(&answer.status().as_u16());
        let again = again.then(|| Duration::from_secs(wait.unwrap_or(0)));
        answer.error_for_status().map(drop).map_err(|why| Refused { why: causes(&why), again })
    }

    /// Sends a message, again where the collector asks for that, as long as there is time.
    pub(super) fn post_until_taken(&self, message: &[u8]) -> Result<(), String> {
        let deadline = Instant::now() + self.reach.timeout;
        let mut pause = FIRST_PAUSE;
        loop {
            let left = || deadline.saturating_duration_since(Instant::now());
            let Err(Refused { why, again }) = self.post(message.to_vec(), left()) else { return Ok(()) };
            let wait = again.map(|asked| asked.max(pause));
            let Some(wait) = wait.filter(|wait| *wait < left()) else { return Err(why) };
            thread::sleep(wait);
            pause *= 2;
        }
    }
}

/// Statuses by which a collector wants a message again (OTLP/HTTP, "Retryable Response Codes").
const RETRYABLE: [u16; 4] = [429, 502, 503, 504];

/// The pause before the first repetition; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

fn client(reach: &Reach) -> Result<Client, ConfigError> {
    let unusable = |why: &dyn Error| ConfigError::new("OTEL_EXPORTER_OTLP_HEADERS", why.to_string());
    let mut headers =
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"))]);
    for (name, value) in &reach.headers {
        let name = HeaderName::try_from(name).map_err(|why| unusable(&why))?;
        headers.insert(name, HeaderValue::try_from(value).map_err(|why| unusable(&why))?);
    }
    let tls = match &reach.tls {
        Some(tls) => configure(tls)?,
        // Nobody is trusted where the endpoint is not https.
        None => tls::client().with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
    };
    let client = Client::builder().default_headers(headers).tls_backend_preconfigured(tls).build();
    client.map_err(|why| unusable(&why))
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
fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = successors(Some(error), |&error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}
