//! The targets of what is told of requests, of calls and of actors.

use tracing_subscriber::{Layer, Registry};

pub(super) const REQUEST: &str = "guiche::request";
pub(super) const CALL: &str = "guiche::flush";
pub(super) const ACTOR: &str = "guiche::actor";

/// A layer of the subscriber, each with a filter of its own.
pub(super) type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Returns what a collector is sent, as a filter: everything else costs nothing.
#[cfg(feature = "otlp")]
pub(super) fn targets() -> tracing_subscriber::filter::Targets {
    let targets = [REQUEST, CALL, ACTOR].map(|target| (target, tracing::Level::DEBUG));
    tracing_subscriber::filter::Targets::new().with_targets(targets)
}
