//! Floor 4: the world: AWS, `SQLite`, processes, the clock. Implements the ports; knows nothing of the engine.

pub mod clock;
pub mod environment;
pub mod local;
pub(crate) mod process;
pub mod runner;
pub mod wrapper;
