//! Actor traces: what the mailboxes did, as a file, and what people make of it.
//!
//! An instance with `TRACE=path` writes down every request and every database call. `guiche
//! traces` reads such files, of one or several instances, in one pass and in bounded memory.
//!
//! - [`mod@format`] is the file's format, and the only thing that writer and reader share: one typed
//!   record of a request, and one of a call.
//! - Writing: `writer` takes records and writes them on a thread of its own, `rotate` bounds the files.
//! - Reading: `reader` finds the lines, `reading` hands each to what was asked for: `summary`,
//!   `holders` (who waited for whom), `clocks`, `slowest`, `collect` and `page` (HTML), `chrome` (Perfetto).
//! - Following: `follow` reads files on, `window` keeps what is new, `live` and `serving` serve the page of it.
//! - `command` is `guiche traces`.

pub mod format;

mod beside;
mod chains;
mod chrome;
mod chrome_rows;
mod clocks;
mod collect;
mod command;
mod failed;
mod file_id;
mod follow;
mod holders;
#[doc(hidden)]
pub mod hostile;
mod html;
mod input;
mod lanes;
mod live;
mod locks;
mod losses;
mod missed;
mod output;
mod page;
mod page_columns;
mod page_text;
mod printable;
mod quantiles;
mod reader;
mod reading;
mod report;
mod rotate;
mod select;
mod serving;
mod slices;
mod slowest;
mod summary;
mod table;
mod tally;
mod text;
mod text_waits;
mod units;
mod waiting;
mod window;
mod writer;

pub use command::{Arguments, TracesError, run};
pub use writer::{LineSender, TraceOptions, TraceWriter, now_micros};

#[cfg(test)]
mod tests;
