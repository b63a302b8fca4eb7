//! What all reports have in common: charts, pages, tables.

pub mod bars;
pub mod lines;
pub mod page;
pub mod svg;
pub mod text;
