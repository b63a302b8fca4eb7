//! Actor traces from outside: what an instance writes, what `guiche traces` makes of it, and what
//! a real browser shows of that.
//!
//! - [`written`]: an instance on a real PostgreSQL with `TRACE` set;
//! - [`beside`]: two traces over one another;
//! - [`command`]: the command line, on files with known contents;
//! - [`holders`]: whom calls waited for, against what PostgreSQL says of its sessions;
//! - [`inputs`]: whatever way a trace is given;
//! - [`live`]: the page while instances write;
//! - [`outputs`]: what it writes, and what it leaves alone;
//! - [`page`]: the HTML page in a headless Chromium;
//! - [`perfetto`]: the export in Perfetto and its trace processor;
//! - [`otlp`]: what reaches an OpenTelemetry collector (cargo feature `otlp`), also by TLS.

#[path = "../service/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the service's tests, which use all of it")]
mod harness;

mod beside;
mod browser;
#[cfg(feature = "otlp")]
mod collector;
mod command;
mod holders;
mod inputs;
mod live;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "otlp")]
mod otlp_metrics;
#[cfg(feature = "otlp")]
mod otlp_tls;
mod outputs;
mod page;
mod perfetto;
mod sample;
mod written;
