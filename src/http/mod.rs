//! HTTP: the routes, and what their handlers share.

mod error;
mod handlers;
mod observed;
mod wire;

use std::pin::Pin;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{Resource, Route};

use crate::mailbox::Mailboxes;
use crate::observing::Observer;

/// What the handlers of one worker share.
pub struct Api {
    /// Where transactions go.
    pub mailboxes: Mailboxes,
    /// Asks whether the instance can serve.
    pub readiness: ReadinessProbe,
    /// The largest body.
    pub body_limit_bytes: usize,
    /// Time for a body to arrive.
    pub read_timeout: Duration,
    /// Whether answers carry `Server-Timing`.
    pub server_timing: bool,
    /// Who is told of each request.
    pub observer: Observer,
}

/// Asks, each time, whether the instance can serve.
pub type ReadinessProbe = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Readiness>>>>;

/// Whether the instance can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// It cannot, and why.
    NotReady(&'static str),
}

/// Adds the routes to a worker's application.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(only(Method::POST, "/clientes/{id}/transacoes", web::post().to(handlers::post_transaction)))
        .service(only(Method::GET, "/clientes/{id}/extrato", web::get().to(handlers::get_statement)))
        .service(only(Method::GET, "/healthz", web::get().to(handlers::healthz)))
        .service(only(Method::GET, "/readyz", web::get().to(handlers::readyz)))
        .default_service(web::route().to(handlers::no_such_path));
}

/// A path with one method; others are told which it is.
fn only(method: Method, path: &str, route: Route) -> Resource {
    let refuse = web::route().to(move || handlers::method_not_allowed(method.clone()));
    web::resource(path).route(route).default_service(refuse)
}
