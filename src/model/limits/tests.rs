use super::*;
use crate::model::job::Per;
use crate::model::lock::{Lock, tests::sample};
use crate::model::node::Evidence;
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
        over: Over::Free,
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
    for over in [Over::Others, Over::Own] {
        assert_eq!(ask(two(), over), Room::Fits);
        let within_margin = vec![left("a", 4_000), left("b", 299)];
        assert!(full(&ask(within_margin, over)), "b may still be at work");
        let alive = vec![left("a", 4_000), left("b", -600)];
        assert!(full(&ask(alive, over)));
    }
    assert!(
        full(&ask(two(), Over::Free)),
        "anything else finds them in its way"
    );
}

#[test]
fn a_run_of_the_own_job_waits_only_for_those_at_work() {
    let rules = rules();
    let ask = |other: Node, evidence: Evidence, over| {
        let mut view = view(vec![
            node("a", &[("lock", &lock(1, LockState::Parked))]),
            other,
        ]);
        view.evidence.insert(NodeId("b".to_owned()), evidence);
        room(&rules, &view, &view.nodes[0], Asking { mine: None, over })
    };
    let parked = || {
        let lock = Lock {
            job: crate::model::id::Name::new("backup").expect("a name"),
            set: rules.lease.set(),
            ..Lock::parse(&lock(2, LockState::Parked)).expect("ours")
        };
        node("b", &[("lock", &lock.format())])
    };
    let mut failed = node("b", &[("fail-repair", "v1")]);
    failed.service = Service::Out {
        why: "instance is stopped".to_owned(),
        stopped: true,
    };
    let nothing = || Evidence::None;
    for waiting in [parked(), failed, node("b", &[("lock", "yes")])] {
        assert_eq!(ask(waiting.clone(), nothing(), Over::Own), Room::Fits);
        assert!(full(&ask(waiting, nothing(), Over::Free)));
    }
    let unavailable = Evidence::Unavailable("no answer".to_owned());
    assert!(
        full(&ask(parked(), unavailable, Over::Own)),
        "it may be at work"
    );
    let held = node("b", &[("lock", &lock(2, LockState::Held))]);
    assert!(full(&ask(held, nothing(), Over::Own)));
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
