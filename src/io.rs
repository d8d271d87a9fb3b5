//! Floor 4: the world: AWS, `SQLite`, processes, the clock. Implements the ports; knows nothing of the engine.

#[cfg(feature = "aws")]
pub mod aws;
pub mod clock;
pub mod environment;
pub mod local;
pub mod memory;
pub(crate) mod process;
pub mod runner;
pub mod runtime;
pub mod signals;
pub mod terminal;
pub mod wrapper;
