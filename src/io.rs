//! Floor 4: the world.

pub mod memory;
