//! What must never be: judged from what truly happened, beside the simulator and without the engine's words.
//!
//! One file for each question: what runs on nodes, what stands in tags, and what becomes of it in a calm.

#[path = "checks/calm.rs"]
mod calm;
#[path = "checks/holders.rs"]
mod holders;
#[path = "checks/nodes.rs"]
mod nodes;
#[path = "checks/tags.rs"]
mod tags;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roundsman::event::EventKind;
use roundsman::model::time::Moment;

use crate::fact::{Fact, What};
use crate::site::Site;

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Promise {
    /// Nobody begins a step on a node of which somebody else holds the lease.
    OneHolder,
    /// Two runs never execute node steps on one node at once.
    NoOverlap,
    /// A superseded claim executes nothing more on a node.
    NotSuperseded,
    /// A finished attempt is not executed again.
    NotRepeated,
    /// Nobody lets go of a node on which a step of theirs runs.
    NotLetGo,
    /// Never more nodes at work than the limits.
    WithinLimits,
    /// `last-<task>` does not move back.
    NotMovedBack,
    /// `last-<task>` never records work that was not done.
    WorkWasDone,
    /// Work done is recorded.
    Recorded,
    /// What one run has done is not done again by another: within a bound, see `DONE_AGAIN_ONCE_IN`.
    NotDoneAgain,
    /// What is not ours, or cannot be read, is not overwritten.
    HandsOff,
    /// Nobody has to clean up by hand.
    NoLockLeft,
    /// What is due is served.
    Served,
    /// Every invocation ends.
    Ends,
}

impl Promise {
    pub(crate) const ALL: [Self; 14] = [
        Self::OneHolder,
        Self::NoOverlap,
        Self::NotSuperseded,
        Self::NotRepeated,
        Self::NotLetGo,
        Self::WithinLimits,
        Self::NotMovedBack,
        Self::WorkWasDone,
        Self::Recorded,
        Self::NotDoneAgain,
        Self::HandsOff,
        Self::NoLockLeft,
        Self::Served,
        Self::Ends,
    ];
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) at: Moment,
    pub(crate) promise: Promise,
    pub(crate) what: String,
}

/// What is counted beside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) invocations: u64,
    pub(crate) claims: u64,
    pub(crate) adoptions: u64,
    pub(crate) claims_lost: u64,
    pub(crate) leases_lost: u64,
    pub(crate) committed: u64,
    pub(crate) failed: u64,
    pub(crate) executions: u64,
    /// Sends that the fence refused: busy, superseded, too late.
    pub(crate) refused: u64,
    /// Sends that the journal answered, or that attached to what ran already.
    pub(crate) answered: u64,
    /// Steps beside a runner that overlapped with a step of another run: no fence guards them, none is promised.
    pub(crate) unfenced_overlaps: u64,
    /// Runs whose work was all done, and recorded as failed.
    pub(crate) done_and_failed: u64,
}

impl Figures {
    pub(crate) fn add(&mut self, other: &Self) {
        self.invocations += other.invocations;
        self.claims += other.claims;
        self.adoptions += other.adoptions;
        self.claims_lost += other.claims_lost;
        self.leases_lost += other.leases_lost;
        self.committed += other.committed;
        self.failed += other.failed;
        self.executions += other.executions;
        self.refused += other.refused;
        self.answered += other.answered;
        self.unfenced_overlaps += other.unfenced_overlaps;
        self.done_and_failed += other.done_and_failed;
    }
}

/// All checkers of one world.
#[derive(Debug)]
pub(crate) struct Checks {
    site: Site,
    pub(crate) violations: Vec<Violation>,
    pub(crate) figures: Figures,
    holders: holders::Holders,
    nodes: nodes::Nodes,
    tags: tags::TagHistory,
    calm: calm::Calms,
    /// Invocations that are not over, and when they began.
    invocations: BTreeMap<u64, Moment>,
    /// Nodes whose lock somebody from outside took away: until then they may be at work beyond the limits.
    meddled_until: BTreeMap<roundsman::model::id::NodeId, Moment>,
}

/// More violations than this are not kept: the first one is what is looked into.
const KEPT: usize = 10_000;

impl Checks {
    pub(crate) fn new(site: &Site) -> Self {
        Self {
            site: site.clone(),
            violations: Vec::new(),
            figures: Figures::default(),
            holders: holders::Holders::default(),
            nodes: nodes::Nodes::default(),
            tags: tags::TagHistory::default(),
            calm: calm::Calms::default(),
            invocations: BTreeMap::new(),
            meddled_until: BTreeMap::new(),
        }
    }

    fn broken(&mut self, at: Moment, promise: Promise, what: String) {
        if self.violations.len() < KEPT {
            self.violations.push(Violation { at, promise, what });
        }
    }

    /// How many of each promise were broken.
    pub(crate) fn count(&self, promise: Promise) -> usize {
        let of_it = |each: &&Violation| each.promise == promise;
        self.violations.iter().filter(of_it).count()
    }

    /// The first violation of each promise that was broken, in the order of time.
    pub(crate) fn first_of_each(&self) -> Vec<Violation> {
        let mut seen = BTreeSet::new();
        let new = |each: &&Violation| seen.insert(each.promise);
        self.violations.iter().filter(new).cloned().collect()
    }

    pub(crate) fn see(&mut self, fact: &Fact) {
        self.see_holders(fact);
        self.see_nodes(fact);
        self.see_tags(fact);
        self.see_calm(fact);
        match &fact.what {
            What::Invoked { process, .. } => {
                self.figures.invocations += 1;
                self.invocations.insert(*process, fact.at);
            }
            What::Over { process, .. } => {
                self.invocations.remove(process);
            }
            What::Told { event, .. } => self.count_event(&event.kind),
            What::CalmEnds { .. } => self.see_ends(fact.at),
            _ => {}
        }
    }

    fn count_event(&mut self, kind: &EventKind) {
        let figures = &mut self.figures;
        match kind {
            EventKind::Claimed { .. } => figures.claims += 1,
            EventKind::Adopted { .. } => figures.adoptions += 1,
            EventKind::ClaimLost { .. } => figures.claims_lost += 1,
            EventKind::LeaseLost { .. } => figures.leases_lost += 1,
            EventKind::Committed { .. } => figures.committed += 1,
            EventKind::Failed { .. } => figures.failed += 1,
            _ => {}
        }
    }

    /// In a calm of days every invocation that began before it has come to its end.
    fn see_ends(&mut self, at: Moment) {
        let long = Duration::from_secs(2 * 86_400);
        let hung: Vec<u64> = self
            .invocations
            .iter()
            .filter(|(_, began)| began.plus(long) < at)
            .map(|(process, _)| *process)
            .collect();
        for process in hung {
            let what = format!("invocation {process} has not ended for two days of calm");
            self.broken(at, Promise::Ends, what);
            self.invocations.remove(&process);
        }
    }
}
