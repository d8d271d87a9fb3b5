//! Bad weather, displaced holders, and what dead runners left.

use super::*;
use crate::signals::interrupted;

#[test]
fn a_displaced_holder_starts_and_touches_nothing_more() {
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    let store = Rc::clone(&world.store);
    let thief = format!(
        "v1 run=01M82VSXY00000000000000001 claim=7ZZZZZZZZZZZZZZZZZZZZZZZZZ seq=1 state=held set={} job=repair file=01020304 step=1 owner=thief until=2099-01-01T00:00:00Z",
        LeaseSettings::default().set()
    );
    let stolen = thief.clone();
    world.shell.plan(move |_, _| {
        store.change("a", |node| {
            node.tags.insert("lock".to_owned(), stolen.clone());
        });
        Plan::Ends(Duration::from_secs(3_000), Outcome::Ok)
    });
    let (round, events) = once(&world, &rules(job()));
    assert_eq!(round.counts.leases_lost, 1);
    assert!(words(&events).contains(&"lease-lost"));
    assert_eq!(world.store.tags("a"), [("lock".to_owned(), thief)].into());
}

#[test]
fn a_slow_store_is_not_claimed_on_and_its_late_value_is_left_alone() {
    let world = World::new(
        vec![node("a", &[]), node("b", &[])],
        Consistency::Eventual,
        1,
    );
    world
        .store
        .weather(|weather| weather.write_takes = Duration::from_secs(3));
    let (round, _) = once(&world, &rules(job()));
    assert_eq!(round.counts.claimed, 0);
    assert_eq!(
        round.error.map(|error| error.kind),
        Some(ErrorKind::Unreachable)
    );
    assert!(
        world.store.tags("a").contains_key("lock"),
        "it may have overwritten a living holder"
    );
    assert!(world.shell.sent().is_empty());
}

#[test]
fn a_refused_claim_says_so_and_leaves_nothing() {
    let denied = PortError::new(ErrorKind::Denied, "not allowed to ec2:CreateTags");
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    world.store.weather(|weather| {
        weather
            .writes_answer
            .push_back(Err(WriteError::Refused(denied.clone())));
    });
    let (round, _) = once(&world, &rules(job()));
    assert_eq!(round.error, Some(denied));
    assert!(world.store.tags("a").is_empty());
}

#[test]
fn a_throttled_run_gets_through_by_backing_off() {
    let slow_down = || {
        Err(WriteError::Refused(PortError::new(
            ErrorKind::Throttled,
            "slow down",
        )))
    };
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    let store = Rc::clone(&world.store);
    world.shell.plan(move |_, _| {
        store.weather(|weather| {
            weather
                .writes_answer
                .extend([slow_down(), slow_down(), slow_down()]);
        });
        Plan::Ends(Duration::from_secs(5), Outcome::Ok)
    });
    let (round, _) = once(&world, &rules(job()));
    assert_eq!(round.counts.committed, 1);
    assert!(!world.store.tags("a").contains_key("lock"));
}

#[test]
fn a_clock_that_is_certainly_wrong_claims_nothing() {
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    world.store.weather(|weather| {
        weather.offset = Offset {
            least_ms: 11_000,
            most_ms: 12_000,
        }
    });
    let (round, _) = once(&world, &rules(job()));
    assert!(
        round
            .error
            .is_some_and(|error| error.message.contains("clock differs"))
    );
    assert!(world.store.tags("a").is_empty());
}

#[test]
fn a_suspect_run_of_which_nothing_is_found_goes_on_with_the_step_begun_last() {
    for consistency in BOTH {
        let mut job = job();
        job.steps.push(step("second", On::Node));
        let world = World::new(vec![node("a", &[])], consistency, 1);
        let rules = rules(job);
        let mut left = lock_of(&rules, now(&world).wall, -400);
        left.step = 2;
        world.store.change("a", |node| {
            node.tags.insert("lock".to_owned(), left.format());
        });
        let (round, _) = once(&world, &rules);
        assert_eq!(round.counts.committed, 1, "{consistency:?}");
        assert_eq!(world.shell.sent(), [("a".to_owned(), 2, 1)]);
        assert_eq!(world.shell.orders()[0].run, left.run);
        assert!(!world.store.tags("a").contains_key("lock"));
    }
}

