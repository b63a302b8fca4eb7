//! What all reports have in common: charts, pages, tables.

pub mod groups;
mod legend;
pub mod lines;
mod marks;
pub mod page;
mod panel;
mod shapes;
pub mod svg;
pub mod text;
