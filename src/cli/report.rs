//! What people and programs are shown: events as they happen, tables, JSON.

pub mod json;
pub mod text;