#[test]
fn the_lock_of_a_run_that_has_ended_is_removed_and_the_node_is_not_served_twice() {
    for consistency in BOTH {
        let world = World::new(vec![node("a", &[])], consistency, 1);
        let rules = rules(job());
        let left = lock_of(&rules, now(&world).wall, -400);
        let done = format_stamp(later(left.until, Duration::ZERO));
        world.store.change("a", |node| {
            node.tags.extend([
                ("lock".to_owned(), left.format()),
                ("last-repair".to_owned(), done.clone()),
            ]);
        });
        let (round, _) = once(&world, &rules);
        assert_eq!(round.counts.claimed, 0);
        assert_eq!(
            world.store.tags("a"),
            [("last-repair".to_owned(), done)].into()
        );
    }
}

#[test]
fn the_run_of_another_job_is_recorded_as_abandoned() {
    for consistency in BOTH {
        let world = World::new(vec![node("a", &[])], consistency, 1);
        let rules = rules(job());
        let mut left = lock_of(&rules, now(&world).wall, -400);
        left.job = Name::new("backup").expect("a name");
        left.task = Name::new("nightly").expect("a name");
        world.store.change("a", |node| {
            node.tags.insert("lock".to_owned(), left.format());
        });
        let (round, _) = once(&world, &rules);
        assert_eq!(round.counts.committed, 1, "{consistency:?}");
        let tags = world.store.tags("a");
        let fail = Fail::parse(&tags["fail-nightly"]).expect("readable");
        assert_eq!((fail.run, fail.reason.as_str()), (left.run, "abandoned"));
        assert!(!tags.contains_key("lock") && !tags.contains_key("fail-repair"));
    }
}

pub(crate) fn lock_of(rules: &Rules, at: Timestamp, left: i64) -> Lock {
    let until = at
        .checked_add(jiff::SignedDuration::from_secs(left))
        .expect("a time");
    let began = u64::try_from(until.as_millisecond()).expect("after 1970") - 1_200_000;
    Lock {
        run: roundsman::model::id::RunId::new(began, 5),
        claim: roundsman::model::id::ClaimId::new(began, 5),
        seq: 3,
        state: LockState::Held,
        set: rules.lease.set(),
        job: rules.job.name.clone(),
        task: rules.job.task.clone(),
        file: rules.job.file_digest(),
        step: 1,
        was: None,
        owner: "dead@host".to_owned(),
        until,
    }
}

/// A lock that somebody else has written over ours.
fn thief() -> String {
    let set = LeaseSettings::default().set();
    format!(
        "v1 run=01M82VSXY00000000000000001 claim=7ZZZZZZZZZZZZZZZZZZZZZZZZZ seq=1 state=held set={set} job=repair file=01020304 step=1 owner=thief until=2099-01-01T00:00:00Z"
    )
}

#[test]
fn a_runner_step_that_lost_its_lease_is_ended_and_a_node_step_is_left_alone() {
    for (on, ended) in [(On::Runner, true), (On::Node, false)] {
        let mut job = job();
        job.steps[0].on = on;
        let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
        let store = Rc::clone(&world.store);
        world.shell.plan(move |_, _| {
            store.change("a", |node| {
                node.tags.insert("lock".to_owned(), thief());
            });
            Plan::Ends(Duration::from_secs(3_000), Outcome::Ok)
        });
        let (round, _) = once(&world, &rules(job));
        assert_eq!(round.counts.leases_lost, 1);
        assert_eq!(world.shell.ends()[0] <= world.clock.boot(), ended, "{on:?}");
        assert_eq!(world.store.tags("a"), [("lock".to_owned(), thief())].into());
    }
}

#[test]
fn a_claim_that_cannot_be_taken_back_at_once_is_taken_back_later_and_nothing_hangs() {
    let conflict = || {
        Err(WriteError::Refused(PortError::new(
            ErrorKind::Conflict,
            "at that moment",
        )))
    };
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    world
        .store
        .weather(|weather| weather.writes_answer.extend([Ok(()), conflict()]));
    let (round, _) = interrupted(&world, &rules(job()), Duration::from_secs(5), None);
    assert!(!round.cut_short);
    assert!(world.store.tags("a").is_empty());
}

