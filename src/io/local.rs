//! The embedded provider: one machine's inventory in `SQLite`, steps on this machine or through any transport.

mod schema;
pub mod shell;
pub mod store;
pub mod via;
