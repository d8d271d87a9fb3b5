//! Floor 5: words, colours, streams, exit codes.

pub mod args;
pub mod exit;
pub mod failure;
pub mod jobs;
pub mod problem;
pub mod report;
pub mod settings;
