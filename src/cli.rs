//! Floor 5: words, colours, streams, exit codes.

pub mod jobs;
pub mod problem;
pub mod settings;
