//! How many nodes may be not well at once. Distinct nodes are counted; a claim enters only when *all* that are
//! counted, itself included, are within every limit. A node that is counted already (it failed, or bears a run) asks less:
//! see [`Over`].
//!
//! "Fewer than k others with a lower id" is unsafe for k ≥ 2 at every settle time: an established holder with a
//! high id is out-ranked by two newcomers. Hence a tie-break decides who withdraws, never who enters.

use std::collections::BTreeSet;

use crate::model::id::{ClaimId, NodeId};
use crate::model::job::{Count, Divider};
use crate::model::lock::{LockState, Seen};
use crate::model::node::{Node, Service};
use crate::model::reason::Reason;
use crate::model::rule::Rule;
use crate::model::suspect::{Answer, judge, margin};
use crate::model::view::{Rules, View};

/// Whether one more claim fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Room {
    /// It does.
    Fits,
    /// It does not, but those in the way may yet withdraw: they are settling, and mine is the lowest claim.
    Contended,
    /// It does not.
    Full {
        /// A sentence for people: how many of how many, and which.
        why: String,
    },
}

/// Why a node counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Weight {
    /// Its claim, if it has one that counts; `true`: it is settling and has not run out.
    claim: Option<(Option<ClaimId>, bool)>,
    /// Out of service or failed, as the job counts.
    unwell: bool,
    failed: bool,
}

impl Weight {
    fn counts(self) -> bool {
        self.claim.is_some() || self.unwell || self.failed
    }
}

fn weigh(rules: &Rules, view: &View, node: &Node) -> Weight {
    let limits = &rules.job.limits;
    let claim = match rules.lock(node) {
        Seen::Unreadable(_) => Some((None, false)),
        Seen::Lock(lock) if limits.counts_job(&lock.job) => {
            let settling = lock.state == LockState::Settling && view.now < lock.until;
            Some((Some(lock.claim), settling))
        }
        Seen::Free | Seen::Lock(_) => None,
    };
    Weight {
        claim: claim.filter(|_| limits.count.contains(&Count::InWork)),
        unwell: limits.count.contains(&Count::OutOfService)
            && matches!(node.service, Service::Out { .. }),
        failed: limits.count.contains(&Count::Failed) && rules.failed(node),
    }
}

/// A claim that asks for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asking {
    /// Its id, once it is written.
    pub mine: Option<ClaimId>,
    /// What it is written over.
    pub over: Over,
}

/// What a claim that asks for room is written over: a node that bears something is counted already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Over {
    /// Nothing.
    #[default]
    Free,
    /// A run that another job left.
    Others,
    /// A run of the own job: only who is at work elsewhere stands in its way, so that it waits at most until they are
    /// done.
    Own,
}

/// Whether a claim on `node` is within every limit.
pub fn room(rules: &Rules, view: &View, node: &Node, asking: Asking) -> Room {
    let limits = &rules.job.limits;
    let everyone = |_: &Node| true;
    let mut worst = room_in(
        rules,
        view,
        node,
        asking,
        limits.nodes,
        "the fleet",
        &everyone,
    );
    for per in &limits.per {
        let part = part_of(node, &per.by);
        let name = match (&per.by, &part) {
            (Divider::Zone, part) => format!("zone {}", part.as_deref().unwrap_or("unknown")),
            (Divider::Tag(tag), Some(part)) => format!("{tag} {part}"),
            (Divider::Tag(tag), None) => format!("the nodes without {tag}"),
        };
        let same = |other: &Node| part_of(other, &per.by) == part;
        let here = room_in(rules, view, node, asking, per.nodes, &name, &same);
        worst = match (worst, here) {
            (Room::Full { why }, _) | (_, Room::Full { why }) => Room::Full { why },
            (Room::Contended, _) | (_, Room::Contended) => Room::Contended,
            (Room::Fits, Room::Fits) => Room::Fits,
        };
    }
    worst
}

fn part_of(node: &Node, by: &Divider) -> Option<String> {
    match by {
        Divider::Zone => node.zone.clone(),
        Divider::Tag(tag) => node.tags.get(tag).cloned(),
    }
}

