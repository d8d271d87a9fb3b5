//! Floor 5: words, colours, streams, exit statuses. The only floor that joins the others.

pub mod args;
pub mod command;
pub mod context;
pub mod diagnostics;
pub mod exit;
pub mod failure;
pub mod jobs;
pub mod kept;
pub mod problem;
pub mod report;
pub mod settings;
pub mod world;
