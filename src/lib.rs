//! Roundsman makes the rounds of a fleet.

pub mod event;
pub mod model;
pub mod port;
