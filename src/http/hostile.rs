//! What judges a request's parts, for whoever tries them with hostile input (`fuzz/`).

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use tokio::io::DuplexStream;

use super::Stream;
use crate::domain::Transaction;

/// Returns the transaction that a body is, or why it is none.
///
/// # Errors
/// That.
pub fn body(body: &[u8]) -> Result<Transaction, String> {
    super::wire::parse_transaction(body).map_err(|why| format!("{why:?}"))
}

/// Returns the key that these lines of `Idempotency-Key` are, or why they are none. `None` where HTTP does not let a
/// line through.
pub fn key(lines: &[&[u8]]) -> Option<Result<Option<String>, String>> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(HeaderName::from_static("idempotency-key"), HeaderValue::from_bytes(line).ok()?);
    }
    let key = super::key::read_key(&headers).map_err(|why| why.to_string());
    Some(key.map(|key| key.map(|key| key.as_str().to_owned())))
}

/// A connection that is memory.
impl Stream for DuplexStream {
    fn shut(&self) {}
}
