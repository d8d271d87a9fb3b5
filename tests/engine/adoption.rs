//! What a run is gone on with: still running, ended, unknown, stopped, hidden, or begun under another job file.

use super::*;
use crate::deaths::{PATIENCE, attempts, dies, keys, takes, with_cleanup};
use crate::signals::interrupted;

/// A world in which a runner has died right after it had sent its first step.
fn abandoned(rules: &Rules, plan: impl Fn(&World)) -> World {
    let mut nth = 1;
    loop {
        let nodes = vec![node("a", &[]), node("b", &[("last-repair", "2026-11-22")])];
        let world = World::new(nodes, Consistency::Eventual, 1);
        plan(&world);
        assert!(dies(&world, rules, nth), "it ended before");
        if !world.shell.sent().is_empty() {
            world.clock.pass(PATIENCE);
            return world;
        }
        nth += 1;
    }
}

/// The same, where the step takes so many seconds.
fn left_running(rules: &Rules, seconds: u64) -> World {
    abandoned(rules, |world| takes(world, seconds, &[]))
}

#[test]
fn a_step_that_still_runs_is_watched_and_its_lease_is_kept() {
    let rules = rules(job());
    let world = left_running(&rules, 3_400);
    let dead = Lock::parse(&world.store.tags("a")["lock"]).expect("left behind");
    let (round, events) = once(&world, &rules);
    assert_eq!((round.counts.claimed, round.counts.committed), (1, 1));
    assert_eq!(attempts(&world), [(1, 1)]);
    let told = words(&events);
    let start = ["settling", "adopted", "renewed"];
    assert_eq!(told[..3], start, "{told:?}");
    let end = ["step-finished", "committed", "released", "finished"];
    assert_eq!(told[told.len() - 4..], end, "{told:?}");
    assert!(
        events
            .iter()
            .filter(|event| event.run.is_some())
            .all(|event| event.run == Some(dead.run))
    );
    let adopted = events.iter().find_map(|event| match event.kind {
        EventKind::Adopted { was, step, .. } => Some((was, step)),
        _ => None,
    });
    assert_eq!(adopted, Some((LockState::Held, 1)));
    // Measured from the run's beginning: its claim, the step, and nothing of when it was adopted.
    let took =
        roundsman::model::span::parse_span(&world.store.tags("a")["took-repair"]).expect("a span");
    assert!((3_400..3_430).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn an_adopting_claim_says_held_before_it_waits_and_no_call_is_wasted() {
    let rules = rules(job());
    let world = left_running(&rules, 3_400);
    let before = world.store.calls();
    let (_, _, (lock, calls)) = beside(&world, &rules, &orders(Some(1), 1), async |_| {
        after(&world, Duration::from_secs(16)).await;
        (world.store.tags("a")["lock"].clone(), world.store.calls())
    });
    let lock = Lock::parse(&lock).expect("readable");
    assert_eq!(
        (lock.state, lock.was, lock.step),
        (LockState::Held, None, 1)
    );
    let more = |name| calls.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0);
    // To choose, to decide again, and to look for more that was left; the first two of three reads; to justify the claim; the claim, and that it is held.
    assert_eq!(
        [
            more("read_fleet"),
            more("read_key"),
            more("read_tags"),
            more("write")
        ],
        [3, 2, 1, 2]
    );
}

#[test]
fn of_two_adopters_at_once_one_goes_on_and_the_other_leaves_it() {
    for apart in [0, 100, 900, 5_000, 14_000] {
        let rules = rules(job());
        let world = left_running(&rules, 3_400);
        let began = world.clock.boot();
        let quiet = |_: Event| {};
        let engine = Engine {
            ports: &world,
            rules: &rules,
            owner: "test@host",
            report: &quiet,
        };
        let orders = orders(Some(1), 1);
        let each = |start| {
            let (engine, orders, world) = (&engine, &orders, &world);
            async move {
                world
                    .clock
                    .sleep_until(began.plus(Duration::from_millis(start)))
                    .await;
                let (_bell, stop) = bell();
                round(engine, orders, stop).await
            }
        };
        let (one, two) = world.play(futures_util::future::join(each(0), each(apart)));
        assert_eq!(
            one.counts.committed + two.counts.committed,
            1,
            "{apart} ms apart"
        );
        assert_eq!(
            one.counts.leases_lost + two.counts.leases_lost,
            0,
            "{apart} ms apart"
        );
        assert_eq!(attempts(&world), [(1, 1)], "{apart} ms apart");
        assert!(!world.store.tags("a").contains_key("lock"));
    }
}

#[test]
fn an_end_that_nobody_knows_keeps_the_lease_until_it_has_passed() {
    let rules = rules(job());
    let world = abandoned(&rules, |world| {
        world.shell.plan(|_, _| {
            Plan::Says(
                Duration::from_secs(2_000),
                Delivery::Unknown("nobody answers".to_owned()),
            )
        });
    });
    let sent = world.shell.orders().remove(0);
    let (round, _) = once(&world, &rules);
    assert_eq!((round.counts.failed, round.counts.committed), (1, 0));
    assert!(world.store.tags("a")["fail-repair"].ends_with("step=1 reason=unknown"));
    let latest_end = later(sent.not_after, Duration::from_secs(3_600 + 60));
    let at = now(&world).wall;
    assert!(
        at >= latest_end && at < later(latest_end, Duration::from_secs(30)),
        "{at} {latest_end}"
    );
    assert_eq!(attempts(&world), [(1, 1)]);
}

#[test]
fn under_a_changed_job_file_the_running_step_ends_and_nothing_but_clean_up_follows() {
    for (takes_s, passes) in [(3_400, false), (5, true)] {
        let before = rules(with_cleanup(2));
        let world = left_running(&before, takes_s);
        let mut changed = with_cleanup(2);
        changed.steps[1].timeout = Duration::from_secs(7_200);
        let (round, events) = once(&world, &rules(changed));
        assert_eq!((round.counts.failed, round.counts.committed), (1, 0));
        assert_eq!(attempts(&world), [(1, 1), (3, 1_001)], "passes: {passes}");
        let tags = world.store.tags("a");
        assert_eq!(keys(&world), ["fail-repair"]);
        assert!(
            tags["fail-repair"].ends_with("step=1 reason=job-changed"),
            "{tags:?}"
        );
        assert!(words(&events).contains(&"warned"), "{:?}", words(&events));
        let ends = world.shell.ends();
        let began = world.shell.orders().len();
        assert!(
            began == 2 && ends[0] <= ends[1],
            "clean-up follows the step: {ends:?}"
        );
    }
}

#[test]
fn a_run_that_was_being_stopped_is_ended_by_whoever_adopts_it() {
    let rules = rules(with_cleanup(2));
    let world = left_running(&rules, 3_400);
    world.store.change("a", |node| {
        let mut lock = Lock::parse(&node.tags["lock"]).expect("ours");
        lock.state = LockState::Stopping;
        node.tags.insert("lock".to_owned(), lock.format());
    });
    let at = world.clock.boot();
    let (round, _) = once(&world, &rules);
    assert_eq!((round.counts.failed, round.counts.committed), (1, 0));
    assert_eq!(attempts(&world), [(1, 1), (3, 1)]);
    let stopped = world.shell.ends()[0];
    assert!(
        stopped.since(at) < Duration::from_secs(20),
        "it is ended, not waited for"
    );
    assert_eq!(keys(&world), ["fail-repair"]);
    assert!(world.store.tags("a")["fail-repair"].ends_with("step=1 reason=stopped"));
}

#[test]
fn a_run_hidden_under_another_lock_is_gone_on_with() {
    let rules = rules(job());
    let world = left_running(&rules, 3_400);
    let hidden = Lock::parse(&world.store.tags("a")["lock"]).expect("ours");
    // A late claim of another runner has overwritten the holder's lock, and died as well.
    let late = Lock {
        run: roundsman::model::id::RunId::new(hidden.run.began_ms() + 5_000, 9),
        claim: roundsman::model::id::ClaimId::new(hidden.run.began_ms() + 5_000, 9),
        state: LockState::Settling,
        step: 0,
        ..hidden.clone()
    };
    world.store.change("a", |node| {
        node.tags.insert("lock".to_owned(), late.format());
    });
    let (round, events) = once(&world, &rules);
    assert_eq!(round.counts.committed, 1);
    assert_eq!(attempts(&world), [(1, 1)]);
    assert!(
        events.iter().any(|event| event.run == Some(hidden.run)
            && matches!(event.kind, EventKind::Committed { .. }))
    );
    assert!(!world.store.tags("a").contains_key("lock"));
}

#[test]
fn a_signal_ends_an_adopted_run_in_order() {
    for at in (0..60).map(|n| Duration::from_millis(n * 733)) {
        let rules = rules(cancelling(with_cleanup(2)));
        let world = left_running(&rules, 3_400);
        let found = world.store.tags("a")["lock"].clone();
        let (round, events) = interrupted(&world, &rules, at, None);
        let tags = world.store.tags("a");
        if words(&events).contains(&"adopted") {
            assert!(round.cut_short, "{at:?}");
            assert_eq!(attempts(&world), [(1, 1), (3, 1)], "{at:?}");
            assert!(
                tags["fail-repair"].ends_with("step=1 reason=stopped"),
                "{at:?}: {tags:?}"
            );
            assert!(!tags.contains_key("lock"), "{at:?}");
        } else {
            let lock = Lock::parse(&tags["lock"]).expect("readable");
            let found = Lock::parse(&found).expect("readable");
            let says = |lock: &Lock| (lock.run, lock.step, lock.was);
            assert_eq!(says(&lock), says(&found), "{at:?}: the run stands there");
            // As it was found, or as one that nobody holds.
            assert!(
                [LockState::Held, LockState::Parked].contains(&lock.state),
                "{at:?}"
            );
            assert_eq!(attempts(&world), [(1, 1)], "{at:?}");
        }
    }
}

#[test]
fn what_is_adopted_does_not_count_towards_the_nodes_to_be_claimed() {
    let mut job = job();
    job.limits.nodes = 2;
    let rules = rules(job);
    let world = left_running(&rules, 1_700);
    world.store.change("b", |node| node.tags.clear());
    let (round, _) = once(&world, &rules);
    assert_eq!((round.counts.claimed, round.counts.committed), (2, 2));
    let served = |node: &str| world.store.tags(node).contains_key("last-repair");
    assert!(served("a") && served("b"));
    // An invocation for no new node adopts all the same.
    let world = left_running(&rules, 1_700);
    world.store.change("b", |node| node.tags.clear());
    let (round, _) = invoke(&world, &rules, &orders(Some(0), 1));
    assert_eq!((round.counts.claimed, round.counts.committed), (1, 1));
    assert!(world.store.tags("b").is_empty());
}

#[test]
fn clean_up_of_another_job_file_is_never_taken_for_a_step() {
    // In the changed file the clean-up step has the number of the second step in the file before it.
    let (before, changed) = (rules(with_cleanup(2)), rules(with_cleanup(1)));
    let mut ends = std::collections::BTreeSet::new();
    for nth in 1.. {
        let world = left_running(&before, 2_000);
        let died = dies(&world, &changed, nth);
        world.clock.pass(PATIENCE);
        once(&world, &before);
        let (sent, tags) = (attempts(&world), world.store.tags("a"));
        let done = tags.contains_key("last-repair");
        assert_eq!(done, sent.contains(&(2, 1)), "death {nth}: {sent:?}");
        assert!(!tags.contains_key("lock"), "death {nth}: {tags:?}");
        let fail = tags
            .get("fail-repair")
            .map(|fail| Fail::parse(fail).expect("ours").reason);
        ends.insert(fail.unwrap_or_default());
        if !died {
            break;
        }
    }
    // The adopter died before it ended the run; after the lock said so; or not before its record.
    assert_eq!(ends.into_iter().collect::<Vec<_>>(), ["", "stopped"]);
}

#[test]
fn a_run_that_was_being_stopped_is_ended_also_when_its_adopter_dies() {
    for consistency in BOTH {
        let rules = rules(with_cleanup(2));
        for nth in 1.. {
            let world = World::new(vec![node("a", &[])], consistency, 1);
            let mut left = crate::trouble::lock_of(&rules, now(&world).wall, -400);
            left.state = LockState::Stopping;
            world.store.change("a", |node| {
                node.tags.insert("lock".to_owned(), left.format());
            });
            let died = dies(&world, &rules, nth);
            world.clock.pass(PATIENCE);
            if !died {
                assert!(nth > 8, "{nth}");
                break;
            }
            // Once it is recorded, the next run is another one.
            if !world.store.tags("a").contains_key("fail-repair") {
                once(&world, &rules);
            }
            let tags = world.store.tags("a");
            let fail = tags.get("fail-repair").cloned().unwrap_or_default();
            let what = format!("{consistency:?}, death {nth}: {tags:?}");
            assert!(fail.ends_with("step=1 reason=stopped"), "{what}");
            assert!(!tags.contains_key("last-repair"), "{what}");
        }
    }
}
