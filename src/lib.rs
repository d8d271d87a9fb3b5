//! Roundsman makes the rounds of a fleet.

pub mod event;
pub mod io;
pub mod model;
pub mod port;
