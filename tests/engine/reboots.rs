//! Steps that reboot their node: one attempt each, whoever asks after it and however often.

use std::collections::BTreeSet;

use super::*;
use crate::deaths::{dies, with_cleanup};
use crate::parking::{for_, lock};
use crate::signals::interrupted;

const AWAY: Duration = Duration::from_secs(90);

/// A step, a reboot of at most 20 minutes, another step, a clean-up.
fn patching(retries: u32) -> Job {
    let mut job = with_cleanup(3);
    job.steps[1].action = StepAction::Reboot {
        ready: Some("up".to_owned()),
    };
    job.steps[1].timeout = Duration::from_secs(1_200);
    job.steps[1].retries = retries;
    job
}

fn world(away: Duration, outcome: Outcome) -> World {
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    reboots_like(&world, away, outcome);
    world
}

fn reboots_like(world: &World, away: Duration, outcome: Outcome) {
    world.shell.plan(move |_, order| match order.deed {
        Deed::Reboot { .. } => Plan::Reboots {
            away,
            ready: Duration::from_secs(20),
            outcome,
        },
        Deed::Run => Plan::Ends(Duration::from_secs(60), Outcome::Ok),
    });
}

/// The attempts that were begun, each once: a node reboots at the first send of one, and at no other.
fn begun(world: &World) -> BTreeSet<(u32, u32)> {
    let sent = world.shell.sent().into_iter();
    sent.map(|(_, step, attempt)| (step, attempt)).collect()
}

fn once_each(steps: u32) -> BTreeSet<(u32, u32)> {
    (1..=steps).map(|step| (step, 1)).collect()
}

fn fail(world: &World) -> Option<String> {
    world.store.tags("a").get("fail-repair").cloned()
}

fn committed(world: &World) -> bool {
    world.store.tags("a").contains_key("last-repair")
}

#[test]
fn a_node_that_comes_back_is_one_step_and_its_lease_is_kept_while_it_is_away() {
    let world = world(AWAY, Outcome::Ok);
    let (round, events) = once(&world, &rules(patching(0)));
    assert_eq!(round.counts.committed, 1);
    assert_eq!(begun(&world), once_each(4));
    let told: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::StepStarted { step, attempt, .. } => Some((*step, *attempt, None)),
            EventKind::StepFinished {
                step,
                attempt,
                outcome,
                took,
                ..
            } => {
                if *step == 2 {
                    let took = took.expect("known").as_secs();
                    assert!((100..200).contains(&took), "over all of it: {took}");
                }
                Some((*step, *attempt, Some(*outcome)))
            }
            _ => None,
        })
        .collect();
    let expected: Vec<_> = (1..=4)
        .flat_map(|step| [(step, 1, None), (step, 1, Some(Outcome::Ok))])
        .collect();
    assert_eq!(told, expected);
    // From the second send on the node must know of it.
    let deeds: Vec<Deed> = world
        .shell
        .orders()
        .iter()
        .filter(|order| order.step == 2)
        .map(|order| order.deed)
        .collect();
    assert_eq!(deeds[0], Deed::Reboot { begun: false });
    assert!(deeds.len() > 1);
    assert!(
        deeds[1..]
            .iter()
            .all(|deed| *deed == Deed::Reboot { begun: true })
    );
    assert!(
        world
            .shell
            .orders()
            .iter()
            .all(|o| o.step != 2 || o.script == "up")
    );
}

#[test]
fn a_node_that_stays_away_is_not_back_when_its_time_is_over() {
    let world = world(Duration::from_secs(86_400), Outcome::Ok);
    let start = now(&world).wall;
    let (round, events) = once(&world, &rules(patching(0)));
    assert_eq!((round.counts.failed, round.counts.committed), (1, 0));
    let fail = Fail::parse(&fail(&world).expect("it failed")).expect("readable");
    assert_eq!((fail.step, fail.reason.clone()), (2, "not-back".to_owned()));
    let outcomes: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::StepFinished { step, outcome, .. } => Some((*step, *outcome)),
            _ => None,
        })
        .collect();
    assert_eq!(
        outcomes,
        [(1, Outcome::Ok), (2, Outcome::NotBack), (4, Outcome::Ok)]
    );
    let took = elapsed(start, round.at).as_secs();
    assert!((1_260..1_500).contains(&took), "{took}");
    assert_eq!(lock(&world, "a"), None);
}

#[test]
fn what_the_node_says_of_its_ready_is_the_end_and_a_retry_reboots_anew() {
    for (retries, steps) in [(0, vec![(2, 1)]), (1, vec![(2, 1), (2, 2)])] {
        let world = world(AWAY, Outcome::NotBack);
        let (round, _) = once(&world, &rules(patching(retries)));
        assert_eq!(round.counts.failed, 1);
        let reboots = begun(&world).into_iter().filter(|(step, _)| *step == 2);
        assert_eq!(reboots.collect::<Vec<_>>(), steps);
        assert!(fail(&world).expect("it failed").contains("not-back"));
    }
}

