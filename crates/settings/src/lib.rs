//! Every setting of the service, its default and its bounds, in one place. All come from the
//! environment. [`SETTINGS`] is the table; [`Config`] is what a program holds once it has read them.

mod bounds;
mod choices;
mod config;
mod database_url;
mod error;
mod otel;
mod session;
mod setting;
mod table;
mod vars;

pub use bounds::{Bounds, Deadlines};
pub use choices::{Listen, LogFormat, Mode, Profile, Shards};
pub use config::{Config, TraceFiles};
pub use database_url::DatabaseUrl;
pub use error::ConfigError;
pub use otel::{CollectorTls, MetricsExport, Otlp, PemFile, Reach};
pub use session::{PLANNED, session_options};
pub use setting::{Fallback, Setting, Values};
pub use table::{SETTINGS, check, settings_text};
