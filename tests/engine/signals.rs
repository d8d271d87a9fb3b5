//! Signals at every moment of a run.

use super::*;

/// Rings the bell at a moment, once or twice, while one invocation runs.
pub(crate) fn interrupted(
    world: &World,
    rules: &Rules,
    at: Duration,
    again: Option<Duration>,
) -> (Round, Vec<Event>) {
    told(world, rules, (at, |bell| bell.ring()), again)
}

/// The same, told in another way first.
pub(crate) fn told(
    world: &World,
    rules: &Rules,
    (at, tell): (Duration, fn(&Bell) -> Urgency),
    again: Option<Duration>,
) -> (Round, Vec<Event>) {
    let (round, events, ()) = beside(world, rules, &orders(Some(1), 1), async |bell| {
        after(world, at).await;
        tell(bell);
        if let Some(again) = again {
            after(world, again).await;
            bell.ring();
        }
    });
    (round, events)
}

#[test]
fn a_signal_while_settling_takes_the_claim_back() {
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    let (round, _) = interrupted(&world, &rules(job()), Duration::from_secs(5), None);
    assert!(!round.cut_short, "nothing was abandoned");
    assert!(world.store.tags("a").is_empty() && world.shell.sent().is_empty());
}

#[test]
fn a_signal_at_any_moment_ends_the_run_in_order() {
    for consistency in BOTH {
        for at in (0..140).map(|n| Duration::from_millis(n * 997)) {
            let mut job = job();
            job.steps.push(step("second", On::Runner));
            job.cleanup.push(Cleanup {
                step: step("tidy", On::Node),
                when: When::Always,
            });
            let world = World::new(vec![node("a", &[])], consistency, 1);
            let (round, _) = interrupted(&world, &rules(cancelling(job)), at, None);
            let tags = world.store.tags("a");
            assert!(
                !tags.contains_key("lock"),
                "{consistency:?} {at:?}: {tags:?}"
            );
            assert_eq!(
                tags.contains_key("fail-repair"),
                round.cut_short,
                "{consistency:?} {at:?}: {tags:?}"
            );
            if round.cut_short {
                assert!(tags["fail-repair"].contains("reason=stopped"));
                assert!(
                    world.shell.sent().last().is_none_or(|sent| sent.1 == 3),
                    "clean-up ran: {:?}",
                    world.shell.sent()
                );
            }
        }
    }
}

#[test]
fn within_five_seconds_of_a_signal_the_lock_says_stopping() {
    let mut job = job();
    job.cleanup.push(Cleanup {
        step: step("tidy", On::Node),
        when: When::Always,
    });
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    let rules = rules(cancelling(job));
    let (_, _, seen) = beside(&world, &rules, &orders(Some(1), 1), async |bell| {
        after(&world, Duration::from_secs(30)).await;
        bell.ring();
        after(&world, Duration::from_secs(5)).await;
        world.store.tags("a").get("lock").cloned()
    });
    assert!(seen.is_some_and(|lock| lock.contains(" state=stopping ")));
}

#[test]
fn a_second_signal_leaves_at_once_and_says_when_the_lease_runs_out() {
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    world
        .shell
        .plan(|_, _| Plan::Ends(Duration::from_secs(3_000), Outcome::Ok));
    // The node's step ignores the first: it is cancelled, which takes a moment in which the second comes.
    world
        .store
        .weather(|weather| weather.write_takes = Duration::from_millis(900));
    let (round, events) = interrupted(
        &world,
        &rules(job()),
        Duration::from_secs(60),
        Some(Duration::from_millis(100)),
    );
    assert!(round.cut_short);
    let said = events.iter().any(|event| matches!(&event.kind, EventKind::Warned { message } if message.contains("its lease runs out")));
    assert!(said, "{events:?}");
    assert!(world.store.tags("a").contains_key("lock"));
}
