//! The one table of what is answered when a request is not: status, problem type, title.
//!
//! Bodies follow RFC 9457 (`application/problem+json`). A 5xx never tells its cause, which is in
//! the log, but its `type` tells a caller whether trying again is safe.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};

use super::key::BadKey;
use super::wire::{BadBody, FieldProblem, ProblemBody};
use crate::domain::Rejection;
use crate::mailbox::{Bound, Refusal};
use crate::observing::RequestId;

/// Why a request gets no 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// No such route.
    NoSuchPath,
    /// The route exists, but only for these methods.
    MethodNotAllowed(&'static str),
    /// There is no such client, or the id cannot be one.
    UnknownClient,
    /// What came is no HTTP request.
    MalformedRequest,
    /// The request's head is larger than actix takes.
    HeadTooLarge,
    /// The head did not come in time.
    HeadIncomplete,
    /// The body is not JSON.
    MalformedBody(String),
    /// The body is JSON, but no transaction.
    InvalidTransaction(Vec<FieldProblem>),
    /// The body is larger than the bound, in bytes.
    BodyTooLarge(usize),
    /// The body did not come in time, or the connection broke.
    BodyIncomplete,
    /// `Idempotency-Key` is there, and is no key.
    InvalidKey(BadKey),
    /// A key that was used for another transaction.
    KeyReused,
    /// A debit beyond the credit limit.
    LimitExceeded,
    /// A balance beyond 64 bits.
    BalanceOverflow,
    /// A bound is reached.
    Overloaded(Bound),
    /// Nothing was applied; trying again is safe.
    Unavailable,
    /// The transaction was sent, and may have been applied.
    OutcomeUnknown,
    /// The instance is not ready; says why.
    NotReady(&'static str),
}

/// What a problem's body is.
const MEDIA_TYPE: &str = "application/problem+json";

/// Seconds after which a refused caller may try again.
const RETRY_AFTER_SECONDS: u32 = 1;

/// What a problem looks like from outside.
struct Row {
    status: StatusCode,
    /// The last part of the problem's `type`.
    slug: &'static str,
    title: &'static str,
    /// Whether `Retry-After` says that trying again is safe.
    retry: bool,
}

impl Problem {
    fn row(&self) -> Row {
        let row = |status, slug, title| Row { status, slug, title, retry: false };
        let again = |slug, title| Row { status: StatusCode::SERVICE_UNAVAILABLE, slug, title, retry: true };
        match self {
            Self::NoSuchPath => row(StatusCode::NOT_FOUND, "no-such-path", "There is nothing at this path"),
            Self::MethodNotAllowed(_) => row(
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "This path does not take this method",
            ),
            Self::UnknownClient => row(StatusCode::NOT_FOUND, "unknown-client", "There is no such client"),
            Self::MalformedRequest => {
                row(StatusCode::BAD_REQUEST, "malformed-request", "This is not an HTTP request")
            }
            Self::HeadTooLarge => row(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "head-too-large",
                "The request's head is too large",
            ),
            Self::HeadIncomplete => row(
                StatusCode::REQUEST_TIMEOUT,
                "head-incomplete",
                "The request's head did not arrive in time",
            ),
            Self::MalformedBody(_) => row(StatusCode::BAD_REQUEST, "malformed-body", "The body is not JSON"),
            Self::InvalidTransaction(_) => row(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-transaction",
                "The body is not a valid transaction",
            ),
            Self::BodyTooLarge(_) => {
                row(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large")
            }
            Self::BodyIncomplete => {
                row(StatusCode::REQUEST_TIMEOUT, "body-incomplete", "The body did not arrive in time")
            }
            Self::InvalidKey(_) => row(
                StatusCode::BAD_REQUEST,
                "invalid-idempotency-key",
                "The header Idempotency-Key is not a key",
            ),
            Self::KeyReused => row(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "This Idempotency-Key was used for another transaction of the client",
            ),
            Self::LimitExceeded => row(
                StatusCode::UNPROCESSABLE_ENTITY,
                "limit-exceeded",
                "The debit would take the balance below the credit limit",
            ),
            Self::BalanceOverflow => row(
                StatusCode::UNPROCESSABLE_ENTITY,
                "balance-overflow",
                "The transaction would take the balance out of its range",
            ),
            Self::Overloaded(_) => again("overloaded", "A bound is reached; nothing was applied"),
            Self::Unavailable => again("unavailable", "The service cannot answer now; nothing was applied"),
            Self::OutcomeUnknown => row(
                StatusCode::GATEWAY_TIMEOUT,
                "outcome-unknown",
                "The transaction was sent, but whether it was applied is not known; read the statement before trying again",
            ),
            Self::NotReady(_) => again("not-ready", "The instance is not ready"),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::MalformedBody(why) => Some(why.clone()),
            Self::InvalidKey(why) => Some(why.to_string()),
            Self::BodyTooLarge(limit) => Some(format!("a body may have at most {limit} bytes")),
            Self::Overloaded(bound) => Some(bound.to_string()),
            Self::NotReady(why) => Some((*why).to_owned()),
            _ => None,
        }
    }

    /// The last part of its `type`.
    pub(super) fn slug(&self) -> &'static str {
        self.row().slug
    }

    fn body(&self) -> Vec<u8> {
        let Row { status, slug, title, .. } = self.row();
        let errors = match self {
            Self::InvalidTransaction(problems) => problems.as_slice(),
            _ => &[],
        };
        ProblemBody::new(slug, title, status.as_u16(), self.detail(), errors).to_json()
    }

    /// Returns the response as bytes, for whom no handler answers; its connection is closed.
    pub(super) fn closing(&self) -> Vec<u8> {
        let (status, body) = (self.row().status, self.body());
        let (length, id) = (body.len(), RequestId::made());
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {length}\r\n\
             x-request-id: {}\r\nconnection: close\r\n\r\n",
            id.as_str()
        );
        [head.into_bytes(), body].concat()
    }

    /// The whole response.
    pub(super) fn response(&self) -> HttpResponse {
        let Row { status, retry, .. } = self.row();
        let mut response = HttpResponse::build(status);
        response.insert_header((CONTENT_TYPE, MEDIA_TYPE));
        if retry {
            response.insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS));
        }
        if let Self::MethodNotAllowed(allowed) = self {
            response.insert_header((ALLOW, *allowed));
        }
        response.body(self.body())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Shed(bound) => Self::Overloaded(bound),
            Refusal::Unavailable | Refusal::MailboxLost | Refusal::TimedOut => Self::Unavailable,
            Refusal::OutcomeUnknown => Self::OutcomeUnknown,
        }
    }
}

