//! Runs that are left to the next invocation: by a signal, by `--for`, by a hold; and what is never left.

use super::*;
use crate::deaths::{attempts, takes, with_cleanup};
use crate::signals::{interrupted, told};

/// One invocation for one new node that waits so long.
pub(crate) fn for_(world: &World, rules: &Rules, wait: Duration) -> (Round, Vec<Event>) {
    let orders = Orders {
        wait: Some(wait),
        ..orders(Some(1), 1)
    };
    invoke(world, rules, &orders)
}

pub(crate) fn lock(world: &World, node: &str) -> Option<Lock> {
    let tags = world.store.tags(node);
    tags.get("lock")
        .map(|lock| Lock::parse(lock).expect("readable"))
}

fn parked_for(events: &[Event]) -> Option<ParkedFor> {
    events.iter().find_map(|event| match event.kind {
        EventKind::Parked { why, .. } => Some(why),
        _ => None,
    })
}

#[test]
fn within_five_seconds_of_a_signal_at_any_moment_a_run_of_node_steps_is_parked_and_gone_on_with() {
    for consistency in BOTH {
        for at in (0..150).map(|n| Duration::from_millis(n * 1_399)) {
            let rules = rules(with_cleanup(2));
            let world = World::new(vec![node("a", &[])], consistency, 1);
            let start = now(&world).wall;
            let (round, events) = interrupted(&world, &rules, at, None);
            assert!(!round.cut_short, "{at:?}: nothing was abandoned");
            if round.counts.parked > 0 {
                let lock = lock(&world, "a").expect("parked");
                assert_eq!(lock.state, LockState::Parked, "{at:?}");
                assert_eq!(parked_for(&events), Some(ParkedFor::Signal));
                assert!(
                    elapsed(start, round.at) <= at + Duration::from_secs(5),
                    "{at:?}"
                );
            }
            let (round, _) = once(&world, &rules);
            let committed = world.store.tags("a").contains_key("last-repair");
            assert!(committed, "{at:?}: {round:?}");
            assert_eq!(attempts(&world), [(1, 1), (2, 1), (3, 1)], "{at:?}");
            assert_eq!(lock(&world, "a"), None, "{at:?}");
        }
    }
}

#[test]
fn a_run_of_hours_costs_an_invocation_of_seconds_every_quarter_of_an_hour() {
    let rules = rules(with_cleanup(3));
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    takes(&world, 3_400, &[]);
    let mut invocations = 0;
    while !world.store.tags("a").contains_key("last-repair") {
        let began = world.clock.boot();
        let (round, events) = for_(&world, &rules, Duration::ZERO);
        let took = world.clock.boot().since(began);
        assert!(
            took < Duration::from_secs(60),
            "{took:?}: {:?}",
            words(&events)
        );
        assert_eq!(round.counts.failed, 0);
        invocations += 1;
        assert!(invocations < 40, "it never ends");
        world
            .clock
            .pass(Duration::from_secs(900).saturating_sub(took));
    }
    assert_eq!(attempts(&world), [(1, 1), (2, 1), (3, 1), (4, 1)]);
    // Each step of 3,400 s takes four quarters of an hour; the next one is begun by the invocation that finds its end.
    assert_eq!(invocations, 17);
    let took = parse_span(&world.store.tags("a")["took-repair"]).expect("a span");
    assert!(took > Duration::from_secs(4 * 3_400), "{took:?}");
}

#[test]
fn an_invocation_leaves_what_runs_when_its_time_is_up_and_not_before() {
    let rules = rules(job());
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    takes(&world, 3_400, &[]);
    let start = now(&world).wall;
    let (round, events) = for_(&world, &rules, Duration::from_secs(600));
    assert_eq!(
        (round.counts.parked, parked_for(&events)),
        (1, Some(ParkedFor::Time))
    );
    let after = elapsed(start, round.at);
    assert!((600..606).contains(&after.as_secs()), "{after:?}");
    // One that ends within its time is committed as ever.
    world.clock.pass(Duration::from_secs(2_500));
    let (round, _) = for_(&world, &rules, Duration::from_secs(600));
    assert_eq!((round.counts.parked, round.counts.committed), (0, 1));
    assert_eq!(attempts(&world), [(1, 1)]);
}

