//! What the tests are made of: databases, instances, a small HTTP client, a
//! link that fails on demand, and a load that remembers what it was told.
//!
//! Everything here panics with a sentence where the ground of a test gives way; only what a test
//! may want to see fail returns a `Result`.

mod certificate;
mod database;
mod front;
mod held;
mod http;
mod instance;
mod load;
mod metrics;
mod observers;
mod page;
mod promtool;
mod proxy;
mod schemathesis;
mod wait;

pub(crate) use certificate::Certificate;
pub(crate) use database::{Database, own_cluster, standby_of};
pub(crate) use front::{BY_REQUEST, Front, at_a_socket, two_instances};
pub(crate) use held::Queue;
pub(crate) use http::{Address, Connection, Request, Response, chunked};
pub(crate) use instance::{Guiche, Launcher, MODES, run_directory};
pub(crate) use load::{Fate, Load, reckon};
pub(crate) use metrics::Metrics;
pub(crate) use observers::{InfluxDb, Observer, Prometheus};
pub(crate) use page::assert_page_ends_with;
pub(crate) use promtool::promtool;
pub(crate) use schemathesis::schemathesis;
pub(crate) use wait::{PATIENCE, until};

/// The body of a transaction that client 1 may have.
pub(crate) const GOOD: &str = r#"{"valor":1,"tipo":"c","descricao":"x"}"#;

/// A transaction's body.
pub(crate) fn transaction(amount: i64, kind: &str, description: &str) -> String {
    serde_json::json!({ "valor": amount, "tipo": kind, "descricao": description }).to_string()
}
