//! The routes' handlers: judge path and body, ask the mailboxes, word the answer.

use std::sync::atomic::Ordering;
use std::time::Instant;

use actix_web::http::ConnectionType;
use actix_web::http::header::{ContentType, HeaderName, HeaderValue};
use actix_web::web::{Bytes, BytesMut, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{FutureExt, StreamExt};
use tracing::Instrument;

use super::connection::{InService, awaits_body, broken_off};
use super::key::read_key;
use super::observed::{self, Observed};
use super::openapi::DOCUMENT;
use super::page;
use super::path::Path;
use super::problem::Problem;
use super::wire::{AppliedBody, StatementBody, parse_transaction};
use super::{Api, Readiness};
use crate::domain::{ClientId, Kind, Transaction};
use crate::mailbox::{Timed, Timing};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// `POST /clientes/{id}/transacoes`
pub(super) async fn post_transaction(request: HttpRequest, payload: Payload, api: Data<Api>) -> HttpResponse {
    let mut observed = Observed::begin(&request, &api.observer, Path::Transactions);
    let span = observed.span();
    let answer = apply(&request, payload, &api, &mut observed).instrument(span).await;
    finish(&api, &mut observed, answer)
}

/// `GET /clientes/{id}/extrato`
pub(super) async fn get_statement(request: HttpRequest, api: Data<Api>) -> HttpResponse {
    let mut observed = Observed::begin(&request, &api.observer, Path::Statement);
    let span = observed.span();
    let answer = read_statement(&request, &api, &mut observed).instrument(span).await;
    finish(&api, &mut observed, answer)
}

/// `GET /healthz`: the process is alive.
pub(super) async fn healthz(request: HttpRequest, api: Data<Api>) -> HttpResponse {
    let healthy = HttpResponse::Ok().content_type(ContentType::plaintext()).body("Healthy");
    counted(&request, &api, Some(Path::Health), Instant::now(), healthy)
}

/// `GET /readyz`: the database answers, is what the profile says, and has its data; and the instance is not
/// about to end.
pub(super) async fn readyz(request: HttpRequest, api: Data<Api>) -> HttpResponse {
    let _in_service = InService::begin(&request);
    let began = Instant::now();
    let ending = api.ending.load(Ordering::Relaxed);
    let readiness =
        if ending { Readiness::NotReady("the instance is about to end") } else { (api.readiness)().await };
    let response = match readiness {
        Readiness::Ready => HttpResponse::Ok().content_type(ContentType::plaintext()).body("Ready"),
        Readiness::NotReady(why) => Problem::NotReady(why).response(),
    };
    counted(&request, &api, Some(Path::Readiness), began, response)
}

/// Every path that is not a route.
pub(super) async fn no_such_path(request: HttpRequest, api: Data<Api>) -> HttpResponse {
    counted(&request, &api, None, Instant::now(), Problem::NoSuchPath.response())
}

/// A path with another method than it takes.
pub(super) async fn method_not_allowed(request: HttpRequest, api: Data<Api>, path: Path) -> HttpResponse {
    let response = Problem::MethodNotAllowed(path.allowed()).response();
    counted(&request, &api, Some(path), Instant::now(), response)
}

/// `GET /openapi.json`
pub(super) async fn description(request: HttpRequest, api: Data<Api>) -> HttpResponse {
    let response = HttpResponse::Ok().content_type(ContentType::json()).body(DOCUMENT.clone());
    counted(&request, &api, Some(Path::Description), Instant::now(), response)
}

/// `GET /problems/{slug}`: what a problem's `type` leads to.
pub(super) async fn problem(request: HttpRequest, api: Data<Api>) -> HttpResponse {
    let response = match page::of(request.match_info().get("slug").unwrap_or_default()) {
        Some(page) => HttpResponse::Ok().content_type(ContentType::html()).body(page),
        None => Problem::NoSuchPath.response(),
    };
    counted(&request, &api, Some(Path::Problem), Instant::now(), response)
}

/// Counts an answer that is in no trace.
fn counted(
    request: &HttpRequest,
    api: &Api,
    path: Option<Path>,
    began: Instant,
    mut response: HttpResponse,
) -> HttpResponse {
    api.observer.http.answered(path.map(Path::name), response.status().as_u16(), began.elapsed());
    observed::name_as_asked(&mut response, request);
    close_if_ending(api, &mut response);
    response
}

/// Has whoever asks an instance that ends do so on another connection next time.
fn close_if_ending(api: &Api, response: &mut HttpResponse) {
    if api.ending.load(Ordering::Relaxed) {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
}

/// An answer, the word for it in traces, and where its time went if it came out of a mailbox.
struct Answer {
    response: HttpResponse,
    outcome: &'static str,
    timing: Option<Timing>,
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        Self { response: problem.response(), outcome: problem.slug(), timing: None }
    }
}

async fn apply(
    request: &HttpRequest,
    payload: Payload,
    api: &Api,
    observed: &mut Observed<'_>,
) -> Result<Answer, Problem> {
    let client = client_id(request)?;
    let body = read_body(request, payload, api.body_limit_bytes).await?;
    let _in_service = InService::begin(request);
    let key = read_key(request.headers())?.map(Box::new);
    let transaction = Transaction { key, ..parse_transaction(&body)? };
    observed.record.kind = kind_name(transaction.kind).into();
    let Timed { value: outcome, timing } =
        api.mailboxes.apply(client, transaction, observed.ticket.clone()).await?;
    let answer = match outcome {
        Ok(applied) => {
            let response = HttpResponse::Ok().json(AppliedBody::from(applied));
            Answer { response, outcome: "applied", timing: None }
        }
        Err(rejection) => Problem::from(rejection).into(),
    };
    Ok(Answer { timing: Some(timing), ..answer })
}

async fn read_statement(
    request: &HttpRequest,
    api: &Api,
    observed: &mut Observed<'_>,
) -> Result<Answer, Problem> {
    let client = client_id(request)?;
    let _in_service = InService::begin(request);
    let Timed { value: statement, timing } = api.mailboxes.statement(client, observed.ticket.clone()).await?;
    let answer = match statement {
        Some(statement) => {
            let response = HttpResponse::Ok().json(StatementBody::from(&*statement));
            Answer { response, outcome: "read", timing: None }
        }
        None => Problem::UnknownClient.into(),
    };
    Ok(Answer { timing: Some(timing), ..answer })
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

/// Reads the body, bounded in size; in time it is by the connection's door.
async fn read_body(
    request: &HttpRequest,
    mut payload: Payload,
    limit_bytes: usize,
) -> Result<Bytes, Problem> {
    let too_large = || Problem::BodyTooLarge(limit_bytes);
    let declared =
        request.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: u64| length > limit_bytes as u64) {
        return Err(too_large());
    }
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    loop {
        let chunk = match payload.next().now_or_never() {
            Some(chunk) => chunk,
            None => {
                awaits_body(request);
                payload.next().await
            }
        };
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(|_| broken_off(request))?;
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
}

fn finish(api: &Api, observed: &mut Observed<'_>, answer: Result<Answer, Problem>) -> HttpResponse {
    let Answer { mut response, outcome, timing } = answer.unwrap_or_else(|problem| {
        if let Problem::Overloaded(bound) = &problem {
            observed.record.shed = Some(bound.name().into());
        }
        problem.into()
    });
    if let Some(timing) = &timing {
        observed.record.queued = Some(timing.queued.as_micros() as u64);
        if api.server_timing {
            response.headers_mut().insert(SERVER_TIMING, server_timing(timing));
        }
    }
    observed.answered(outcome, response.status().as_u16());
    observed::name(&mut response, observed.ticket.id());
    close_if_ending(api, &mut response);
    response
}

/// Where the answer's time went, in milliseconds (W3C Server-Timing).
fn server_timing(timing: &Timing) -> HeaderValue {
    let parts = [("queue", timing.queued), ("connection", timing.connection), ("database", timing.database)];
    let seen = parts.map(|(name, duration)| (name, duration.as_secs_f64() * 1e3));
    let reported = timing.report.parts().map(|(figure, micros)| (figure.heading, micros as f64 / 1e3));
    let mut text = format!("batch;desc=\"{}\"", timing.batch);
    for (name, millis) in seen.into_iter().chain(reported) {
        text.push_str(&format!(", {name};dur={millis:.3}"));
    }
    HeaderValue::from_str(&text).expect("digits, letters and punctuation are a valid header")
}
