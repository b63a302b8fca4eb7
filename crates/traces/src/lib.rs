//! Actor traces: what the mailboxes did, as a file, and what people make of it.
//!
//! An instance with `TRACE=path` writes down every request and every database call. `guiche
//! traces` reads such files, of one or several instances, in one pass and in bounded memory.
//!
//! - [`mod@format`] is the file's format, and the only thing that writer and reader share.
//! - Writing: `layer` turns `tracing` spans into lines, `writer` writes them on a thread of its
//!   own, `rotate` bounds the files.
//! - Reading: `reader` finds the lines, `command` hands each to what was asked for: `summary`,
//!   `slowest`, `collect` and `page` (HTML), `chrome` (Perfetto).

pub mod format;

mod chrome;
mod collect;
mod command;
mod layer;
mod page;
mod page_text;
mod quantiles;
mod reader;
mod rotate;
mod select;
mod slowest;
mod summary;
mod text;
mod writer;

pub use command::{Arguments, TracesError, run};
pub use layer::{layer, targets};
pub use writer::{TraceOptions, TraceWriter};

#[cfg(test)]
mod tests;
