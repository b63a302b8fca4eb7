//! How the bytes of a connection become requests: through the door, then by actix's HTTP/1.

use std::fmt::Debug;
use std::future::ready;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Request};
use actix_service::{ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::http::KeepAlive;

use super::door::LINGER;
use super::{Door, DoorOptions, Stream};
use crate::observing::metrics::Gauge;

/// How long an idle connection is kept. Longer than NGINX keeps its own (60 s): a POST on a
/// connection that was just closed would be a 502.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Serves the connections of one worker with its application; `open` counts them.
pub fn by_the_door<S, A, D>(
    app: A,
    door: DoorOptions,
    open: Gauge,
    draining: impl Fn() -> D + Clone + 'static,
) -> impl ServiceFactory<S, Config = (), Response = (), Error = DispatchError, InitError = ()>
where
    S: Stream,
    A: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse, Error = actix_web::Error>
        + 'static,
    A::InitError: Debug,
    D: Future<Output = ()> + 'static,
{
    let connections = HttpService::build()
        .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
        .client_request_timeout(Duration::ZERO) // the door has the deadline
        // Refused before its body was read, a caller is listened to: NGINX that finds the connection closed while
        // it sends the body does not read what was answered.
        .client_disconnect_timeout(LINGER)
        // A caller that closes its connection has gone: what it asked for is not to be sent any more.
        .h1_allow_half_closed(false)
        .on_connect_ext(|door: &Door<S>, data| drop(data.insert(door.data())))
        .h1(map_config(app, |()| AppConfig::default()));
    fn_service(move |stream| ready(Ok((Door::new(stream, door, &open, Box::pin(draining())), None))))
        .and_then(connections)
}