#[test]
fn a_refused_renewal_does_not_cost_the_work() {
    let full = || {
        Err(WriteError::Refused(PortError::new(
            ErrorKind::Other,
            "disk full",
        )))
    };
    for consistency in BOTH {
        let world = World::new(vec![node("a", &[])], consistency, 1);
        let store = Rc::clone(&world.store);
        world.shell.plan(move |_, _| {
            store.weather(|weather| weather.writes_answer.extend([full(), full()]));
            Plan::Ends(Duration::from_millis(400_700), Outcome::Ok)
        });
        let (round, _) = once(&world, &rules(job()));
        assert_eq!(
            (round.counts.committed, round.counts.leases_lost),
            (1, 0),
            "{consistency:?}"
        );
        assert!(!world.store.tags("a").contains_key("lock"));
    }
}

#[test]
fn a_record_that_is_refused_is_tried_again_until_the_lease_ends() {
    let denied = || {
        Err(WriteError::Refused(PortError::new(
            ErrorKind::Denied,
            "not allowed",
        )))
    };
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    let store = Rc::clone(&world.store);
    world.shell.plan(move |_, _| {
        store.weather(|weather| weather.writes_answer.extend([denied(), denied()]));
        Plan::Ends(Duration::from_secs(5), Outcome::Ok)
    });
    assert_eq!(once(&world, &rules(job())).0.counts.committed, 1);
    let store = Rc::clone(&world.store);
    world.clock.pass(Duration::from_secs(8 * 86_400));
    world.shell.plan(move |_, _| {
        store.weather(|weather| weather.writes_answer.extend((0..1_000).map(|_| denied())));
        Plan::Ends(Duration::from_secs(5), Outcome::Ok)
    });
    let (round, events) = once(&world, &rules(job()));
    assert_eq!((round.counts.committed, round.counts.leases_lost), (0, 1));
    assert_eq!(round.error.map(|error| error.kind), Some(ErrorKind::Denied));
    assert!(words(&events).contains(&"lease-lost"));
}

/// A world in which another job's run was left on the node.
fn left_by_another(consistency: Consistency) -> (World, Rules) {
    let world = World::new(vec![node("a", &[])], consistency, 1);
    let rules = rules(job());
    let mut left = lock_of(&rules, now(&world).wall, -400);
    left.job = Name::new("backup").expect("a name");
    left.task = left.job.clone();
    world.store.change("a", |node| {
        node.tags.insert("lock".to_owned(), left.format());
    });
    (world, rules)
}

#[test]
fn a_signal_does_not_lose_the_record_of_an_abandoned_run() {
    for at in (0..40).map(|n| Duration::from_millis(n * 400)) {
        let (world, mut rules) = left_by_another(Consistency::Eventual);
        rules.job.on_stop = OnStop::Cancel;
        let (_, events) = interrupted(&world, &rules, at, None);
        let tags = world.store.tags("a");
        if words(&events).contains(&"claimed") {
            assert!(
                tags.get("fail-backup")
                    .is_some_and(|fail| fail.ends_with("reason=abandoned")),
                "{at:?}: {tags:?}"
            );
            assert!(!tags.contains_key("lock"), "{at:?}: {tags:?}");
        } else {
            assert!(
                tags["lock"].contains(" job=backup "),
                "{at:?}: the run that was found stands there again: {tags:?}"
            );
        }
    }
}

#[test]
fn a_node_is_let_go_when_it_cannot_be_recorded_that_another_run_is_given_up() {
    let (world, rules) = left_by_another(Consistency::Transactional);
    let full = PortError::new(ErrorKind::Other, "no room for another tag");
    world.store.weather(|weather| {
        weather
            .writes_answer
            .push_back(Err(WriteError::Refused(full.clone())));
    });
    let (round, events) = once(&world, &rules);
    assert_eq!(round.error, Some(full));
    assert!(world.shell.sent().is_empty() && words(&events).contains(&"released"));
    assert!(!world.store.tags("a").contains_key("lock"));
}

#[test]
fn a_run_that_commits_while_its_node_is_being_taken_over_is_not_done_again() {
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    let rules = rules(job());
    let left = lock_of(&rules, now(&world).wall, -400);
    world.store.change("a", |node| {
        node.tags.insert("lock".to_owned(), left.format());
    });
    beside(&world, &rules, &orders(Some(1), 1), async |_| {
        after(&world, Duration::from_secs(5)).await;
        let done = format_stamp(now(&world).wall);
        world.store.change("a", |node| {
            node.tags.insert("last-repair".to_owned(), done);
        });
    });
    assert!(world.shell.sent().is_empty(), "the work was done already");
    assert_eq!(
        world.store.tags("a").keys().collect::<Vec<_>>(),
        ["last-repair"]
    );
}
