//! The one decision: which node is served next, and why the others are not.
//!
//! `plan` prints these rows, `run` takes the first that can be taken, and a settled claim is judged by
//! [`standing::standing`], which asks the same questions again.

pub mod standing;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::id::{ClaimId, NodeId};
use crate::model::job::NewNodes;
use crate::model::limits::{Asking, Over, Room, room};
use crate::model::lock::{Lock, LockState, Seen};
use crate::model::node::{Agent, Node, Service};
use crate::model::reason::{Reason, Verdict};
use crate::model::record::Last;
use crate::model::rule::Rule;
use crate::model::span::short_span;
use crate::model::suspect::{Answer, LeftRun, judge, other_set_until};
use crate::model::tag::tags_missing_room;
use crate::model::time::{elapsed, format_stamp, later};
use crate::model::view::{Rules, View};

/// What an operator asks for beside the rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wish {
    /// Only this node; its age, its order and its backoff are ignored, all else is obeyed.
    pub only: Option<NodeId>,
    /// Nodes that this invocation has served already, or is serving.
    pub skip: BTreeSet<NodeId>,
}

/// How a node would be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Take {
    /// It is free.
    Free,
    /// The run of the own job that was left there is gone on with.
    Adopt {
        /// The lock's value.
        found: String,
        /// The run.
        run: LeftRun,
    },
    /// It is taken over from a run of another job, which is given up.
    Over {
        /// The lock's value.
        found: String,
        /// The run.
        run: LeftRun,
    },
    /// A lock that somebody left is removed first; then it is decided anew.
    Remove {
        /// The lock's value.
        found: String,
    },
}

impl Take {
    /// The exact value of the lock that is overwritten or removed.
    pub fn found(&self) -> Option<&str> {
        match self {
            Self::Free => None,
            Self::Adopt { found, .. } | Self::Over { found, .. } | Self::Remove { found } => {
                Some(found)
            }
        }
    }

    /// Whether both mean the same: the same kind and the same run, however far that has come meanwhile.
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Free, Self::Free) => true,
            (Self::Adopt { run, .. }, Self::Adopt { run: again, .. })
            | (Self::Over { run, .. }, Self::Over { run: again, .. }) => {
                (run.run, &run.job) == (again.run, &again.job)
            }
            (Self::Free | Self::Adopt { .. } | Self::Over { .. } | Self::Remove { .. }, _) => false,
        }
    }
}

/// One node, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The node.
    pub node: NodeId,
    /// The verdict.
    pub verdict: Verdict,
    /// The decisive reason.
    pub reason: Reason,
    /// When it changes, if that is known.
    pub until: Option<Timestamp>,
    /// The reason in words, for people.
    pub detail: String,
    /// What stands in `last-<task>`.
    pub last: Last,
    /// When it is (or was) due; `None`: never served.
    pub due: Option<Timestamp>,
    /// How long its deadline has passed.
    pub overdue: Duration,
    /// Whether its time has come, whatever stands in the way.
    pub owed: bool,
    /// Its lock, where one can be read.
    pub lock: Option<Lock>,
    /// How it would be taken; `None`: not now.
    pub take: Option<Take>,
    /// A lock that a node out of service still bears for nobody: to be removed, or it would count for ever.
    pub remove: Option<String>,
}

/// Why a node is not taken, or that it is.
struct Ruling {
    reason: Reason,
    until: Option<Timestamp>,
    detail: String,
    take: Option<Take>,
}

fn ruling(reason: Reason, until: Option<Timestamp>, detail: impl Into<String>) -> Ruling {
    Ruling {
        reason,
        until,
        detail: detail.into(),
        take: None,
    }
}

/// Judges every node, in the order in which they would be served; ties by node id.
pub fn decide(rules: &Rules, view: &View, wish: &Wish) -> Vec<Row> {
    let mut rows: Vec<(Rank, Row)> = view
        .nodes
        .iter()
        .filter(|node| {
            wish.only.as_ref().is_none_or(|only| *only == node.id) && !wish.skip.contains(&node.id)
        })
        .map(|node| judge_node(rules, view, wish, node, None))
        .map(|row| (rank(rules, &row), row))
        .collect();
    rows.sort_by(|(a, left), (b, right)| a.cmp(b).then_with(|| left.node.cmp(&right.node)));
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Serving order: what can be taken first; adoptions, then never served (as the job wants it), then the oldest.
type Rank = (bool, u8, Option<Timestamp>);

fn rank(rules: &Rules, row: &Row) -> Rank {
    let over = row.take.as_ref().is_some_and(|take| *take != Take::Free);
    let group = match (&row.last, rules.job.new) {
        _ if over => 0,
        (Last::Never, NewNodes::Last) => 4,
        (Last::Never, NewNodes::First | NewNodes::After(_)) => 1,
        (Last::Unreadable(_), _) => 2,
        (Last::At(_), _) => 3,
    };
    (row.take.is_none(), group, row.last.at())
}

/// One node under judgement.
struct Case<'a> {
    rules: &'a Rules,
    view: &'a View,
    wish: &'a Wish,
    node: &'a Node,
    /// The own claim, when it is written already.
    mine: Option<ClaimId>,
    /// The lock that somebody left, judged: what stands there, or what the own claim was written over.
    left: Option<(Lock, Answer)>,
}

