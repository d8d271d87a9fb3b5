//! How many nodes may be not well at once. Distinct nodes are counted; a claim enters only when *all* that are
//! counted, itself included, are within every limit.
//!
//! "Fewer than k others with a lower id" is unsafe for k ≥ 2 at every settle time: an established holder with a
//! high id is out-ranked by two newcomers. Hence a tie-break decides who withdraws, never who enters.

use std::collections::BTreeSet;

use crate::model::id::{ClaimId, NodeId};
use crate::model::job::{Count, Divider};
use crate::model::lock::{LockState, Seen};
use crate::model::node::{Node, Service};
use crate::model::rule::Rule;
use crate::model::suspect::{Answer, judge};
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
    /// Whether it takes the node over from a run that another job left there, or goes on with one of its own that only
    /// evidence shows.
    pub over: bool,
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
    // A node that is counted already may be claimed, one at a time: claims alone decide. It failed, or bears what another
    // job left; then others of which that is true as well do not stand in its way, or none of them could ever go first.
    let over = over && rules.without.keeps(Rule::TakeOverCounted);
    let counted_already = over || own.failed && rules.without.keeps(Rule::RetryFailed);
    let claims = others
        .iter()
        .filter(|(id, weight)| weight.claim.is_some() && !(over && is_left(rules, view, id)))
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
mod tests {
    use super::*;
    use crate::model::job::Per;
    use crate::model::lock::{Lock, tests::sample};
    use crate::model::view::tests::{node, now, rules, view};

    fn lock(claim: u64, state: LockState) -> String {
        Lock {
            claim: ClaimId::new(claim, 0),
            state,
            until: crate::model::time::later(now(), std::time::Duration::from_secs(600)),
            ..sample()
        }
        .format()
    }

    fn ask(rules: &Rules, nodes: Vec<Node>, mine: Option<u64>) -> Room {
        let view = view(nodes);
        let node = view.nodes[0].clone();
        let asking = Asking {
            mine: mine.map(|mine| ClaimId::new(mine, 0)),
            over: false,
        };
        room(rules, &view, &node, asking)
    }

    fn full(room: &Room) -> bool {
        matches!(room, Room::Full { .. })
    }

    #[test]
    fn claims_failures_and_nodes_out_of_service_all_count() {
        let rules = rules();
        assert_eq!(
            ask(&rules, vec![node("a", &[]), node("b", &[])], None),
            Room::Fits
        );
        for tags in [
            ("lock", lock(5, LockState::Held)),
            ("lock", "yes".to_owned()),
            ("fail-repair", "v1".to_owned()),
        ] {
            assert!(
                full(&ask(
                    &rules,
                    vec![node("a", &[]), node("b", &[(tags.0, &tags.1)])],
                    None
                )),
                "{tags:?}"
            );
        }
        let mut out = node("b", &[]);
        out.service = Service::Out {
            why: "instance is stopped".to_owned(),
            stopped: true,
        };
        assert!(full(&ask(&rules, vec![node("a", &[]), out], None)));
    }

    #[test]
    fn what_is_not_counted_leaves_room() {
        let mut rules = rules();
        rules.job.limits.count = [Count::InWork].into();
        assert_eq!(
            ask(
                &rules,
                vec![node("a", &[]), node("b", &[("fail-repair", "v1")])],
                None
            ),
            Room::Fits
        );
        rules.job.limits.jobs = vec!["backup".to_owned()];
        assert_eq!(
            ask(
                &rules,
                vec![
                    node("a", &[]),
                    node("b", &[("lock", &lock(5, LockState::Held))])
                ],
                None
            ),
            Room::Fits
        );
        assert!(full(&ask(
            &rules,
            vec![node("a", &[]), node("b", &[("lock", "unreadable")])],
            None
        )));
    }

    #[test]
    fn a_node_counts_once_however_unwell_it_is() {
        let mut rules = rules();
        rules.job.limits.nodes = 2;
        let held = lock(5, LockState::Held);
        assert_eq!(
            ask(
                &rules,
                vec![
                    node("a", &[]),
                    node("b", &[("lock", &held), ("fail-repair", "v1")])
                ],
                None
            ),
            Room::Fits
        );
    }

