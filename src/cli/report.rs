//! What people and programs are shown: events as they happen, tables, JSON.

pub mod closing;
mod grid;
pub mod human;
pub mod json;
mod paint;
pub mod probe;
pub mod status;
pub mod table;
mod terminal;
pub mod text;
mod times;
mod words;

/// How to show what people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about where the text goes, and none excludes another"
)]
pub struct Look {
    /// Whether colour may be used. It never says anything that words do not.
    pub colour: bool,
    /// How many columns there are.
    pub width: usize,
    /// Whether stderr is a terminal: what is happening now is shown in place.
    pub terminal: bool,
    /// Whether stderr goes to the journal: lines begin with a priority (`<6>`) and bear no time of their own.
    pub journald: bool,
    /// Only warnings, failures and lost leases.
    pub quiet: bool,
    /// Also what happens all the time, such as renewals.
    pub verbose: bool,
    /// Whether lines begin with their time. Not heeded on a terminal and in the journal.
    pub now_stamp: bool,
}
