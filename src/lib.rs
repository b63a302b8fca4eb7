//! guiche: a bank ledger in which every client has an actor and a mailbox.
//!
//! Where a request goes, and what may import what:
//!
//! ```text
//! main ─▶ server ─▶ http ─▶ mailbox ─▶ domain        observing: a leaf
//!              └──▶ ledger ─▶ (mailbox's traits, domain)
//! ```
//!
//! - [`http`] judges path and body, and words every answer.
//! - [`mailbox`] orders each client's requests and gathers them into batches. Its module essay
//!   says what is ordered and why; start reading there.
//! - [`ledger`] carries a batch to PostgreSQL, whose stored functions (`sql/`) hold the rules.
//! - [`domain`] has the values that all of them speak in.
//! - [`observing`] takes one record of each request and of each call, and hands it to metrics, the
//!   trace, the log and OTLP.
//! - [`tls`] is what [`ledger`] and [`observing`] share where they speak it.
//! - [`health`] is the same binary asking an instance how it is.
//! - [`server`] is the only place where these are put together; [`signals`] says what each signal does.
//!
//! Crates of their own: `settings` has every setting, [`traces`] writes what the mailboxes did and
//! reads it again for people.

pub mod domain;
pub mod health;
pub mod http;
pub mod ledger;
mod listen;
pub mod mailbox;
pub mod observing;
mod readiness;
pub mod server;
pub mod signals;
pub mod tls;