    #[test]
    fn a_failed_node_that_fills_the_limit_may_be_retried_one_at_a_time() {
        let rules = rules();
        let failed = || node("a", &[("fail-repair", "v1")]);
        assert_eq!(ask(&rules, vec![failed()], None), Room::Fits);
        assert_eq!(
            ask(
                &rules,
                vec![failed(), node("b", &[("fail-repair", "v1")])],
                None
            ),
            Room::Fits
        );
        assert!(full(&ask(
            &rules,
            vec![failed(), node("b", &[("lock", &lock(5, LockState::Held))])],
            None
        )));
    }

    #[test]
    fn the_lowest_settling_claim_stays_and_the_others_withdraw() {
        let rules = rules();
        let nodes = |mine, other, state| {
            vec![
                node("a", &[("lock", &lock(mine, LockState::Settling))]),
                node("b", &[("lock", &lock(other, state))]),
            ]
        };
        assert_eq!(
            ask(&rules, nodes(1, 2, LockState::Settling), Some(1)),
            Room::Contended
        );
        assert!(full(&ask(
            &rules,
            nodes(2, 1, LockState::Settling),
            Some(2)
        )));
        assert!(
            full(&ask(&rules, nodes(1, 2, LockState::Held), Some(1))),
            "a holder is not waited for"
        );
        assert!(full(&ask(&rules, nodes(1, 2, LockState::Parked), Some(1))));
    }

    #[test]
    fn a_settling_claim_on_a_node_that_counts_without_it_as_well_is_not_waited_for() {
        let settling = |claim| lock(claim, LockState::Settling);
        let nodes = vec![
            node("a", &[("lock", &settling(1))]),
            node("b", &[("lock", &settling(2)), ("fail-repair", "v1")]),
        ];
        assert!(full(&ask(&rules(), nodes, Some(1))));
    }

    #[test]
    fn of_two_failed_nodes_that_are_retried_the_lower_claim_stays() {
        let rules = rules();
        let nodes = |mine, other| {
            let settling = |claim| lock(claim, LockState::Settling);
            vec![
                node("a", &[("lock", &settling(mine)), ("fail-repair", "v1")]),
                node("b", &[("lock", &settling(other)), ("fail-repair", "v1")]),
            ]
        };
        assert_eq!(ask(&rules, nodes(1, 2), Some(1)), Room::Contended);
        assert!(full(&ask(&rules, nodes(2, 1), Some(2))));
    }

    #[test]
    fn of_nodes_that_another_job_left_one_may_be_taken_over_at_a_time() {
        let rules = rules();
        let left = |id: &str, seconds| {
            let lock = Lock {
                job: crate::model::id::Name::new("backup").expect("a name"),
                state: LockState::Held,
                set: rules.lease.set(),
                until: now()
                    .checked_sub(jiff::SignedDuration::from_secs(seconds))
                    .expect("a time"),
                ..sample()
            };
            node(id, &[("lock", &lock.format())])
        };
        let ask = |nodes: Vec<Node>, over| {
            let view = view(nodes);
            let asking = Asking { mine: None, over };
            room(&rules, &view, &view.nodes[0], asking)
        };
        let two = || vec![left("a", 4_000), left("b", 4_000)];
        assert_eq!(ask(two(), true), Room::Fits);
        assert!(
            full(&ask(two(), false)),
            "anything else finds them in its way"
        );
        let within_margin = vec![left("a", 4_000), left("b", 299)];
        assert!(full(&ask(within_margin, true)), "b may still be at work");
        let alive = vec![left("a", 4_000), left("b", -600)];
        assert!(full(&ask(alive, true)));
    }

    #[test]
    fn a_part_of_the_fleet_has_its_own_limit() {
        let mut rules = rules();
        rules.job.limits.nodes = 10;
        rules.job.limits.per = vec![Per {
            by: Divider::Tag("rack".to_owned()),
            nodes: 1,
        }];
        let held = lock(5, LockState::Held);
        let busy = node("b", &[("rack", "r1"), ("lock", &held)]);
        assert!(full(&ask(
            &rules,
            vec![node("a", &[("rack", "r1")]), busy.clone()],
            None
        )));
        assert_eq!(
            ask(&rules, vec![node("a", &[("rack", "r2")]), busy], None),
            Room::Fits
        );
    }
}