#[test]
fn invocations_of_seconds_keep_as_many_nodes_busy_as_the_limits_allow() {
    let mut job = job();
    job.limits.nodes = 3;
    let rules = rules(job);
    let nodes = (0..6).map(|n| node(&format!("n{n}"), &[])).collect();
    let world = World::new(nodes, Consistency::Eventual, 1);
    takes(&world, 3_400, &[]);
    let done = |world: &World| (0..6).filter(|n| served(world, &format!("n{n}"))).count();
    let mut busiest = 0;
    for _ in 0..40 {
        let began = world.clock.boot();
        for_(&world, &rules, Duration::ZERO);
        let took = world.clock.boot().since(began);
        assert!(took < Duration::from_secs(120), "{took:?}");
        let locked = (0..6).filter(|n| lock(&world, &format!("n{n}")).is_some());
        busiest = busiest.max(locked.count());
        world.clock.pass(Duration::from_secs(300));
    }
    assert_eq!((busiest, world.shell.most_at_once()), (3, (3, 1)));
    assert_eq!(done(&world), 6);
    assert_eq!(world.shell.sent().len(), 6);
}

/// Runs one invocation, and sets a hold on the node after a while.
fn held_after(world: &World, rules: &Rules, at: Duration) -> (Round, Vec<Event>) {
    let (round, events, ()) = beside(world, rules, &orders(Some(1), 1), async |_| {
        after(world, at).await;
        world.store.change("a", |node| {
            node.tags.insert("hold".to_owned(), "yes".to_owned());
        });
    });
    (round, events)
}

#[test]
fn under_a_hold_no_step_follows_and_finished_work_is_still_committed() {
    let rules = rules(Job {
        steps: vec![step("one", On::Node), step("two", On::Node)],
        ..job()
    });
    let (mut parked, mut committed) = (0, 0);
    for at in (15..140).map(Duration::from_secs) {
        let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
        let (round, events) = held_after(&world, &rules, at);
        parked += round.counts.parked;
        committed += round.counts.committed;
        if round.counts.parked > 0 {
            assert_eq!(parked_for(&events), Some(ParkedFor::Hold), "{at:?}");
            assert_eq!(attempts(&world), [(1, 1)], "{at:?}");
            assert_eq!(
                lock(&world, "a").map(|lock| lock.state),
                Some(LockState::Parked)
            );
            let (round, _) = once(&world, &rules);
            assert_eq!(round.counts.claimed, 0, "{at:?}: it is on hold");
            world.store.change("a", |node| {
                node.tags.remove("hold");
            });
            let (round, _) = once(&world, &rules);
            assert_eq!(round.counts.committed, 1, "{at:?}");
        }
        let sent = attempts(&world);
        assert!(
            sent.is_empty() || sent == [(1, 1), (2, 1)],
            "{at:?}: {sent:?}"
        );
    }
    assert!(parked >= 55 && committed >= 55, "{parked} {committed}");
}

#[test]
fn a_step_beside_the_runner_is_waited_for_and_a_signal_ends_it() {
    let rules = rules(Job {
        steps: vec![step("drain", On::Runner), step("repair", On::Node)],
        ..job()
    });
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    let start = now(&world).wall;
    let (round, events) = for_(&world, &rules, Duration::ZERO);
    assert_eq!(parked_for(&events), Some(ParkedFor::Time));
    assert_eq!(attempts(&world), [(1, 1), (2, 1)]);
    assert!(
        elapsed(start, round.at) > Duration::from_secs(60),
        "the first was waited for"
    );
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    let (round, _) = interrupted(&world, &rules, Duration::from_secs(40), None);
    assert!(
        round.cut_short && world.store.tags("a")["fail-repair"].ends_with("step=1 reason=stopped")
    );
}

