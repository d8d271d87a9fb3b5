//! What one invocation has come to so far.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::round::{Orders, Served};
use crate::engine::visit::{Begin, Visited};
use crate::event::Counts;
use crate::model::decide::{Row, Take};
use crate::model::id::NodeId;
use crate::model::run::Result as RunResult;
use crate::model::time::Moment;
use crate::model::view::View;
use crate::port::{ErrorKind, PortError};

/// How many claims one invocation may lose before it leaves the fleet to the others.
const LOSSES_MAX: u32 = 16;

/// How often in a row a claim may not be answered in time, or be refused, before the invocation gives up.
const NOT_CLAIMED_MAX: u32 = 3;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// What the own job left behind, and what may be claimed.
    Any,
    /// Only what the own job left behind.
    Left,
}

/// Every run that the own job left behind is looked at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Left {
    /// There may be more of them.
    #[default]
    ToLookAt,
    /// A look that could have shown more of them showed none.
    LookedAt,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) counts: Counts,
    pub(super) error: Option<PortError>,
    pub(super) cut_short: bool,
    pub(super) last_look: Option<(View, Vec<Row>)>,
    pub(super) served: Vec<Served>,
    /// Nodes in hand or served by this invocation.
    pub(super) skip: BTreeSet<NodeId>,
    /// Nodes newly claimed, or being claimed.
    pub(super) taken: u32,
    /// Those of them in hand now.
    new_in_hand: BTreeSet<NodeId>,
    /// What the own job left behind.
    left: Left,
    /// From then on what runs on nodes is left to the next invocation, and nothing is taken after a first look.
    pub(super) leave_at: Moment,
    pub(super) not_claimed: u32,
    /// The latest claim that was not answered in time: told when nothing else came of the invocation.
    pub(super) unanswered: Option<PortError>,
    pub(super) losses: u32,
    pub(super) warned: bool,
    /// Nothing could be taken at the last look, and nothing has changed since.
    pub(super) idle: bool,
    /// When the next look may be: after a lost claim a random while later.
    pub(super) not_before: Moment,
}

impl State {
    /// An invocation that leaves what runs on nodes from that moment on.
    pub(super) fn until(leave_at: Moment) -> Self {
        Self {
            leave_at,
            ..Self::default()
        }
    }

    /// What may be looked for now, if anything.
    pub(super) fn wants(&self, orders: &Orders, now: Moment) -> Option<Wanted> {
        // `--for 0s` waits for nothing, and takes what can be taken all the same.
        let waits = orders.wait.is_some_and(|wait| wait > Duration::ZERO);
        let over = waits && now >= self.leave_at;
        if over || self.error.is_some() || self.idle || self.losses >= LOSSES_MAX {
            return None;
        }
        let room = orders.max.is_none_or(|max| self.taken < max)
            && self.new_in_hand.len() < orders.parallel as usize;
        match (room, self.left) {
            (true, _) => Some(Wanted::Any),
            (false, Left::ToLookAt) => Some(Wanted::Left),
            (false, Left::LookedAt) => None,
        }
    }

    /// Takes in what a look leads to.
    pub(super) fn took(&mut self, begin: Option<&Begin>) {
        self.idle = begin.is_none();
        let adopts = begin.is_some_and(|begin| matches!(begin.take, Take::Adopt { .. }));
        // What was left goes before what is free, so there is nothing more of it.
        if !adopts {
            self.left = Left::LookedAt;
        }
        let Some(begin) = begin else { return };
        self.skip.insert(begin.node.id.clone());
        if !adopts {
            self.taken += 1;
            self.new_in_hand.insert(begin.node.id.clone());
        }
    }

    /// Counts how a visit ended; `true`: the next claim waits a random while.
    pub(super) fn count(&mut self, node: &NodeId, visited: Visited, took: Duration) -> bool {
        self.idle = false;
        let new = self.new_in_hand.remove(node);
        if let Visited::Recorded(result) = &visited {
            self.served.push(Served {
                node: node.clone(),
                result: *result,
                took,
            });
        }
        let claimed = !matches!(visited, Visited::ClaimLost { .. } | Visited::NotClaimed(_));
        self.counts.claimed += u32::from(claimed);
        match visited {
            Visited::Recorded(RunResult::Done) => self.counts.committed += 1,
            Visited::Recorded(RunResult::DoneUnclean { .. }) => {
                self.counts.committed += 1;
                self.counts.failed += 1;
            }
            Visited::Recorded(RunResult::Failed { reason, .. }) => {
                self.counts.failed += 1;
                self.cut_short |= reason == crate::model::record::FailReason::Stopped;
            }
            // A change of the node's tags by somebody else at the same moment is a claim lost like any other.
            Visited::ClaimLost { .. }
            | Visited::NotClaimed(PortError {
                kind: ErrorKind::Conflict,
                ..
            }) => {
                self.counts.claims_lost += 1;
                return self.lost(node, new);
            }
            Visited::NotClaimed(error) => {
                self.not_claimed += 1;
                let passing = matches!(error.kind, ErrorKind::Throttled | ErrorKind::Unreachable);
                if error.kind == ErrorKind::Unreachable {
                    self.unanswered = Some(error.clone());
                }
                if !passing || self.not_claimed >= NOT_CLAIMED_MAX {
                    self.error = Some(error);
                }
                return self.lost(node, new);
            }
            Visited::LeaseLost(error) => {
                self.counts.leases_lost += 1;
                if let Some(error) = error {
                    self.error = Some(error);
                }
            }
            Visited::Outside(error) => self.error = Some(error),
            Visited::Parked => self.counts.parked += 1,
            Visited::Left => self.cut_short = true,
        }
        false
    }

    fn lost(&mut self, node: &NodeId, new: bool) -> bool {
        self.losses += 1;
        self.taken -= u32::from(new);
        // What was left there is looked at again.
        if !new {
            self.left = Left::ToLookAt;
        }
        self.skip.remove(node);
        true
    }
}
