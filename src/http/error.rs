//! How a request is answered that gets no 200; what each problem looks like from outside is in `problem.rs`.
//!
//! Bodies follow RFC 9457 (`application/problem+json`). A 5xx never tells its cause, which is in
//! the log, but its `type` tells a caller whether trying again is safe.

use actix_web::HttpResponse;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use strum::EnumCount;

use super::key::BadKey;
use super::problem::{Problem, Row};
use super::wire::{BadBody, FieldProblem, ProblemBody};
use crate::domain::{InvalidField, Rejection};
use crate::mailbox::{Bound, Refusal};
use crate::observing::RequestId;

/// What a problem's body is.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// Seconds after which a refused caller may try again.
pub(super) const RETRY_AFTER_SECONDS: u32 = 1;

impl Problem {
    /// Returns one of each, as an example.
    pub(super) fn one_of_each() -> [Self; Self::COUNT] {
        let wrong = InvalidField::DescriptionLength.to_string();
        [
            Self::NoSuchPath,
            Self::MethodNotAllowed("GET, HEAD"),
            Self::UnknownClient,
            Self::MalformedRequest,
            Self::HeadTooLarge,
            Self::HeadIncomplete,
            Self::MalformedBody("EOF while parsing an object at line 1 column 15".to_owned()),
            Self::InvalidTransaction(vec![FieldProblem { field: "descricao", detail: wrong }]),
            Self::BodyTooLarge(4096),
            Self::BodyIncomplete,
            Self::InvalidKey(BadKey::Repeated),
            Self::KeyReused,
            Self::LimitExceeded,
            Self::BalanceOverflow,
            Self::Overloaded(Bound::ClientQueue),
            Self::Unavailable,
            Self::OutcomeUnknown,
            Self::NotReady("the instance is about to end"),
        ]
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

    /// Returns the body of its answer.
    pub(super) fn body(&self) -> Vec<u8> {
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
        let row = self.row();
        let mut response = HttpResponse::build(row.status);
        response.insert_header((CONTENT_TYPE, MEDIA_TYPE));
        if row.retry() {
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
