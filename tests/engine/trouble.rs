//! Bad weather, displaced holders, and what dead runners left.

use super::*;

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
fn a_suspect_run_past_its_margin_is_taken_over_and_begun_again() {
    for consistency in BOTH {
        let world = World::new(vec![node("a", &[])], consistency, 1);
        let rules = rules(job());
        let at = now(&world).wall;
        let left = lock_of(&rules, at, -400);
        world.store.change("a", |node| {
            node.tags.insert("lock".to_owned(), left.format());
        });
        let (round, _) = once(&world, &rules);
        assert_eq!(round.counts.committed, 1, "{consistency:?}");
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

fn lock_of(rules: &Rules, at: Timestamp, left: i64) -> Lock {
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
