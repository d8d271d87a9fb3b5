mod standing;

use super::*;
use crate::model::lock::{LockState, tests::sample};
use crate::model::node::{Activity, Command, Evidence};
use crate::model::view::tests::{node, now, rules, view};
use proptest::prelude::*;

fn order(rows: &[Row]) -> Vec<(&str, Reason)> {
    rows.iter()
        .map(|row| (row.node.as_str(), row.reason))
        .collect()
}

fn wish() -> Wish {
    Wish::default()
}

fn lock(seconds_left: i64, state: LockState) -> Lock {
    let until = now()
        .checked_add(jiff::SignedDuration::from_secs(seconds_left))
        .expect("a time");
    Lock {
        set: rules().lease.set(),
        state,
        until,
        ..sample()
    }
}

#[test]
fn never_served_comes_first_then_the_oldest_and_ties_go_by_id() {
    let mut rules = rules();
    rules.job.limits.nodes = 9;
    let nodes = vec![
        node("d", &[("last-repair", "2026-11-01")]),
        node("c", &[("last-repair", "2026-11-01")]),
        node("b", &[("last-repair", "2026-11-02")]),
        node("z", &[]),
        node("u", &[("last-repair", "soon")]),
        node("f", &[("last-repair", "2026-11-22")]),
    ];
    let rows = decide(&rules, &view(nodes), &wish());
    assert_eq!(
        order(&rows),
        [
            ("z", Reason::NeverServed),
            ("u", Reason::UnreadableLast),
            ("c", Reason::Age),
            ("d", Reason::Age),
            ("b", Reason::Age),
            ("f", Reason::Fresh)
        ]
    );
    assert_eq!(rows[2].verdict, Verdict::Overdue);
    assert_eq!(
        rows[5].until.map(format_stamp).as_deref(),
        Some("2026-11-29T00:00:00Z")
    );
}

#[test]
fn new_nodes_may_come_last_or_wait_for_an_age() {
    let mut rules = rules();
    rules.job.limits.nodes = 9;
    rules.job.new = NewNodes::Last;
    let nodes = || {
        vec![
            node("new", &[]),
            node("old", &[("last-repair", "2026-11-01")]),
        ]
    };
    assert_eq!(order(&decide(&rules, &view(nodes()), &wish()))[0].0, "old");
    rules.job.new = NewNodes::After(Duration::from_secs(86_400));
    let mut young = nodes();
    young[0].launched = Some("2026-11-22T12:00:00Z".parse().expect("a time"));
    let rows = decide(&rules, &view(young), &wish());
    assert_eq!(order(&rows)[1], ("new", Reason::TooYoung));
    assert_eq!(
        rows[1].until.map(format_stamp).as_deref(),
        Some("2026-11-23T12:00:00Z")
    );
}

#[test]
fn the_first_reason_of_the_contract_is_the_decisive_one() {
    let rules = rules();
    let held = lock(60, LockState::Held).format();
    let mut everything = node(
        "a",
        &[
            ("lock", &held),
            ("hold", "yes"),
            ("last-repair", "2026-11-22"),
        ],
    );
    everything.service = Service::Out {
        why: "instance is pending".to_owned(),
        stopped: false,
    };
    everything.agent = Agent::Offline;
    let reason = |node: &Node| decide(&rules, &view(vec![node.clone()]), &wish())[0].reason;
    assert_eq!(reason(&everything), Reason::OutOfService);
    everything.service = Service::In;
    assert_eq!(reason(&everything), Reason::AgentOffline);
    everything.agent = Agent::Online;
    assert_eq!(reason(&everything), Reason::Hold);
    everything.tags.remove("hold");
    assert_eq!(reason(&everything), Reason::Locked);
    everything.tags.insert("lock".to_owned(), "mine".to_owned());
    assert_eq!(reason(&everything), Reason::UnreadableLock);
    everything.tags.remove("lock");
    let mut full = everything.clone();
    full.tags
        .extend((0..48).map(|n| (format!("k{n}"), String::new())));
    assert_eq!(reason(&full), Reason::TagsFull);
    assert_eq!(reason(&everything), Reason::Fresh);
}

