use std::time::Duration;

use super::*;
use crate::event::Counts;
use crate::model::decide::{Wish, decide};
use crate::model::node::{Node, Service};
use crate::model::record::FailReason;
use crate::model::view::tests::{node, now, rules, view};
use crate::port::{ErrorKind, PortError};

fn round(rules: &Rules, nodes: Vec<Node>) -> Round {
    let view = view(nodes);
    let rows = decide(rules, &view, &Wish::default());
    Round {
        counts: Counts::default(),
        error: None,
        cut_short: false,
        last_look: Some((view, rows)),
        served: Vec::new(),
        at: now(),
    }
}

fn served(node: &str, result: RunResult) -> Served {
    Served {
        node: NodeId(node.to_owned()),
        result,
        took: Duration::from_secs(63),
    }
}

fn failed() -> RunResult {
    RunResult::Failed {
        step: 2,
        reason: FailReason::TimedOut,
    }
}

fn fresh(id: &str) -> Node {
    node(id, &[("last-repair", "2026-11-16T01:08:00Z")])
}

fn out(id: &str) -> Node {
    Node {
        service: Service::Out {
            why: "instance is stopping".to_owned(),
            stopped: false,
        },
        ..node(id, &[])
    }
}

#[test]
fn what_was_served_is_told_with_what_is_left() {
    let rules = rules();
    let mut round = round(&rules, vec![node("a", &[]), node("b", &[]), node("c", &[])]);
    round.served.push(served("a", RunResult::Done));
    assert_eq!(
        sentence(&rules, &round),
        "served 1 node: a in 1m 3s; 2 more are due"
    );
    round.served.push(served("b", failed()));
    assert_eq!(
        sentence(&rules, &round),
        "served 1 node: a in 1m 3s; 1 node failed: b at step 2 (timed-out); c is due but limit (1 of at most 1 in \
         the fleet not well: b)"
    );
    round
        .served
        .push(served("c", RunResult::DoneUnclean { step: 3 }));
    assert_eq!(
        sentence(&rules, &round),
        "served 2 nodes: a in 1m 3s, c in 1m 3s (its clean-up failed at step 3); 1 node failed: b at step 2 (timed-out); \
         nothing more is due"
    );
}

#[test]
fn the_next_node_is_told_with_its_time() {
    let rules = rules();
    let mut round = round(
        &rules,
        vec![
            fresh("a"),
            node("b", &[("last-repair", "2026-11-20T00:00:00Z")]),
        ],
    );
    assert_eq!(
        sentence(&rules, &round),
        "nothing is due; a is next, 2026-11-23 01:08Z (in 58m)"
    );
    round.at = "2026-11-23T02:00:00Z".parse().expect("a time");
    assert_eq!(sentence(&rules, &round), "nothing claimed: a is due");
}

#[test]
fn what_is_in_the_way_is_told() {
    let rules = rules();
    let one = round(&rules, vec![out("a"), fresh("b")]);
    assert_eq!(
        sentence(&rules, &one),
        "nothing claimed: a is due but out-of-service (instance is stopping)"
    );
    let same = round(&rules, vec![out("a"), out("b")]);
    assert_eq!(
        sentence(&rules, &same),
        "2 due, all blocked: out-of-service (instance is stopping)"
    );
    let mixed = round(&rules, vec![out("a"), node("b", &[]), node("c", &[])]);
    assert!(
        sentence(&rules, &mixed).starts_with("3 due, all blocked: 1 out-of-service, 2 limit"),
        "{}",
        sentence(&rules, &mixed)
    );
}

#[test]
fn a_lock_is_told_with_its_owner_and_its_end() {
    let rules = rules();
    let lock = crate::model::lock::Lock {
        set: rules.lease.set(),
        ..crate::model::lock::tests::sample()
    }
    .format();
    let round = round(
        &rules,
        vec![node("db-1", &[("lock", &lock)]), fresh("db-2")],
    );
    assert_eq!(
        sentence(&rules, &round),
        "nothing claimed: db-1 is due but locked (ci@bastion-1 holds it for repair, until 2026-11-23 00:30Z (in 20m))"
    );
}

#[test]
fn after_work_a_limit_is_not_told_as_if_it_still_stood() {
    let rules = rules();
    let lock = crate::model::lock::Lock {
        set: rules.lease.set(),
        ..crate::model::lock::tests::sample()
    }
    .format();
    let mut round = round(&rules, vec![node("a", &[("lock", &lock)]), node("b", &[])]);
    round.served.push(served("a", RunResult::Done));
    assert_eq!(
        sentence(&rules, &round),
        "served 1 node: a in 1m 3s; 1 more is due: b"
    );
}

#[test]
fn an_empty_fleet_a_lost_claim_and_an_error_are_told() {
    let rules = rules();
    let empty = round(&rules, Vec::new());
    assert_eq!(
        sentence(&rules, &empty),
        "the fleet is empty: the provider has no nodes"
    );
    let mut lost = round(&rules, vec![fresh("a")]);
    lost.counts.claims_lost = 1;
    assert_eq!(
        sentence(&rules, &lost),
        "a claim was lost; nothing is due; a is next, 2026-11-23 01:08Z (in 58m)"
    );
    let mut broken = round(&rules, vec![node("a", &[])]);
    broken.error = Some(PortError::new(ErrorKind::Denied, "no"));
    assert_eq!(sentence(&rules, &broken), "nothing was done");
    broken.served.push(served("a", RunResult::Done));
    broken.counts.leases_lost = 1;
    assert_eq!(
        sentence(&rules, &broken),
        "served 1 node: a in 1m 3s; 1 lease lost; it ended early"
    );
}

#[test]
fn a_long_list_is_shortened_and_a_hostile_name_is_harmless() {
    let rules = rules();
    let nodes: Vec<Node> = (0..8)
        .map(|number| Node {
            name: Some("x\u{1b}[2J\n".to_owned()),
            ..node(&format!("i-{number}"), &[])
        })
        .collect();
    let mut round = round(&rules, nodes);
    for number in 0..8 {
        round
            .served
            .push(served(&format!("i-{number}"), RunResult::Done));
    }
    let text = sentence(&rules, &round);
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(
        text.starts_with("served 8 nodes: x\u{fffd}[2J  (i-0) in 1m 3s"),
        "{text}"
    );
    assert!(
        text.ends_with(", and 3 more; nothing more is due"),
        "{text}"
    );
}

#[test]
fn after_a_failure_that_counts_the_others_are_not_told_as_if_they_came_next() {
    let rules = rules();
    let mut round = round(&rules, vec![node("a", &[]), node("b", &[]), node("c", &[])]);
    round.served.push(served("a", failed()));
    let text = sentence(&rules, &round);
    assert!(
        text.starts_with("1 node failed: a at step 2 (timed-out); 2 due, all blocked: limit ("),
        "{text}"
    );
}

#[test]
fn a_node_that_was_left_in_the_middle_is_told_as_locked() {
    let rules = rules();
    let mut round = round(&rules, vec![node("a", &[]), node("b", &[])]);
    round.cut_short = true;
    round.counts.claimed = 1;
    assert_eq!(
        sentence(&rules, &round),
        "cut short by a signal; 1 node left locked until its lease runs out"
    );
    round.last_look = None;
    assert_eq!(
        sentence(&rules, &round),
        "cut short by a signal; 1 node left locked until its lease runs out"
    );
}

#[test]
fn with_no_node_wanted_what_is_due_is_told_all_the_same() {
    let rules = rules();
    let round = round(&rules, vec![node("a", &[])]);
    assert_eq!(sentence(&rules, &round), "nothing claimed: a is due");
}
