//! Plays loads against a stack of the testbed, measures, and reports.

pub mod args;
pub mod bench;
pub mod contest;
pub mod experiment;
pub mod measure;
pub mod report;
pub mod up;
