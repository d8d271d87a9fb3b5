//! Floor 4: the world. Implements the ports; no other floor talks to anything outside the process.

#[cfg(feature = "aws")]
pub mod aws;
pub mod memory;
