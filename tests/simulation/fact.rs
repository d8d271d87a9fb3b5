//! What truly happened, as nobody inside the world can know it. Checkers see this, and not the engine.

use roundsman::event::Event;
use roundsman::model::id::{ClaimId, Name, NodeId, RunId};
use roundsman::model::job::On;
use roundsman::model::outcome::Outcome;
use roundsman::model::time::Moment;

/// Who changed a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum By {
    /// An invocation.
    Runner {
        process: u64,
        job: Name,
        /// The run and the claim that it was writing for, as its latest lock on that node said.
        own: Option<(RunId, ClaimId)>,
    },
    /// Somebody with `hold`, `unhold`, `release` or `mark`.
    Operator,
    /// Somebody or something that knows nothing of roundsman.
    Outsider,
}

/// One execution of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Execution {
    pub(crate) id: u64,
    pub(crate) node: NodeId,
    pub(crate) job: Name,
    pub(crate) run: RunId,
    pub(crate) claim: ClaimId,
    pub(crate) step: u32,
    pub(crate) attempt: u32,
    pub(crate) on: On,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// A tag has changed.
    Tag {
        node: NodeId,
        key: String,
        before: Option<String>,
        after: Option<String>,
        by: By,
        /// When the call that did it was begun.
        began: Moment,
    },
    Began(Execution),
    Ended {
        execution: u64,
        outcome: Outcome,
    },
    /// The runner of a step beside it stands still, for longer than it may take to end that step after a lost lease.
    StoodStill {
        execution: u64,
    },
    /// A send was handed to the wrapper, which answered this; `None`: it started the step, or attached to it.
    Delivered {
        node: NodeId,
        run: RunId,
        claim: ClaimId,
        step: u32,
        attempt: u32,
        answer: Option<Outcome>,
    },
    /// What an invocation reported.
    Told {
        process: u64,
        event: Box<Event>,
    },
    /// An invocation began.
    Invoked {
        process: u64,
        job: Name,
    },
    /// It is over. `crashed`: it did not get to say anything.
    Over {
        process: u64,
        crashed: bool,
    },
    /// Something happened to a runner or a node.
    Fate {
        whom: String,
        what: String,
    },
    NodeAdded {
        node: NodeId,
        zone: String,
    },
    NodeGone(NodeId),
    NodeStopped(NodeId),
    Storm,
    Calm,
    /// The calm is over; what was to be served in it has been.
    CalmEnds {
        /// Every node in service, with its tags.
        nodes: Vec<(NodeId, roundsman::model::tag::Tags)>,
    },
}

/// When, and what.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    pub(crate) at: Moment,
    pub(crate) what: What,
}