impl From<BadBody> for Problem {
    fn from(bad: BadBody) -> Self {
        match bad {
            BadBody::NotJson(why) => Self::MalformedBody(why),
            BadBody::Invalid(problems) => Self::InvalidTransaction(problems),
        }
    }
}

impl From<BadKey> for Problem {
    fn from(bad: BadKey) -> Self {
        Self::InvalidKey(bad)
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::UnknownClient => Self::UnknownClient,
            Rejection::BalanceOverflow => Self::BalanceOverflow,
            Rejection::LimitExceeded => Self::LimitExceeded,
            Rejection::KeyReused => Self::KeyReused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table that README and API users rely on.
    #[test]
    fn the_status_table() {
        let field = FieldProblem { field: "valor", detail: "x".into() };
        for (problem, status, slug, retry) in [
            (Problem::NoSuchPath, 404, "no-such-path", false),
            (Problem::MethodNotAllowed("GET, HEAD"), 405, "method-not-allowed", false),
            (Problem::UnknownClient, 404, "unknown-client", false),
            (Problem::MalformedRequest, 400, "malformed-request", false),
            (Problem::HeadTooLarge, 431, "head-too-large", false),
            (Problem::HeadIncomplete, 408, "head-incomplete", false),
            (Problem::MalformedBody("x".into()), 400, "malformed-body", false),
            (Problem::InvalidTransaction(vec![field]), 422, "invalid-transaction", false),
            (Problem::BodyTooLarge(1), 413, "body-too-large", false),
            (Problem::BodyIncomplete, 408, "body-incomplete", false),
            (Problem::InvalidKey(BadKey::Repeated), 400, "invalid-idempotency-key", false),
            (Problem::KeyReused, 422, "idempotency-key-reused", false),
            (Problem::LimitExceeded, 422, "limit-exceeded", false),
            (Problem::BalanceOverflow, 422, "balance-overflow", false),
            (Problem::Overloaded(Bound::ClientQueue), 503, "overloaded", true),
            (Problem::from(Refusal::Unavailable), 503, "unavailable", true),
            (Problem::from(Refusal::MailboxLost), 503, "unavailable", true),
            (Problem::from(Refusal::TimedOut), 503, "unavailable", true),
            (Problem::from(Refusal::OutcomeUnknown), 504, "outcome-unknown", false),
            (Problem::NotReady("x"), 503, "not-ready", true),
        ] {
            let response = problem.response();
            assert_eq!(response.status(), status, "{problem:?}");
            assert_eq!(response.headers().contains_key(RETRY_AFTER), retry, "{problem:?}");
            let content_type = response.headers().get(CONTENT_TYPE).expect("it is set");
            assert_eq!(content_type, "application/problem+json");
            assert_eq!(problem.slug(), slug);
        }
    }
}
