//! Roundsman makes the rounds of a fleet.

pub mod cli;
pub mod event;
pub mod model;
pub mod port;
