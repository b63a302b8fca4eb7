//! HTTP: the routes, and what their handlers share.

mod connection;
mod door;
mod error;
mod handlers;
mod key;
mod observed;
mod wire;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use actix_web::web::{self, ServiceConfig};
use actix_web::{Resource, Route, guard};

use crate::mailbox::Mailboxes;
use crate::observing::Observer;

pub use connection::DoorOptions;
pub use door::{Door, Stream};

/// What the handlers of one worker share.
pub struct Api {
    /// Where transactions go.
    pub mailboxes: Mailboxes,
    /// Asks whether the instance can serve.
    pub readiness: ReadinessProbe,
    /// The largest body.
    pub body_limit_bytes: usize,
    /// Whether answers carry `Server-Timing`.
    pub server_timing: bool,
    /// Who is told of each request.
    pub observer: Observer,
    /// Whether the instance is to end: it is not ready any more, and whoever is answered is told that the
    /// connection is closed.
    pub ending: Arc<AtomicBool>,
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
        .service(posted("/clientes/{id}/transacoes", web::post().to(handlers::post_transaction)))
        .service(got("/clientes/{id}/extrato", || web::route().to(handlers::get_statement)))
        .service(got("/healthz", || web::route().to(handlers::healthz)))
        .service(got("/readyz", || web::route().to(handlers::readyz)))
        .default_service(web::route().to(handlers::no_such_path));
}

/// A path that takes a POST; who sends something else is told so.
fn posted(path: &'static str, route: Route) -> Resource {
    web::resource(path).route(route).default_service(refuse(path, "POST"))
}

/// A path that takes a GET, or a HEAD: the same without a body.
fn got(path: &'static str, route: impl Fn() -> Route) -> Resource {
    let resource = web::resource(path).route(route().guard(guard::Get())).route(route().guard(guard::Head()));
    resource.default_service(refuse(path, "GET, HEAD"))
}

fn refuse(path: &'static str, allowed: &'static str) -> Route {
    // As metrics name it.
    let route = path.rsplit('/').next();
    web::route().to(move |request, api| handlers::method_not_allowed(request, api, route, allowed))
}
