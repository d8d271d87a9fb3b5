//! The embedded provider: one machine's inventory in SQLite, steps on this machine or through any transport.

pub mod pattern;
pub mod shell;
pub mod store;