#[test]
fn a_hold_of_the_fleet_on_any_node_holds_all_of_it() {
    let held = node(
        "b",
        &[(
            "hold",
            "v1 scope=fleet by=anna at=2026-11-23 until=2026-11-24 reason=freeze",
        )],
    );
    let rows = decide(&rules(), &view(vec![node("a", &[]), held]), &wish());
    assert!(
        rows.iter()
            .all(|row| row.reason == Reason::Hold && row.until.is_some())
    );
    let over = node(
        "b",
        &[(
            "hold",
            "v1 scope=fleet by=anna at=2026-11-21 until=2026-11-22 reason=freeze",
        )],
    );
    let rows = decide(&rules(), &view(vec![node("a", &[]), over]), &wish());
    assert!(rows.iter().all(|row| row.reason == Reason::NeverServed));
}

#[test]
fn a_leftover_of_the_own_job_stands_first_and_asks_no_limit() {
    let left = lock(-400, LockState::Held);
    let nodes = vec![
        node("a", &[]),
        node("s", &[("lock", &left.format())]),
        node("t", &[("lock", &left.format())]),
    ];
    let rows = decide(&rules(), &view(nodes), &wish());
    assert_eq!(
        order(&rows),
        [
            ("s", Reason::Suspect),
            ("t", Reason::Suspect),
            ("a", Reason::Limit)
        ]
    );
    assert!(matches!(rows[0].take, Some(Take::Adopt { .. })));
}

#[test]
fn another_jobs_leftover_does_not_make_a_fresh_node_due() {
    let mut left = lock(-400, LockState::Held);
    left.job = crate::model::id::Name::new("backup").expect("a name");
    left.task = left.job.clone();
    let nodes = vec![
        node(
            "a",
            &[("lock", &left.format()), ("last-repair", "2026-11-22")],
        ),
        node("b", &[("lock", &left.format())]),
    ];
    let mut rules = rules();
    rules.job.limits.nodes = 2;
    let rows = decide(&rules, &view(nodes), &wish());
    assert_eq!(order(&rows), [("b", Reason::Suspect), ("a", Reason::Fresh)]);
    assert!(matches!(rows[0].take, Some(Take::Over { .. })));
}

#[test]
fn another_set_of_settings_stops_the_whole_fleet() {
    let other = Lock {
        set: sample().set,
        ..lock(60, LockState::Held)
    };
    let mut rules = rules();
    rules.job.limits.nodes = 9;
    let rows = decide(
        &rules,
        &view(vec![
            node("a", &[]),
            node("b", &[("lock", &other.format())]),
        ]),
        &wish(),
    );
    assert_eq!(
        order(&rows),
        [("a", Reason::Conflict), ("b", Reason::Locked)]
    );
    assert!(
        rows[0].detail.contains(&other.owner)
            && rows[0].detail.contains(&rules.lease.set().to_string())
    );
}

#[test]
fn a_wish_for_one_node_ignores_its_age_and_nothing_else() {
    let fresh = node("a", &[("last-repair", "2026-11-22")]);
    let held = node("b", &[("hold", "yes")]);
    let ask = |id: &str| {
        decide(
            &rules(),
            &view(vec![fresh.clone(), held.clone()]),
            &Wish {
                only: Some(NodeId(id.to_owned())),
                ..wish()
            },
        )
    };
    assert_eq!(order(&ask("a")), [("a", Reason::Age)]);
    assert_eq!(order(&ask("b")), [("b", Reason::Hold)]);
}

