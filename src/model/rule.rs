//! The rules of the claim protocol by name, and what a checker takes out of it.
//!
//! Each rule is there because a schedule exists in which two runners get in, or work is lost, without it. To show
//! that, the model checker and the simulator take one out ([`Without`]) and find that schedule again. Nothing else
//! does: no setting, flag or variable reaches [`Without`], and the program always runs with [`Without::NOTHING`].
//!
//! Most are asked for where they hold. The last eight are rules of whoever drives the machine, of the store, or of a
//! fence on the node (`io/node.sh`): of those only the worlds of the checker and the simulator ask.

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One rule of the claim protocol. What is said of each is what happens without it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }

        impl Rule {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

rules! {
    /// A claim waits D > G + 2P. Without: D is one second less, and two claims that crossed both see themselves.
    Settle,
    /// Three reads, half a second apart, have to agree. Without: one, and a single stale read more lets a rival in.
    ThreeReads,
    /// Every claim, take-over and adoption has an id of its own. Without: two adopters, or two attempts of one
    /// runner, take each other's value for their own.
    FreshId,
    /// A write counts only when it is answered within G of its justifying read. Without: it lands after the rival
    /// has looked for the last time.
    WithinG,
    /// What was answered over G, or not at all, is left alone. Without: the clean-up frees the node of a living
    /// holder that the late write has overwritten.
    LeaveLate,
    /// Everything is decided again after the settle. Without: a hold set meanwhile is missed, a short run in
    /// between is done twice, limits are exceeded.
    DecideAgain,
    /// A claim that was answered within G and then lost is deleted. Without: its value blocks the node, and where
    /// both contenders lost, nobody enters until it ends.
    UndoLost,
    /// A withdrawn adoption writes the run back. Without: it is deleted, and the run with it.
    WriteBack,
    /// An adopting claim says in `was` what it found. Without: an adopter that dies settling leaves a value that
    /// looks like a claim for nothing, and the run is lost where evidence is missing.
    Was,
    /// Every write's end, settling included, is at least L after its start. Without: a late value over a living
    /// holder runs out before the holder has noticed it, and a third takes over.
    LastsL,
    /// `until` is rounded up to whole seconds. Without: rounding eats the margin.
    RoundUp,
    /// Writes, sends and starts are justified by a read no older than G. Without: a runner that was paused goes on
    /// as if no time had passed.
    FreshRead,
    /// The own end counts from the start of the last write that was answered in time. Without: from its answer.
    EndFromStart,
    /// After a write without an answer the own end is L after the start of the oldest such write. Without: a write
    /// that lands last ends the lease sooner than its holder believes.
    OldestOpen,
    /// Whatever its ttl, a holder is lost when no read has shown its claim for L. Without: one with a long ttl does
    /// not notice that it was displaced.
    SeenWithinL,
    /// A holder reads its lock so often that it sees a late value before anybody can have taken over from that.
    /// Without: every third of L, which is too seldom where Z is near its bound.
    LookInTime,
    /// After the start of its first parking write a runner only parks. Without: it goes on with a lease that may
    /// say `parked`, beside whoever adopts it.
    ParkOnly,
    /// At most one read or write of the lease is under way. Without: a renewal that is in flight at the release
    /// revives the lock.
    OneAtATime,
    /// A release stops deleting G + P after its first delete. Without: it deletes its own revived value lying over
    /// somebody else's lock.
    ReleaseEnds,
    /// After a write without an answer a holder that reads a value of its own which it does not know to have been
    /// written in time does nothing for D. Without: one whose late renewal lands over a stop acts beside the stopper.
    DoubtWaits,
    /// A stop that has displaced a holder keeps its lease until nothing of that holder's can land any more. Without: it
    /// lets go, a late renewal brings the lock back, and its runner goes on past a limit that others fill.
    StopOutlasts,
    /// A lease is left alone until `until` + M. Without: M is one second less than S + P, and a renewal in its last
    /// moments is not seen.
    Margin,
    /// Evidence is sought for any run on the node. Without: only for the run that the lock names, and a late claim
    /// over a living holder hides the holder's command.
    AnyRun,
    /// A run that evidence shows stands before the name in the lock. Without: a late value that names an ended run
    /// has its lock removed over a finished one.
    EvidenceFirst,
    /// A claim that never settled is no run. Without: it is adopted as one, past due times and limits.
    SettlingIsNoRun,
    /// A run that the tags account for is over. Without: one that died between commit and release is done again.
    AccountedIsOver,
    /// Adopting asks nothing of what others left. Without: a limit lowered below the number of suspects frees none of
    /// them, for ever.
    AdoptFreely,
    /// But it waits for those at work where they fill the limit. Without: where more nodes than the limit bear a run,
    /// because a lock was taken away or a limit lowered, all of them are worked on at once.
    OneByOne,
    /// A claim enters only when all that are counted are within the limit. Without: when fewer than k others have
    /// a lower id, and an established holder is out-ranked by newcomers.
    CountAll,
    /// The lowest of the settling claims stays and the others withdraw. Without: all withdraw, again and again.
    LowestStays,
    /// Nobody waits for a holder. Without: the lowest contender keeps its node while others hold theirs.
    WaitForNoHolder,
    /// Nobody waits longer than 4 D. Without: as long as others settle.
    Patience,
    /// A failed node is counted already and may be retried. Without: one that fills the limit by itself is never
    /// served again.
    RetryFailed,
    /// A node that bears what another job left is counted already and may be taken over while no more than the limit
    /// are claimed. Without: where such nodes fill the limit and that job is gone, none is ever served again.
    TakeOverCounted,
    /// A lock with other lease settings keeps everybody out. Without: D does not cover the rival's G.
    SameSet,
    /// But only until an hour after its end. Without: a holder that died before a change of settings wedges its
    /// fleet for ever.
    OtherSetEnds,
    /// Another job leaves a run of which a step has finished alone for a day. Without: its own job never commits
    /// the work.
    FinishedForADay,
    /// An outcome that nobody knows keeps the lease until the step's latest end. Without: the next node is begun
    /// while this one still works.
    UnknownKeeps,
    /// On a local store deciding and writing are one transaction. Without: each node is compared and set by
    /// itself, and the limits are exceeded.
    OneTransaction,
    /// One attempt a write. Without: an SDK's second attempt leaves a twin in flight that lands later.
    OneAttempt,
    /// A delete names the exact value. Without: it removes whatever is there.
    ExactDelete,
    /// A fence on the node refuses claims below its mark. Without: a superseded claim goes on there.
    Mark,
    /// A fence on the node refuses sends past their not-after time. Without: one delivered hours late is executed.
    NotAfter,
    /// The node's kernel lock, and the process it goes with. Without: a second step starts beside a first whose
    /// runner has died.
    KernelLock,
    /// The node's journal of attempts. Without: a duplicated send is executed twice.
    Journal,
}

/// The rules that are taken out: none, but in a model checker or a simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Without(u64);

impl Without {
    /// The protocol as it is.
    pub const NOTHING: Self = Self(0);

    /// The protocol without this rule.
    pub fn rule(rule: Rule) -> Self {
        Self::NOTHING.and(rule)
    }

    /// And without this one.
    #[must_use]
    pub fn and(self, rule: Rule) -> Self {
        Self(self.0 | 1 << rule as u32)
    }

    /// Whether the rule holds.
    pub fn keeps(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u32) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_taken_out_alone() {
        assert!(Rule::ALL.len() <= 64);
        for out in Rule::ALL {
            let without = Without::rule(*out);
            for rule in Rule::ALL {
                assert!(Without::NOTHING.keeps(*rule));
                assert_eq!(without.keeps(*rule), rule != out);
            }
        }
    }
}
