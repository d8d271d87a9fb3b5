//! Floor 1: the rules. Pure: no async, clock, randomness or I/O; times and ids are arguments.

pub mod backoff;
pub mod choose;
pub mod decide;
pub mod digest;
pub mod document;
pub mod field;
pub mod id;
pub mod job;
pub mod journal;
pub mod lease;
pub mod limits;
pub mod lock;
pub mod node;
pub mod outcome;
pub mod probe;
pub mod problem;
pub mod reason;
pub mod record;
pub mod rule;
pub mod run;
pub mod settings;
pub mod span;
pub mod suspect;
pub mod tag;
pub mod time;
pub mod view;
