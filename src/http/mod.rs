//! HTTP: the routes, and what their handlers share.

mod error;
mod handlers;
mod wire;

use std::pin::Pin;
use std::time::Duration;

use actix_web::web::{self, ServiceConfig};

use crate::mailbox::Mailboxes;
use crate::metrics::HttpMetrics;

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
    /// Where answers are counted.
    pub metrics: HttpMetrics,
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
    let other_method = || web::route().to(handlers::method_not_allowed);
    config
        .service(
            web::resource("/clientes/{id}/transacoes")
                .route(web::post().to(handlers::post_transaction))
                .default_service(other_method()),
        )
        .service(
            web::resource("/clientes/{id}/extrato")
                .route(web::get().to(handlers::get_statement))
                .default_service(other_method()),
        )
        .service(
            web::resource("/healthz").route(web::get().to(handlers::healthz)).default_service(other_method()),
        )
        .service(
            web::resource("/readyz").route(web::get().to(handlers::readyz)).default_service(other_method()),
        )
        .default_service(web::route().to(handlers::no_such_path));
}