#[test]
fn without_a_journal_on_the_node_nothing_that_runs_is_left_there() {
    let rules = rules(Job {
        fence: Fence::Off,
        ..job()
    });
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    let (round, _) = for_(&world, &rules, Duration::ZERO);
    assert_eq!((round.counts.parked, round.counts.committed), (0, 1));
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    let (round, _) = interrupted(&world, &rules, Duration::from_secs(40), None);
    assert!(round.cut_short && round.counts.parked == 0);
}

#[test]
fn clean_up_after_steps_that_nothing_shows_is_carried_through() {
    // Of a step beside the runner nothing is left to see, so an adopter could not tell that the run succeeded.
    let mut job = with_cleanup(1);
    job.steps[0].on = On::Runner;
    let rules = rules(job);
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    let (round, _) = for_(&world, &rules, Duration::ZERO);
    assert_eq!((round.counts.parked, round.counts.committed), (0, 1));
}

#[test]
fn before_the_credentials_end_what_runs_on_a_node_is_left_whatever_a_signal_would_do() {
    for at in (0..90).map(|n| Duration::from_millis(n * 997)) {
        let rules = rules(cancelling(with_cleanup(1)));
        let world = World::new(
            vec![node("a", &[]), node("b", &[])],
            Consistency::Eventual,
            1,
        );
        let (round, events) = told(&world, &rules, (at, |bell| bell.leave()), None);
        assert!(!round.cut_short && round.counts.failed == 0, "{at:?}");
        if round.counts.parked > 0 {
            assert_eq!(parked_for(&events), Some(ParkedFor::Credentials), "{at:?}");
        }
        let (round, _) = once(&world, &rules);
        assert!(round.counts.committed > 0, "{at:?}");
        assert_eq!(
            attempts(&world)
                .iter()
                .filter(|sent| **sent == (1, 1))
                .count(),
            1 + usize::from(served(&world, "b"))
        );
    }
}

/// Whether the node's work is recorded.
fn served(world: &World, node: &str) -> bool {
    world.store.tags(node).contains_key("last-repair")
}

#[test]
fn a_changed_job_file_is_accepted_when_that_is_asked_for() {
    let (before, mut changed) = (rules(job()), rules(job()));
    changed.job.steps.push(step("more", On::Node));
    for accept_changed in [false, true] {
        let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
        for_(&world, &before, Duration::ZERO);
        let orders = Orders {
            accept_changed,
            ..orders(Some(0), 1)
        };
        let (round, _) = invoke(&world, &changed, &orders);
        assert_eq!(
            (round.counts.committed == 1, served(&world, "a")),
            (accept_changed, accept_changed)
        );
        let sent: &[_] = if accept_changed {
            &[(1, 1), (2, 1)]
        } else {
            &[(1, 1)]
        };
        assert_eq!(attempts(&world), sent);
    }
}

#[test]
fn what_runs_is_left_two_minutes_before_credentials_end_that_are_not_renewed() {
    let rules = rules(job());
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    takes(&world, 3_400, &[]);
    let start = now(&world).wall;
    let quiet = |_: Event| {};
    let engine = Engine {
        ports: &world,
        rules: &rules,
        owner: "test@host",
        report: &quiet,
    };
    let (bell, stop) = bell();
    // Renewed once, when they are asked for again.
    let asked = std::cell::Cell::new(0);
    let end = async || {
        asked.set(asked.get() + 1);
        let minutes = if asked.get() == 1 { 20 } else { 40 };
        Some(later(start, Duration::from_secs(minutes * 60)))
    };
    let orders = orders(Some(1), 1);
    let round = world.play(engine.leaving_in_time(&bell, end, round(&engine, &orders, stop)));
    assert_eq!((round.counts.parked, round.cut_short), (1, false));
    let left = elapsed(start, round.at).as_secs();
    assert!((38 * 60..38 * 60 + 5).contains(&left), "{left} s");
}
