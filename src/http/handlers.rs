//! The routes' handlers: judge path and body, ask the mailboxes, word the answer.

use std::time::{Duration, Instant};

use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Bytes, BytesMut, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;
use tracing::{Instrument, Span, field};

use super::error::Problem;
use super::wire::{AppliedBody, StatementBody, parse_transaction};
use super::{Api, Readiness};
use crate::domain::{ClientId, Kind, Transaction};
use crate::mailbox::{Timed, Timing};
use crate::metrics::Route;
use crate::telemetry;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The longest request id that is taken over from a caller, in bytes.
const REQUEST_ID_MAX: usize = 128;

/// `POST /clientes/{id}/transacoes`
pub(super) async fn post_transaction(request: HttpRequest, payload: Payload, api: Data<Api>) -> HttpResponse {
    let started = Instant::now();
    let span = request_span(&request, "transaction");
    let answer = apply(&request, payload, &api, span.clone()).instrument(span.clone()).await;
    finish(&api, Route::Transaction, started, &span, answer)
}

/// `GET /clientes/{id}/extrato`
pub(super) async fn get_statement(request: HttpRequest, api: Data<Api>) -> HttpResponse {
    let started = Instant::now();
    let span = request_span(&request, "statement");
    let answer = read_statement(&request, &api, span.clone()).instrument(span.clone()).await;
    finish(&api, Route::Statement, started, &span, answer)
}

/// `GET /healthz`: the process is alive.
pub(super) async fn healthz() -> &'static str {
    "Healthy"
}

/// `GET /readyz`: the database answers, is what the profile says, and has its data.
pub(super) async fn readyz(api: Data<Api>) -> HttpResponse {
    match (api.readiness)().await {
        Readiness::Ready => HttpResponse::Ok().body("Ready"),
        Readiness::NotReady(why) => Problem::NotReady(why).response(),
    }
}

/// Every path that is not a route.
pub(super) async fn no_such_path() -> HttpResponse {
    Problem::NoSuchPath.response()
}

/// A route's path with another method.
pub(super) async fn method_not_allowed(allowed: Method) -> HttpResponse {
    Problem::MethodNotAllowed(allowed).response()
}

/// An answer, and the word for it in traces.
struct Worded {
    response: HttpResponse,
    outcome: &'static str,
}

impl From<Problem> for Worded {
    fn from(problem: Problem) -> Self {
        Self { response: problem.response(), outcome: problem.slug() }
    }
}

async fn apply(
    request: &HttpRequest,
    payload: Payload,
    api: &Api,
    span: Span,
) -> Result<Timed<Worded>, Problem> {
    let client = client_id(request)?;
    let body = read_body(request, payload, api.body_limit_bytes, api.read_timeout).await?;
    let transaction: Transaction = parse_transaction(&body)?;
    span.record("kind", kind_name(transaction.kind));
    let Timed { value: outcome, timing } = api.mailboxes.apply(client, transaction, span).await?;
    let worded = match AppliedBody::new(outcome) {
        Some(body) => Worded { response: HttpResponse::Ok().json(body), outcome: "applied" },
        None => Problem::from(outcome).into(),
    };
    Ok(Timed { value: worded, timing })
}

async fn read_statement(request: &HttpRequest, api: &Api, span: Span) -> Result<Timed<Worded>, Problem> {
    let client = client_id(request)?;
    let Timed { value: statement, timing } = api.mailboxes.statement(client, span).await?;
    let worded = match statement {
        Some(statement) => {
            Worded { response: HttpResponse::Ok().json(StatementBody::from(&*statement)), outcome: "read" }
        }
        None => Problem::UnknownClient.into(),
    };
    Ok(Timed { value: worded, timing })
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Credit => "credit",
        Kind::Debit => "debit",
    }
}

fn client_id(request: &HttpRequest) -> Result<ClientId, Problem> {
    let id = request.match_info().get("id").unwrap_or_default();
    id.parse().map_err(|_| Problem::UnknownClient)
}

/// Reads the body, bounded in size and in time. actix's own timer covers a connection's first
/// head only.
async fn read_body(
    request: &HttpRequest,
    mut payload: Payload,
    limit_bytes: usize,
    timeout: Duration,
) -> Result<Bytes, Problem> {
    let too_large = || Problem::BodyTooLarge(limit_bytes);
    let declared =
        request.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: u64| length > limit_bytes as u64) {
        return Err(too_large());
    }
    let read = async {
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Problem::BodyIncomplete)?;
            if first.len() + rest.len() + chunk.len() > limit_bytes {
                return Err(too_large());
            }
            if first.is_empty() {
                first = chunk;
            } else {
                rest.extend_from_slice(&chunk);
            }
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok([first, rest.freeze()].concat().into())
    };
    tokio::time::timeout(timeout, read).await.unwrap_or(Err(Problem::BodyIncomplete))
}

/// The request's span, or none at all while nobody listens for it.
fn request_span(request: &HttpRequest, kind: &'static str) -> Span {
    let span = tracing::debug_span!(
        target: "guiche::request",
        "request",
        request_id = field::Empty,
        client = field::Empty,
        kind,
        flush = field::Empty,
        shed = field::Empty,
        abandoned = field::Empty,
        outcome = field::Empty,
        status = field::Empty,
        queued_us = field::Empty,
        database_us = field::Empty,
    );
    if !span.is_disabled() {
        span.record("request_id", &*request_id(request));
        span.record("client", request.match_info().get("id").unwrap_or_default());
        if let Some(parent) = request.headers().get(TRACEPARENT).and_then(|parent| parent.to_str().ok()) {
            telemetry::adopt_parent(&span, parent);
        }
    }
    span
}

/// The caller's `X-Request-Id` where it is short and printable, or a new one.
fn request_id(request: &HttpRequest) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    match given.filter(|id| !id.is_empty() && id.len() <= REQUEST_ID_MAX) {
        Some(id) => id.to_owned(),
        None => format!("{:032x}", fastrand::u128(..)),
    }
}

fn finish(
    api: &Api,
    route: Route,
    started: Instant,
    span: &Span,
    answer: Result<Timed<Worded>, Problem>,
) -> HttpResponse {
    let (response, outcome) = match answer {
        Ok(Timed { value: Worded { mut response, outcome }, timing }) => {
            span.record("queued_us", timing.queued.as_micros() as u64);
            span.record("database_us", timing.database.as_micros() as u64);
            if api.server_timing {
                response.headers_mut().insert(SERVER_TIMING, server_timing(&timing));
            }
            (response, outcome)
        }
        Err(problem) => {
            if let Problem::Overloaded(bound) = &problem {
                span.record("shed", bound.name());
            }
            (problem.response(), problem.slug())
        }
    };
    let took = started.elapsed();
    api.metrics.answered(route, response.status().as_u16(), took);
    if !span.is_disabled() {
        span.record("status", response.status().as_u16());
        span.record("outcome", outcome);
        tracing::debug!(target: "guiche::request", parent: span, took_us = took.as_micros() as u64, "answered");
    }
    response
}

/// Where the answer's time went, in milliseconds (W3C Server-Timing).
fn server_timing(timing: &Timing) -> HeaderValue {
    let parts = [
        ("queue", timing.queued),
        ("connection", timing.connection),
        ("database", timing.database),
        ("lock", timing.lock_wait),
        ("work", timing.work),
    ];
    let mut text = format!("batch;desc=\"{}\"", timing.batch);
    for (name, duration) in parts {
        text.push_str(&format!(", {name};dur={:.3}", duration.as_secs_f64() * 1e3));
    }
    HeaderValue::from_str(&text).expect("digits, letters and punctuation are a valid header")
}