fn any_node() -> impl Strategy<Value = Node> {
    let last = prop_oneof![
        Just(None),
        (0_i64..1_800_000_000).prop_map(|second| Some(format_stamp(
            Timestamp::from_second(second).expect("a time")
        ))),
        "[a-z0-9 -]{0,12}".prop_map(Some),
    ];
    let lock = prop_oneof![
        4 => Just(None),
        1 => (-200_000_i64..2_000, 0_usize..4).prop_map(|(left, state)| {
            let states = [LockState::Settling, LockState::Held, LockState::Parked, LockState::Stopping];
            Some(lock(left, states[state]).format())
        }),
        1 => "[a-z ]{0,8}".prop_map(Some),
    ];
    ("[a-h]", last, lock).prop_map(|(id, last, lock)| {
        let mut node = node(&id, &[]);
        node.tags
            .extend(last.map(|value| ("last-repair".to_owned(), value)));
        node.tags
            .extend(lock.map(|value| ("lock".to_owned(), value)));
        node
    })
}

proptest! {
    /// The seed rule, written the plain way: never served first, then the oldest, ties by id.
    #[test]
    fn the_order_of_free_due_nodes_is_the_seed_rule(lasts in proptest::collection::btree_map("[a-z]{1,3}", proptest::option::of(0_i64..1_700_000_000), 0..30)) {
        let mut rules = rules();
        rules.job.limits.nodes = 100;
        let stamp = |second: &i64| format_stamp(Timestamp::from_second(*second).expect("a time"));
        let nodes = lasts.iter().rev().map(|(id, last)| {
            let tag = last.as_ref().map(stamp);
            node(id, &tag.iter().map(|value| ("last-repair", value.as_str())).collect::<Vec<_>>())
        }).collect();
        let rows = decide(&rules, &view(nodes), &wish());
        let mut expected: Vec<(Option<i64>, &String)> = lasts.iter().map(|(id, last)| (*last, id)).collect();
        expected.sort();
        prop_assert_eq!(rows.iter().map(|row| row.node.as_str()).collect::<Vec<_>>(), expected.iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>());
        prop_assert!(rows.iter().all(|row| row.take == Some(Take::Free)));
    }

    #[test]
    fn whatever_the_tags_say_a_foreign_or_living_lock_is_never_taken(nodes in proptest::collection::vec(any_node(), 0..8)) {
        let distinct: std::collections::BTreeMap<_, _> = nodes.into_iter().map(|node| (node.id.clone(), node)).collect();
        let view = view(distinct.into_values().collect());
        for row in decide(&rules(), &view, &wish()) {
            let node = view.node(&row.node).expect("of the view");
            if row.take.is_some() {
                match rules().lock(node) {
                    Seen::Free => {}
                    Seen::Unreadable(_) => prop_assert!(false, "an unreadable lock is taken"),
                    // Its own job may go on with a parked run at any time.
                    Seen::Lock(lock) if lock.state == LockState::Parked && lock.job == rules().job.name => {}
                    Seen::Lock(lock) => prop_assert!(later(lock.until, rules().lease.margin) <= view.now),
                }
            }
            prop_assert_eq!(row.take.is_some(), matches!(row.verdict, Verdict::Due | Verdict::Overdue));
        }
    }
}

#[test]
fn a_node_out_of_service_does_not_bear_a_finished_lock_for_ever() {
    let left = Lock {
        state: LockState::Settling,
        step: 0,
        ..lock(-400, LockState::Held)
    };
    let mut node = node("a", &[("lock", &left.format())]);
    node.service = Service::Out {
        why: "instance is stopped".to_owned(),
        stopped: true,
    };
    let rows = decide(&rules(), &view(vec![node]), &wish());
    assert_eq!(
        (rows[0].reason, rows[0].remove.as_ref()),
        (Reason::OutOfService, Some(&left.format()))
    );
    assert_eq!(rows[0].take, None);
}

#[test]
fn a_node_that_is_too_young_is_not_owed_anything() {
    let mut rules = rules();
    rules.job.new = NewNodes::After(Duration::from_secs(86_400));
    let mut young = node("new", &[]);
    young.launched = Some("2026-11-22T12:00:00Z".parse().expect("a time"));
    assert!(!decide(&rules, &view(vec![young]), &wish())[0].owed);
}
