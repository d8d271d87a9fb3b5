//! What `probe` measures, and what follows from it for the lease settings. Pure: a log of reads and writes goes in.
//!
//! The claim rests on assumptions about the store that nobody publishes for EC2: how old a read can be (`staleness`,
//! P), how long a read and the write that it justifies take (`claim-within`, G), how far clocks differ (`skew`, S).
//! `probe` writes values that it never repeats, one after another, and reads all the while, over several connections
//! and by every call that a run uses. Versions count: 0 is what stood there before, n is the nth write.
//!
//! # What is measured
//!
//! - **Age of a read.** A read begun at `t` that shows version `v`, although a later write had been answered at
//!   `a < t`, is stale by **at least `t - a`**: from `a` on a fresh read had to show something newer. Of the later
//!   writes the one answered first counts. It is stale by at most `t - b`, where `b` is when the first later write was
//!   begun: not before `b` can the version have been replaced. Every other read has age 0: it is not known to be stale.
//! - **Backwards.** A read that shows a lower version than another read that had ended when this one began.
//! - **Seen after.** From a write's answer to the end of the first read that shows it or a later one; and to the start
//!   of the last read that still shows an earlier one.
//! - **Claim.** From the start of a read to the answer of the write that follows it at once: what has to be within G.
//!
//! # What is not known
//!
//! A write without an answer may land at any time, also over later ones. So a read that shows such a version is never
//! called stale or backwards; it is counted as unclear. Its time is not that of a claim: it would be late under any G.
//! And a probe sees the store as it is while it runs: it can show that a setting is too low, never that one is high
//! enough. That is why [`advice`] never lowers a setting, and why what was found is multiplied before it is advised.

pub mod advice;
pub mod find;
pub mod spread;
pub mod tag;

use crate::model::time::Moment;

/// By which call a value was read: the three that a run uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// All tags of one node: what justifies a write.
    Node,
    /// One key of some nodes: the locks of a fleet, while a claim settles.
    Key,
    /// The nodes with their tags: what is decided on.
    Fleet,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Node, Self::Key, Self::Fleet];

    /// Its name in JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Key => "key",
            Self::Fleet => "fleet",
        }
    }
}

/// One read that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// By which call.
    pub way: Way,
    /// When it was begun.
    pub began: Moment,
    /// When it was answered.
    pub ended: Moment,
    /// The version that it shows: 0 is what stood there before the probe, `n` the nth write.
    pub version: usize,
}

/// How a write was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Done,
    /// It was refused: it never lands.
    Refused,
    /// Not at all: it may land at any time.
    Unanswered,
}

/// One write, as a claim makes it: right after a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// When the read before it was begun.
    pub read: Moment,
    /// When it was begun.
    pub began: Moment,
    /// When it was answered, or given up.
    pub ended: Moment,
    /// How.
    pub answer: Answer,
}

/// Everything that a probe did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// The writes in their order: the first is version 1. At most one is under way at a time.
    pub writes: Vec<Write>,
    /// The reads in any order.
    pub reads: Vec<Read>,
    /// Calls that were throttled, after the repetitions that the store makes by itself.
    pub throttled: usize,
    /// Calls that failed otherwise.
    pub failed: usize,
}