fn room_in(
    rules: &Rules,
    view: &View,
    node: &Node,
    Asking { mine, over }: Asking,
    limit: u32,
    place: &str,
    within: &dyn Fn(&Node) -> bool,
) -> Room {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let own = weigh(rules, view, node);
    let others: Vec<(&NodeId, Weight)> = view
        .nodes
        .iter()
        .filter(|other| other.id != node.id && within(other))
        .map(|other| (&other.id, weigh(rules, view, other)))
        .filter(|(_, weight)| weight.counts())
        .collect();
    // A node that is counted already may be claimed, one at a time: claims alone decide. It failed, or bears what somebody
    // left; then others of which that is true as well do not stand in its way, or none of them could ever go first.
    let keeps = |rule| rules.without.keeps(rule);
    let passes = |id: &NodeId| match over {
        Over::Free => false,
        Over::Others => keeps(Rule::TakeOverCounted) && is_left(rules, view, id),
        Over::Own => keeps(Rule::AdoptFreely) && !is_at_work(rules, view, id),
    };
    let counted_already = match over {
        Over::Free => own.failed && keeps(Rule::RetryFailed),
        Over::Others => keeps(Rule::TakeOverCounted),
        Over::Own => keeps(Rule::AdoptFreely),
    };
    let claims = others
        .iter()
        .filter(|(id, weight)| weight.claim.is_some() && !passes(id))
        .count();
    if others.len() < limit || (counted_already && claims < limit) {
        return Room::Fits;
    }
    if outranked_by_few(rules, mine, limit, &others) {
        return Room::Fits;
    }
    // Of nodes that would count without their claim as well, only the claim is what may yet be withdrawn.
    let may_withdraw = |weight: &&Weight| counted_already || !weight.unwell && !weight.failed;
    let settling: BTreeSet<ClaimId> = others
        .iter()
        .map(|(_, weight)| weight)
        .filter(may_withdraw)
        .filter_map(|weight| {
            weight
                .claim
                .filter(|(_, settling)| *settling)
                .and_then(|(claim, _)| claim)
        })
        .collect();
    let counted = if counted_already {
        claims
    } else {
        others.len()
    };
    let standing = counted - settling.len();
    let room_if_they_go = standing < limit || !rules.without.keeps(Rule::WaitForNoHolder);
    let lowest = mine.is_some_and(|mine| settling.iter().all(|other| mine < *other));
    if lowest && room_if_they_go && rules.without.keeps(Rule::LowestStays) {
        return Room::Contended;
    }
    let mut names: Vec<&str> = others.iter().map(|(id, _)| id.as_str()).take(3).collect();
    if others.len() > 3 {
        names.push("…");
    }
    Room::Full {
        why: format!(
            "{} of at most {limit} in {place} not well: {}",
            others.len(),
            names.join(", ")
        ),
    }
}

/// Whether a node's lock is one that somebody left, with nothing in progress there.
fn is_left(rules: &Rules, view: &View, id: &NodeId) -> bool {
    let node = view.node(id);
    let lock = node.and_then(|node| Some((node, rules.lock(node).lock().cloned()?)));
    lock.is_some_and(|(node, lock)| !matches!(judge(rules, view, node, &lock), Answer::Wait { .. }))
}

/// Whether somebody holds a node, or may hold it still, or something is in progress there. An unreadable lock says
/// nothing of the kind.
fn is_at_work(rules: &Rules, view: &View, id: &NodeId) -> bool {
    let node = view.node(id);
    let Some((node, lock)) = node.and_then(|node| Some((node, rules.lock(node).lock().cloned()?)))
    else {
        return false;
    };
    let held = lock.may_be_held(view.now, margin(rules));
    let busy = |answer| {
        matches!(
            answer,
            Answer::Wait {
                reason: Reason::Locked | Reason::Busy,
                ..
            }
        )
    };
    held || busy(judge(rules, view, node, &lock))
}

/// What must not be: entering because fewer than k others have a lower id. Only where the rule is taken out.
fn outranked_by_few(
    rules: &Rules,
    mine: Option<ClaimId>,
    limit: usize,
    others: &[(&NodeId, Weight)],
) -> bool {
    let lower = |mine: ClaimId| {
        let claims = others.iter().filter_map(|(_, weight)| weight.claim?.0);
        claims.filter(|claim| *claim < mine).count()
    };
    !rules.without.keeps(Rule::CountAll) && mine.is_some_and(|mine| lower(mine) < limit)
}

#[cfg(test)]
mod tests;
