//! What all reports have in common: charts, pages, tables.

pub mod document;
pub mod groups;
mod legend;
pub mod lines;
pub mod page;
mod panel;
mod scale;
mod shapes;
pub mod svg;
pub mod text;
