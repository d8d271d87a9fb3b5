//! The world as EC2 gives it, in ticks: registers of which the last writer wins, reads that may be stale, writes that
//! land when they land, and nodes that execute what reaches them.

use roundsman::model::id::{ClaimId, RunId};
use roundsman::model::outcome::Outcome;

/// A tick of the world's one true clock.
pub(crate) type Tick = u16;

/// A tag's value: a number in [`crate::texts::Texts`]; 0 is no tag.
pub(crate) type Val = u32;

/// One tag of one node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Register {
    /// What it is.
    pub(crate) now: Val,
    /// What it was, with the tick in which it was replaced; sorted, each value once.
    old: Vec<(Val, Tick)>,
}

impl Register {
    pub(crate) fn holding(now: Val) -> Self {
        Self {
            now,
            old: Vec::new(),
        }
    }

    /// Whether it has been what it is for longer than any read is old.
    pub(crate) fn is_stable(&self) -> bool {
        self.old.is_empty()
    }

    pub(crate) fn put(&mut self, val: Val, at: Tick) {
        if val == self.now {
            return;
        }
        let was = std::mem::replace(&mut self.now, val);
        self.old.retain(|(old, _)| *old != was && *old != val);
        self.old.push((was, at));
        self.old.sort_unstable();
    }

    /// Forgets what no read can show any more.
    pub(crate) fn forget(&mut self, at: Tick, stale: Tick) {
        self.old.retain(|(_, gone)| at <= gone + stale);
    }

    /// When a value was replaced, if it is not what stands there.
    pub(crate) fn gone(&self, val: Val) -> Option<Tick> {
        let old = self.old.iter().find(|(old, _)| *old == val);
        old.map(|(_, at)| *at)
    }

    /// What a read may show at a tick: everything that it was within the last `stale` ticks.
    pub(crate) fn visible(&self) -> impl Iterator<Item = Val> + '_ {
        std::iter::once(self.now).chain(self.old.iter().map(|(val, _)| *val))
    }
}

/// What a write does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Op {
    /// `CreateTags`.
    Put(Val),
    /// `DeleteTags` with the value, which deletes nothing else.
    Delete(Val),
    /// `DeleteTags` without a value.
    DeleteAny,
}

/// A write that has not landed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Flying {
    /// Whose.
    pub(crate) by: u8,
    /// When it was begun.
    pub(crate) began: Tick,
    /// When it has to land at the latest.
    pub(crate) lands_by: Tick,
    /// Whether its writer waits for the answer.
    pub(crate) awaited: bool,
    /// What it does: registers and operations, together.
    pub(crate) ops: Vec<(u8, Op)>,
}

/// What a send carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Order {
    /// Which kind of contender sent it: its job.
    pub(crate) kind: u8,
    pub(crate) run: RunId,
    pub(crate) claim: ClaimId,
    pub(crate) step: u32,
    pub(crate) attempt: u32,
    /// In ticks of the true clock.
    pub(crate) not_after: Tick,
}

impl Order {
    pub(crate) fn same_attempt(&self, other: &Self) -> bool {
        (self.run, self.step, self.attempt) == (other.run, other.step, other.attempt)
    }
}

/// Where a send stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stage {
    /// On its way since a tick.
    Pending(Tick),
    /// It executes since a tick.
    Running(Tick),
    /// It ended: whether well.
    Ended(bool),
    /// The node refused it.
    Refused(Outcome),
}

impl Stage {
    /// What was begun before tick 0: it still runs, or has ended well.
    pub(crate) fn begun(runs: bool) -> Self {
        if runs {
            Self::Running(0)
        } else {
            Self::Ended(true)
        }
    }
}

/// A node as it executes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Node {
    /// The highest claim that reached it.
    pub(crate) mark: Option<ClaimId>,
    /// The highest claim that was ever held.
    pub(crate) held: Option<ClaimId>,
    /// Since when it is on hold.
    pub(crate) hold_at: Option<Tick>,
    /// Since when nobody can read its lock.
    pub(crate) spoilt_at: Option<Tick>,
    /// Whether people have changed what accounts for the runs there: nobody can tell then what was done.
    pub(crate) robbed: bool,
    /// Everything that was sent, in order.
    pub(crate) sends: Vec<(Order, Stage)>,
}

impl Node {
    pub(crate) fn running(&self) -> usize {
        let running = |(_, stage): &&(Order, Stage)| matches!(stage, Stage::Running(_));
        self.sends.iter().filter(running).count()
    }
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Wrong {
    /// Two hold one node.
    TwoHolders,
    /// One acts on a node while a later claim holds it.
    Displaced,
    /// More nodes are held or at work than the limit allows.
    OverLimit,
    /// Two steps execute on one node at once.
    Overlap,
    /// One attempt was executed twice.
    Twice,
    /// A run began on a node that had been served already.
    DoneAgain,
    /// A completion was recorded without the work.
    NoWork,
    /// A node's lock is gone over a run that nothing accounts for, and nobody holds.
    Orphaned,
    /// A claim was held after one with a higher id.
    IdOrder,
    /// A run was begun under a hold that had stood since before the settle.
    UnderHold,
    /// A superseded claim executed.
    Superseded,
    /// Something was executed past its not-after time.
    TooLate,
    /// A delete freed a node that somebody else holds.
    FreedHolder,
    /// A write of a lease landed after that lease had been given back.
    Revived,
    /// A run whose step has finished was given up.
    GivenUp,
    /// A lock that nobody can read was written over by who should have seen it.
    Overwritten,
}

/// How often each thing may happen yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Budget {
    /// A write that is not answered in time, and lands later or never.
    pub(crate) late: u8,
    /// A write that is delivered twice.
    pub(crate) twins: u8,
    /// A contender that stands still.
    pub(crate) pauses: u8,
    /// A contender that dies.
    pub(crate) crashes: u8,
    /// A clock that steps ahead by a tick.
    pub(crate) steps: u8,
    /// A clock that steps back by a tick.
    pub(crate) backs: u8,
    /// A tick that passes between a read of the tags and that of the evidence which judges them.
    pub(crate) lags: u8,
    /// An operator who deletes a lock, as Terraform does.
    pub(crate) wipes: u8,
    /// Terraform, which deletes all tags of a node that it does not know.
    pub(crate) strips: u8,
    /// Somebody who writes something of their own into a tag of ours.
    pub(crate) spoils: u8,
    /// An operator who sets a hold.
    pub(crate) holds: u8,
    /// A contender that is told to give up, or to park.
    pub(crate) signals: u8,
    /// A send that is delivered as late as can be, or never.
    pub(crate) slow_sends: u8,
    /// A send that is delivered twice.
    pub(crate) twin_sends: u8,
    /// A step of which its runner does not learn how it ended.
    pub(crate) unknown: u8,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) at: Tick,
    pub(crate) registers: Vec<Register>,
    pub(crate) flying: Vec<Flying>,
    pub(crate) nodes: Vec<Node>,
    /// Numbers in [`crate::cast::Cast`].
    pub(crate) contenders: Vec<u32>,
    pub(crate) budget: Budget,
    pub(crate) wrong: Option<Wrong>,
}
