//! What one invocation has come to so far.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::round::{Orders, Served};
use crate::engine::visit::Visited;
use crate::event::Counts;
use crate::model::decide::Row;
use crate::model::id::NodeId;
use crate::model::run::Result as RunResult;
use crate::model::time::Moment;
use crate::model::view::View;
use crate::port::{ErrorKind, PortError};

/// How many claims one invocation may lose before it leaves the fleet to the others.
const LOSSES_MAX: u32 = 16;

/// How often in a row a claim may not be answered in time, or be refused, before the invocation gives up.
const NOT_CLAIMED_MAX: u32 = 3;

#[derive(Default)]
pub(super) struct State {
    pub(super) counts: Counts,
    pub(super) error: Option<PortError>,
    pub(super) cut_short: bool,
    pub(super) last_look: Option<(View, Vec<Row>)>,
    pub(super) served: Vec<Served>,
    /// Nodes in hand or served by this invocation.
    pub(super) skip: BTreeSet<NodeId>,
    /// Nodes with work begun or being claimed.
    pub(super) taken: u32,
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
    /// Whether another node may be looked for.
    pub(super) fn wants_more(&self, orders: &Orders, in_hand: usize) -> bool {
        let room =
            orders.max.is_none_or(|max| self.taken < max) && in_hand < orders.parallel as usize;
        room && self.error.is_none() && !self.idle && self.losses < LOSSES_MAX
    }

    /// Counts how a visit ended; `true`: the next claim waits a random while.
    pub(super) fn count(&mut self, node: &NodeId, visited: Visited, took: Duration) -> bool {
        self.idle = false;
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
                return self.lost(node);
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
                return self.lost(node);
            }
            Visited::LeaseLost(error) => {
                self.counts.leases_lost += 1;
                if let Some(error) = error {
                    self.error = Some(error);
                }
            }
            Visited::Outside(error) => self.error = Some(error),
            Visited::Left => self.cut_short = true,
        }
        false
    }

    fn lost(&mut self, node: &NodeId) -> bool {
        self.losses += 1;
        self.taken -= 1;
        self.skip.remove(node);
        true
    }
}
