//! guiche: a bank ledger in which every client has an actor and a mailbox.
//!
//! Where a request goes, and what may import what:
//!
//! ```text
//! main ─▶ server ─▶ http ─▶ mailbox ─▶ domain        telemetry, metrics: leaves
//!              └──▶ ledger ─▶ (mailbox's traits, domain)
//! ```
//!
//! - [`http`] judges path and body, and words every answer.
//! - [`mailbox`] orders each client's requests and gathers them into batches. Its module essay
//!   says what is ordered and why; start reading there.
//! - [`ledger`] carries a batch to PostgreSQL, whose stored functions (`sql/`) hold the rules.
//! - [`domain`] has the values that all of them speak in.
//! - [`health`] is the same binary asking an instance how it is.
//! - [`server`] is the only place where these are put together.
//!
//! Crates of their own: `settings` has every setting, [`traces`] writes what the mailboxes did and
//! reads it again for people.

pub mod domain;
pub mod health;
pub mod http;
pub mod ledger;
pub mod mailbox;
pub mod metrics;
pub mod server;
pub mod telemetry;