fn judge_node(
    rules: &Rules,
    view: &View,
    wish: &Wish,
    node: &Node,
    mine: Option<(ClaimId, Option<&Lock>)>,
) -> Row {
    let found = rules.lock(node).lock().cloned();
    let left = match (found, mine) {
        // The own claim says nothing about what it was written over: that is judged as if it still stood.
        (Some(lock), Some((claim, over))) if claim == lock.claim => over.cloned(),
        (found, _) => found,
    };
    let left = left.map(|lock| (lock.clone(), judge(rules, view, node, &lock)));
    let case = Case {
        rules,
        view,
        wish,
        node,
        mine: mine.map(|(claim, _)| claim),
        left,
    };
    let last = rules.last(node, view.now);
    let due = last.at().map(|at| later(at, rules.job.every));
    let overdue = match (&last, rules.job.deadline) {
        (Last::At(at), Some(deadline)) => elapsed(later(*at, deadline), view.now),
        _ => Duration::ZERO,
    };
    let ruling = case
        .out_of_reach()
        .or_else(|| case.on_lock())
        .or_else(|| case.on_time(due))
        .or_else(|| case.in_company())
        .unwrap_or_else(|| case.taken(&last, due));
    let verdict = match (&ruling.take, ruling.reason) {
        (Some(_), _) if overdue > Duration::ZERO => Verdict::Overdue,
        (Some(_), _) => Verdict::Due,
        (None, Reason::Fresh | Reason::TooYoung) => Verdict::NotDue,
        (None, _) => Verdict::Blocked,
    };
    Row {
        node: node.id.clone(),
        verdict,
        reason: ruling.reason,
        until: ruling.until,
        detail: ruling.detail,
        owed: due.is_none_or(|due| due <= view.now) && ruling.reason != Reason::TooYoung,
        remove: case.leftover_out_of_service(),
        last,
        due,
        overdue,
        lock: rules.lock(node).lock().cloned(),
        take: ruling.take,
    }
}

