//! Why a request may get no 200, and the one table of how that looks from outside: status, problem type, title, and
//! what a page says of it.
//!
//! NGINX answers some of these itself, in the same words (`nginx/*.conf`; tested).

use actix_web::http::StatusCode;
use strum::EnumCount;

use super::key::BadKey;
use super::wire::FieldProblem;
use crate::mailbox::Bound;

/// Why a request gets no 200.
#[derive(Clone, Debug, PartialEq, Eq, EnumCount)]
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

/// What a problem looks like from outside.
pub(super) struct Row {
    pub(super) status: StatusCode,
    /// The last part of the problem's `type`.
    pub(super) slug: &'static str,
    pub(super) title: &'static str,
    /// When it is answered.
    pub(super) when: &'static str,
    /// What a caller may do.
    pub(super) advice: &'static str,
}

impl Row {
    /// Returns whether `Retry-After` says that trying again is safe.
    pub(super) fn retry(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }
}

macro_rules! row {
    ($status:ident, $slug:literal, $title:literal, $when:literal, $advice:literal) => {
        &Row { status: StatusCode::$status, slug: $slug, title: $title, when: $when, advice: $advice }
    };
}

impl Problem {
    /// Returns what it looks like from outside.
    #[rustfmt::skip]
    pub(super) fn row(&self) -> &'static Row {
        match self {
            Self::NoSuchPath => row!(
                NOT_FOUND, "no-such-path",
                "There is nothing at this path",
                "The path is none of those of the service.",
                "Look the paths up in /openapi.json. They are matched letter by letter, without a slash at their end."
            ),
            Self::MethodNotAllowed(_) => row!(
                METHOD_NOT_ALLOWED, "method-not-allowed",
                "This path does not take this method",
                "The path exists, and takes other methods than this one.",
                "Use a method that the header Allow names."
            ),
            Self::UnknownClient => row!(
                NOT_FOUND, "unknown-client",
                "There is no such client",
                "The database has no client of this id, or what stands in the path is no whole number from 0 to 2147483647.",
                "Check the id. A client who is created later is found from then on."
            ),
            Self::MalformedRequest => row!(
                BAD_REQUEST, "malformed-request",
                "This is not an HTTP request",
                "What came is not HTTP/1.1 as RFC 9112 has it, or its path cannot be read. The connection is closed.",
                "Mend the sender; the same bytes are refused again."
            ),
            Self::HeadTooLarge => row!(
                REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large",
                "The request's head is too large",
                "The request line or the headers are larger than is taken: 4 KiB each at NGINX.",
                "Send fewer or shorter headers."
            ),
            Self::HeadIncomplete => row!(
                REQUEST_TIMEOUT, "head-incomplete",
                "The request's head did not arrive in time",
                "A part of the head came, and the rest did not come before the deadline (READ_TIMEOUT_MS). Nothing was applied.",
                "Send the request again, all at once."
            ),
            Self::MalformedBody(_) => row!(
                BAD_REQUEST, "malformed-body",
                "The body is not JSON",
                "The body is not JSON as RFC 8259 has it; `detail` says where it ceases to be.",
                "Mend the sender; the same body is refused again."
            ),
            Self::InvalidTransaction(_) => row!(
                UNPROCESSABLE_ENTITY, "invalid-transaction",
                "The body is not a valid transaction",
                "The body is JSON, but no transaction: `errors` names every field that is wrong, and what it must be.",
                "Correct these fields. Nothing was applied."
            ),
            Self::BodyTooLarge(_) => row!(
                PAYLOAD_TOO_LARGE, "body-too-large",
                "The body is too large",
                "The body is larger than the bound (BODY_LIMIT_BYTES). Nothing was applied.",
                "A transaction needs a hundred bytes: leave out what it does not need."
            ),
            Self::BodyIncomplete => row!(
                REQUEST_TIMEOUT, "body-incomplete",
                "The body did not arrive in time",
                "The head came, and the body did not come before the deadline (READ_TIMEOUT_MS), or others needed the room. Nothing was applied.",
                "Send the request again, all at once."
            ),
            Self::InvalidKey(_) => row!(
                BAD_REQUEST, "invalid-idempotency-key",
                "The header Idempotency-Key is not a key",
                "The header stands there twice, or is not one string in double quotes of 1 to 64 printable ASCII characters; `detail` says which.",
                "Write it like \"8e03978e-40d5-43dd-bc93-6894a57f9324\", with the quotes. Nothing was applied."
            ),
            Self::KeyReused => row!(
                UNPROCESSABLE_ENTITY, "idempotency-key-reused",
                "This Idempotency-Key was used for another transaction of the client",
                "A transaction of this client with another valor, tipo or descricao had this key. This one was not applied.",
                "Give each transaction a key of its own, and use it again only to send the same transaction again."
            ),
            Self::LimitExceeded => row!(
                UNPROCESSABLE_ENTITY, "limit-exceeded",
                "The debit would take the balance below the credit limit",
                "After this debit the balance would be less than minus the client's limit. Nothing was applied.",
                "Debit less, or try again after a credit, with another Idempotency-Key if there was one."
            ),
            Self::BalanceOverflow => row!(
                UNPROCESSABLE_ENTITY, "balance-overflow",
                "The transaction would take the balance out of its range",
                "A balance is kept in cents in 64 bits, and would not fit any more. Nothing was applied.",
                "Send smaller amounts."
            ),
            Self::Overloaded(_) => row!(
                SERVICE_UNAVAILABLE, "overloaded",
                "A bound is reached; nothing was applied",
                "As many requests wait as may, of this client or in all; `detail` says which bound it is.",
                "Send the request again after the seconds that Retry-After names, and wait longer each time."
            ),
            Self::Unavailable => row!(
                SERVICE_UNAVAILABLE, "unavailable",
                "The service cannot answer now; nothing was applied",
                "The database or the instance is away, or was too slow. What was asked for is known not to have been applied.",
                "Send the request again after the seconds that Retry-After names."
            ),
            Self::OutcomeUnknown => row!(
                GATEWAY_TIMEOUT, "outcome-unknown",
                "The transaction was sent, but whether it was applied is not known; repeat it under its Idempotency-Key only, else read the statement first",
                "The transaction was sent to the database, and the answer was lost on the way. It may have been applied, or may be yet.",
                "Sent with an Idempotency-Key: send the same request with the same key until it is answered. Without: read the statement first; sent again, it may be applied twice. X-Request-Id finds it in the log."
            ),
            Self::NotReady(_) => row!(
                SERVICE_UNAVAILABLE, "not-ready",
                "The instance is not ready",
                "Only /readyz answers this: the instance cannot apply transactions now; `detail` says why.",
                "Send requests to the other instance until this one is ready."
            ),
        }
    }
}