#[test]
fn wherever_a_runner_dies_the_node_reboots_once_and_the_run_is_committed() {
    let rules = rules(patching(0));
    let mut deaths = 0;
    for nth in 0.. {
        let world = world(AWAY, Outcome::Ok);
        if !dies(&world, &rules, nth) {
            break;
        }
        deaths += 1;
        for _ in 0..20 {
            world.clock.pass(Duration::from_secs(600));
            once(&world, &rules);
            if committed(&world) && lock(&world, "a").is_none() {
                break;
            }
        }
        assert!(committed(&world), "{nth}: {:?}", world.store.tags("a"));
        assert_eq!(begun(&world), once_each(4), "{nth}");
        assert_eq!(lock(&world, "a"), None, "{nth}");
    }
    assert!(deaths > 40, "{deaths}");
}

#[test]
fn invocations_of_seconds_bring_a_reboot_to_its_end() {
    let rules = rules(patching(0));
    for quarter in [60, 300, 900] {
        let world = world(AWAY, Outcome::Ok);
        for _ in 0..40 {
            let (round, _) = for_(&world, &rules, Duration::ZERO);
            assert_eq!(round.counts.failed, 0);
            if committed(&world) {
                break;
            }
            world.clock.pass(Duration::from_secs(quarter));
        }
        assert!(committed(&world), "{quarter}");
        assert_eq!(begun(&world), once_each(4), "{quarter}");
    }
}

#[test]
fn within_five_seconds_of_a_signal_a_reboot_is_parked_and_gone_on_with() {
    let rules = rules(patching(0));
    let mut parked = 0;
    for at in (0..60).map(|n| Duration::from_millis(n * 4_733)) {
        let world = world(AWAY, Outcome::Ok);
        let start = now(&world).wall;
        let (round, _) = interrupted(&world, &rules, at, None);
        if round.counts.parked > 0 {
            parked += 1;
            let lock = lock(&world, "a").expect("parked");
            assert_eq!(lock.state, LockState::Parked, "{at:?}");
            assert!(elapsed(start, round.at) <= at + Duration::from_secs(5));
        }
        once(&world, &rules);
        assert!(committed(&world), "{at:?}");
        assert_eq!(begun(&world), once_each(4), "{at:?}");
    }
    assert!(parked > 20, "{parked}");
}

/// What lets go of a node before its reboot is over takes it down while others take it for free.
#[test]
fn a_run_that_is_stopped_while_its_node_reboots_lets_go_when_that_is_over() {
    let mut rules = rules(patching(0));
    rules.job.on_stop = OnStop::Cancel;
    let (mut prevented, mut waited) = (0, 0);
    for at in (0..70).map(|n| Duration::from_millis(n * 4_733)) {
        let world = world(AWAY, Outcome::Ok);
        let (_, events) = interrupted(&world, &rules, at, None);
        let over = now(&world).boot;
        assert_eq!(lock(&world, "a"), None, "{at:?}");
        let downs = world.shell.downs(&NodeId("a".to_owned()));
        for (_, to) in &downs {
            assert!(
                *to <= over,
                "{at:?}: up at {to:?}, let go of before {over:?}"
            );
        }
        let reboots = begun(&world).contains(&(2, 1));
        prevented += u32::from(reboots && downs.is_empty());
        waited += u32::from(!downs.is_empty() && !committed(&world));
        if !committed(&world) && reboots {
            let fail = fail(&world).unwrap_or_default();
            assert!(fail.contains("reason=stopped"), "{at:?}: {fail}");
            assert!(begun(&world).contains(&(4, 1)), "{at:?}: no clean-up");
        }
        assert!(
            events
                .iter()
                .all(|event| !matches!(event.kind, EventKind::LeaseLost { .. })),
            "{at:?}"
        );
    }
    assert!(prevented > 0 && waited > 10, "{prevented} {waited}");
}

/// Told to stop before the node has said that it reboots, nobody knows whether it will.
#[test]
fn a_reboot_that_may_be_on_its_way_when_the_run_is_stopped_is_waited_out() {
    let mut rules = rules(patching(0));
    rules.job.on_stop = OnStop::Cancel;
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    world.shell.plan(|_, order| match order.deed {
        Deed::Reboot { .. } => Plan::Says(
            Duration::from_secs(5),
            Delivery::Unknown("no answer".to_owned()),
        ),
        Deed::Run => Plan::Ends(Duration::from_secs(60), Outcome::Ok),
    });
    let at = Duration::from_secs(85);
    let (_, _) = interrupted(&world, &rules, at, None);
    let last = world
        .shell
        .orders()
        .into_iter()
        .filter(|order| order.step == 2)
        .map(|order| order.not_after)
        .max()
        .expect("it was sent");
    assert!(now(&world).wall >= later(last, Duration::from_secs(1_200)));
    assert_eq!(lock(&world, "a"), None);
    assert!(fail(&world).expect("recorded").contains("reason=stopped"));
}