impl Case<'_> {
    fn out_of_reach(&self) -> Option<Ruling> {
        let Self {
            rules, view, node, ..
        } = self;
        if let Service::Out { why, .. } = &node.service {
            return Some(ruling(Reason::OutOfService, None, why.clone()));
        }
        if node.agent == Agent::Offline && rules.on_node() {
            return Some(ruling(
                Reason::AgentOffline,
                None,
                "its SSM agent is not online",
            ));
        }
        let fleet = rules.fleet_hold(view).map(|hold| ("the fleet is", hold));
        fleet
            .or_else(|| rules.hold(&node.tags, view.now).map(|hold| ("it is", hold)))
            .map(|(what, hold)| {
                let why = if hold.reason.is_empty() {
                    String::new()
                } else {
                    format!(": {}", hold.reason)
                };
                ruling(
                    Reason::Hold,
                    hold.until,
                    format!("{what} on hold by {}{why}", hold.by),
                )
            })
    }

    fn leftover_out_of_service(&self) -> Option<String> {
        let out = matches!(self.node.service, Service::Out { .. });
        let left = matches!(self.left, Some((_, Answer::Remove)));
        self.node
            .tags
            .get(self.rules.keys.lock.as_str())
            .filter(|_| out && left && self.mine.is_none())
            .cloned()
    }

    fn on_lock(&self) -> Option<Ruling> {
        if let Seen::Unreadable(text) = self.rules.lock(self.node) {
            return Some(ruling(
                Reason::UnreadableLock,
                None,
                format!("its lock cannot be read: {text:?}"),
            ));
        }
        if let Some((
            _,
            Answer::Wait {
                reason,
                until,
                detail,
            },
        )) = &self.left
        {
            return Some(ruling(*reason, *until, detail.clone()));
        }
        let keys = &self.rules.keys;
        let missing = tags_missing_room(
            &self.node.tags,
            &[&keys.lock, &keys.last, &keys.took, &keys.fail],
        );
        let why = format!("ours would be {missing} more than the 50 tags that EC2 allows");
        (missing > 0).then(|| ruling(Reason::TagsFull, None, why))
    }

    /// Whether what is left there is a run of the own job, or of nobody: its time is not asked again.
    fn goes_on(&self) -> bool {
        matches!(self.left, Some((_, Answer::Remove | Answer::Adopt(_))))
    }

    fn on_time(&self, due: Option<Timestamp>) -> Option<Ruling> {
        let now = self.view.now;
        if self.wish.only.as_ref() == Some(&self.node.id) || self.goes_on() {
            return None;
        }
        if let Some(due) = due.filter(|due| now < *due) {
            return Some(ruling(
                Reason::Fresh,
                Some(due),
                format!("due in {}", short_span(elapsed(now, due))),
            ));
        }
        match (
            self.rules.job.new,
            self.node.launched,
            self.rules.last(self.node, now),
        ) {
            (NewNodes::After(age), Some(launched), Last::Never) if now < later(launched, age) => {
                let why = format!(
                    "launched {}; new nodes wait {}",
                    format_stamp(launched),
                    short_span(age)
                );
                Some(ruling(Reason::TooYoung, Some(later(launched, age)), why))
            }
            _ => None,
        }
    }

    fn in_company(&self) -> Option<Ruling> {
        let Self {
            rules, view, node, ..
        } = self;
        let other = view
            .nodes
            .iter()
            .filter(|other| other.id != node.id)
            .find_map(|other| {
                let lock = rules.lock(other).lock().cloned()?;
                let until = other_set_until(rules, &lock, view.now)?;
                Some((other.id.clone(), lock, until))
            });
        if let Some((id, lock, until)) = other {
            let why = format!(
                "{} works on {id} with other lease settings ({}, ours are {})",
                lock.owner,
                lock.set,
                rules.lease.set()
            );
            return Some(ruling(Reason::Conflict, Some(until), why));
        }
        let over = match &self.left {
            // Removing a lock makes room.
            Some((_, Answer::Remove)) => return None,
            Some((_, Answer::Adopt(_))) => Over::Own,
            Some((_, Answer::TakeOver(_))) => Over::Others,
            Some((_, Answer::Wait { .. })) | None => Over::Free,
        };
        if over == Over::Own && !rules.without.keeps(Rule::OneByOne) {
            return None;
        }
        let asking = Asking {
            mine: self.mine,
            over,
        };
        match room(rules, view, node, asking) {
            Room::Fits => None,
            Room::Contended => Some(ruling(Reason::Limit, None, "others are claiming too")),
            Room::Full { why } => Some(ruling(Reason::Limit, None, why)),
        }
    }

    fn taken(&self, last: &Last, due: Option<Timestamp>) -> Ruling {
        let now = self.view.now;
        if let Some((lock, answer)) = &self.left {
            let found = self
                .node
                .tags
                .get(self.rules.keys.lock.as_str())
                .cloned()
                .unwrap_or_default();
            let (take, detail) = match answer.clone() {
                Answer::Adopt(run) => {
                    let detail = format!("the run that {} left is adopted", lock.owner);
                    (Take::Adopt { found, run }, detail)
                }
                Answer::TakeOver(run) => {
                    let detail = format!(
                        "the run of {} that {} left is given up",
                        run.job, lock.owner
                    );
                    (Take::Over { found, run }, detail)
                }
                Answer::Remove | Answer::Wait { .. } => {
                    let detail = format!("the lock that {} left is removed", lock.owner);
                    (Take::Remove { found }, detail)
                }
            };
            let reason = if lock.state == LockState::Parked {
                Reason::Parked
            } else {
                Reason::Suspect
            };
            return Ruling {
                take: Some(take),
                ..ruling(reason, None, detail)
            };
        }
        let ago = |at: &Timestamp| short_span(elapsed(*at, now));
        let (reason, detail) = match (last, due) {
            (Last::Never, _) => (Reason::NeverServed, "never served".to_owned()),
            (Last::Unreadable(text), _) => (
                Reason::UnreadableLast,
                format!("its {} cannot be read: {text:?}", self.rules.keys.last),
            ),
            (Last::At(at), Some(due)) if due <= now => {
                (Reason::Age, format!("last served {} ago", ago(at)))
            }
            (Last::At(at), _) => (
                Reason::Age,
                format!("asked for; last served {} ago", ago(at)),
            ),
        };
        Ruling {
            take: Some(Take::Free),
            ..ruling(reason, None, detail)
        }
    }
}

#[cfg(test)]
mod tests;
