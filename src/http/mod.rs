//! HTTP: the routes, and what their handlers share.

mod connection;
mod door;
mod error;
mod handlers;
#[doc(hidden)]
pub mod hostile;
mod key;
mod observed;
mod openapi;
mod page;
mod path;
mod problem;
mod serve;
mod wire;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use actix_web::web::{self, ServiceConfig};
use actix_web::{Resource, Route, guard};
use strum::IntoEnumIterator;

use self::path::Path;
use crate::mailbox::Mailboxes;
use crate::observing::Observer;

pub use connection::DoorOptions;
pub use door::{Door, LastCall, Stream};
pub use serve::{KEEP_ALIVE, by_the_door};

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
    for path in Path::iter() {
        config.service(resource(path));
    }
    config.default_service(web::route().to(handlers::no_such_path));
}

/// Returns what serves a path. A HEAD is a GET whose answer has no body; who sends what it does not take is told so.
fn resource(path: Path) -> Resource {
    let resource = web::resource(path.pattern());
    let resource = match path {
        Path::Transactions => resource.route(handler(path).guard(guard::Post())),
        _ => resource.route(handler(path).guard(guard::Get())).route(handler(path).guard(guard::Head())),
    };
    let refuse = move |request, api| handlers::method_not_allowed(request, api, path);
    resource.default_service(web::route().to(refuse))
}

fn handler(path: Path) -> Route {
    match path {
        Path::Transactions => web::route().to(handlers::post_transaction),
        Path::Statement => web::route().to(handlers::get_statement),
        Path::Health => web::route().to(handlers::healthz),
        Path::Readiness => web::route().to(handlers::readyz),
        Path::Description => web::route().to(handlers::description),
        Path::Problem => web::route().to(handlers::problem),
    }
}
