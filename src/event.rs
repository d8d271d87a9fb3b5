//! Floor 2: what has happened, in past tense: the engine's only output.
//!
//! Human lines, JSON lines, the exit status and tests are its readers.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::id::{NodeId, RunId};
use crate::model::lock::LockState;
use crate::model::outcome::Outcome;
use crate::model::record::FailReason;

/// One thing that has happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When, the provider's time.
    pub at: Timestamp,
    /// The run; `None` before there is one, and at the end.
    pub run: Option<RunId>,
    /// The node and its name for people; `None` at the end.
    pub node: Option<NodeId>,
    /// What.
    pub kind: EventKind,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// The node was chosen. For people: what it is called, and how long the last run took there.
    Chosen {
        /// Its name.
        name: Option<String>,
        /// What `took-<task>` says.
        took_before: Option<Duration>,
    },
    /// The claim was written and settles until about `settled`.
    Settling {
        /// How long that takes.
        for_: Duration,
    },
    /// The node was claimed: the lease is held.
    Claimed {
        /// Its end, unless renewed.
        until: Timestamp,
    },
    /// The claim was lost or withdrawn.
    ClaimLost {
        /// A sentence.
        why: String,
    },
    /// A run was taken up again, instead of a new one claimed: the lease is held.
    Adopted {
        /// What its lease was found as.
        was: LockState,
        /// The step that it had begun last; 0: none that is known of.
        step: u32,
        /// The lease's end, unless renewed.
        until: Timestamp,
    },
    /// A run is being ended on purpose, by a claim over its lease.
    Stopping {
        /// What its lease was found as.
        was: LockState,
        /// Who held it.
        owner: String,
        /// The step that it had begun last; 0: none that is known of.
        step: u32,
        /// The lease's end, unless renewed.
        until: Timestamp,
    },
    /// A step was sent.
    StepStarted {
        /// Its number.
        step: u32,
        /// Its name.
        name: String,
        /// Which attempt.
        attempt: u32,
    },
    /// A step has ended.
    StepFinished {
        /// Its number.
        step: u32,
        /// Its name.
        name: String,
        /// Which attempt.
        attempt: u32,
        /// How.
        outcome: Outcome,
        /// Its own exit status, where it had one.
        status: Option<i32>,
        /// How long it took; `None`: it was found ended, and nobody knows since when.
        took: Option<Duration>,
        /// The tail of its output.
        output_tail: String,
    },
    /// The lease was renewed.
    Renewed {
        /// Its new end.
        until: Timestamp,
    },
    /// The lease was lost: nothing more is started or touched.
    LeaseLost {
        /// A sentence.
        why: String,
    },
    /// The run counts: `last-<task>` is written.
    Committed {
        /// The time of completion.
        last: Timestamp,
        /// How long the run took.
        took: Duration,
    },
    /// The run did not succeed.
    Failed {
        /// The step it ended at; 0: none was begun.
        step: u32,
        /// Why.
        reason: FailReason,
        /// How many such runs since the last success; `None` when that could not be recorded.
        count: Option<u32>,
    },
    /// The lock was removed.
    Released,
    /// The run is left to the next invocation.
    Parked {
        /// Why.
        why: ParkedFor,
        /// The step begun last; 0: none.
        step: u32,
        /// When its lease ends.
        until: Timestamp,
    },
    /// Something that a person should know, and that changes nothing.
    Warned {
        /// A sentence.
        message: String,
    },
    /// All is done.
    Finished(Counts),
}

/// Why a run was left to the next invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParkedFor {
    /// A signal.
    Signal,
    /// The time that `--for` gives is up.
    Time,
    /// The node is on hold.
    Hold,
    /// The credentials end soon.
    Credentials,
}

impl ParkedFor {
    /// The word in JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Time => "time",
            Self::Hold => "hold",
            Self::Credentials => "credentials",
        }
    }
}

/// How many of each, over one invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Nodes claimed.
    pub claimed: u32,
    /// Runs that were committed.
    pub committed: u32,
    /// Runs that did not succeed.
    pub failed: u32,
    /// Claims lost or withdrawn.
    pub claims_lost: u32,
    /// Leases lost while running.
    pub leases_lost: u32,
    /// Runs left to the next invocation.
    pub parked: u32,
}
