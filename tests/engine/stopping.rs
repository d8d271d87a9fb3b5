//! `stop`: a run is ended on purpose, while its runner lives, and when it does not.

use std::cell::Cell;
use std::pin::Pin;
use std::task::Poll;

use roundsman::engine::halt::{Halted, halt};
use roundsman::model::id::RunId;
use roundsman::model::run::Result as RunResult;
use roundsman::model::stop::{NoStop, without_file};

use super::deaths::{PATIENCE, attempts, keys, with_cleanup};
use super::*;

/// The run that the lock of `a` names.
fn run(world: &World) -> RunId {
    lock(world).run
}

fn lock(world: &World) -> Lock {
    Lock::parse(&world.store.tags("a")["lock"]).expect("a lock")
}

/// Every step takes an hour, unless it is ended; clean-up a minute.
fn long_steps(world: &World, steps: u32) {
    world.shell.plan(move |_, order| {
        let secs = if order.step > steps { 60 } else { 3_600 };
        Plan::Ends(Duration::from_secs(secs), Outcome::Ok)
    });
}

/// What a stop that is begun at a moment of somebody else's invocation comes to, told to end after so long.
struct Met {
    round: Round,
    halted: Halted,
    events: Vec<Event>,
    /// When the other invocation had ended, and when the stop had.
    ended: (Duration, Duration),
}

fn meets(world: &World, (theirs, ours): (&Rules, &Rules), at: u64, rings: &[u64]) -> Met {
    let events = RefCell::new(Vec::new());
    let report = |event: Event| events.borrow_mut().push(event);
    let quiet = |_: Event| {};
    let runner = Engine {
        ports: world,
        rules: theirs,
        owner: "runner@host",
        report: &quiet,
    };
    let stopper = Engine {
        ports: world,
        rules: ours,
        owner: "op@host",
        report: &report,
    };
    let began = world.clock.boot();
    let now = || world.clock.boot().since(began);
    let ended = Cell::new(Duration::ZERO);
    let orders = orders(Some(1), 1);
    let (_bell, never) = bell();
    let (ring, told) = bell();
    let work = async {
        let round = round(&runner, &orders, never).await;
        ended.set(now());
        round
    };
    let stops = async {
        world
            .clock
            .sleep_until(began.plus(Duration::from_secs(at)))
            .await;
        let node = node("a", &[]);
        let halted = halt(&stopper, &node, run(world), told).await;
        (halted, now())
    };
    let rung = async {
        for ringing in rings {
            world
                .clock
                .sleep_until(began.plus(Duration::from_secs(at + ringing)))
                .await;
            ring.ring();
        }
    };
    let (round, (halted, over), ()) =
        world.play(async { futures_util::future::join3(work, stops, rung).await });
    Met {
        round,
        halted,
        events: events.into_inner(),
        ended: (ended.get(), over),
    }
}

fn world(consistency: Consistency) -> World {
    World::new(vec![node("a", &[])], consistency, 1)
}

fn is_stopped(halted: &Halted) -> bool {
    matches!(
        halted,
        Halted::Stopped {
            result: RunResult::Failed { .. },
            ..
        }
    )
}

#[test]
fn a_living_run_is_ended_cleaned_up_and_recorded_and_its_runner_touches_nothing_more() {
    for consistency in BOTH {
        let world = world(consistency);
        long_steps(&world, 2);
        let rules = rules(with_cleanup(2));
        let met = meets(&world, (&rules, &rules), 600, &[]);
        assert!(is_stopped(&met.halted), "{:?}", met.halted);
        assert_eq!(met.round.counts.leases_lost, 1);
        assert_eq!(attempts(&world), [(1, 1), (3, 1)], "a step, the clean-up");
        let claims: Vec<_> = world.shell.orders().iter().map(|o| o.claim).collect();
        assert_ne!(claims[0], claims[1]);
        assert_eq!(keys(&world), ["fail-repair"]);
        let fail = world.store.tags("a")["fail-repair"].clone();
        assert!(fail.ends_with("step=1 reason=stopped"), "{fail}");
        assert!(words(&met.events).contains(&"stopping"));
        // Its runner notices when it next looks.
        let (runner, stopper) = met.ended;
        let looks = rules.lease.ttl / 3 + Duration::from_secs(60);
        assert!(runner < Duration::from_secs(600) + looks, "{runner:?}");
        // A late write of the runner's may land for all of `request-life`.
        let kept = stopper > Duration::from_secs(600 + 900);
        assert_eq!(kept, consistency == Consistency::Eventual, "{stopper:?}");
        assert!(stopper < Duration::from_secs(1_600), "{stopper:?}");
    }
}

#[test]
fn clean_up_waits_until_a_displaced_runner_has_ended_its_own_step_for_certain() {
    for consistency in BOTH {
        let mut job = with_cleanup(2);
        job.steps[0].on = On::Runner;
        let world = world(consistency);
        long_steps(&world, 2);
        let rules = rules(job);
        let met = meets(&world, (&rules, &rules), 600, &[]);
        assert!(is_stopped(&met.halted), "{:?}", met.halted);
        assert_eq!(met.round.counts.leases_lost, 1);
        assert_eq!(attempts(&world), [(1, 1), (3, 1)]);
        let (runner, stopper) = met.ended;
        let lease = rules.lease;
        assert!(runner <= Duration::from_secs(600) + lease.ttl / 3 + Duration::from_secs(60));
        assert!(
            stopper >= Duration::from_secs(600) + lease.ttl + lease.margin,
            "{stopper:?}"
        );
        assert_eq!(keys(&world), ["fail-repair"]);
    }
}

#[test]
fn a_stop_that_is_taken_back_while_it_settles_leaves_the_run_to_be_adopted() {
    let world = world(Consistency::Eventual);
    long_steps(&world, 1);
    let rules = rules(with_cleanup(1));
    let met = meets(&world, (&rules, &rules), 600, &[5]);
    assert_eq!(met.halted, Halted::Left);
    assert_eq!(lock(&world).state, LockState::Held);
    assert_eq!(lock(&world).owner, "op@host");
    assert_eq!(met.round.counts.leases_lost, 1);
    assert_eq!(attempts(&world), [(1, 1)], "nothing was ended");
    world.clock.pass(PATIENCE);
    let (round, _) = once(&world, &rules);
    assert_eq!(round.counts.committed, 1);
    assert_eq!(attempts(&world), [(1, 1), (2, 1)]);
}

#[test]
fn a_stop_that_is_left_half_way_is_finished_by_the_next_run() {
    for consistency in BOTH {
        let mut job = with_cleanup(2);
        job.steps[1].on = On::Runner;
        let world = world(consistency);
        long_steps(&world, 2);
        let rules = rules(job);
        // It waits for the runner's step, which there may be.
        let met = meets(&world, (&rules, &rules), 600, &[100, 101]);
        assert_eq!(met.halted, Halted::Left);
        assert_eq!(lock(&world).state, LockState::Stopping);
        assert_eq!(attempts(&world), [(1, 1)]);
        world.clock.pass(PATIENCE);
        let (round, _) = once(&world, &rules);
        assert_eq!((round.counts.failed, round.counts.committed), (1, 0));
        assert_eq!(attempts(&world), [(1, 1), (3, 1)]);
        let fail = world.store.tags("a")["fail-repair"].clone();
        assert!(fail.ends_with("reason=stopped"), "{fail}");
        assert_eq!(keys(&world), ["fail-repair"]);
    }
}

#[test]
fn without_its_job_file_a_run_is_ended_and_recorded_and_nothing_is_cleaned_up() {
    for consistency in BOTH {
        let world = world(consistency);
        long_steps(&world, 1);
        let theirs = rules(with_cleanup(1));
        let any = Lock {
            run: RunId::new(1, 1),
            job: theirs.job.name.clone(),
            task: theirs.job.task.clone(),
            ..Lock::parse(SAMPLE).expect("a lock")
        };
        let ours = rules(without_file(&any));
        let met = meets(&world, (&theirs, &ours), 600, &[]);
        assert!(is_stopped(&met.halted), "{:?}", met.halted);
        assert_eq!(attempts(&world), [(1, 1)]);
        let fail = world.store.tags("a")["fail-repair"].clone();
        assert!(fail.ends_with("step=1 reason=stopped"), "{fail}");
        assert_eq!(keys(&world), ["fail-repair"]);
    }
}

const SAMPLE: &str = "v1 run=01KAPYZ6D00000000000000001 claim=01KAPYZ6D00000000000000002 seq=1 state=held set=abcd \
                      job=repair file=01020304 step=1 owner=ci@bastion-1 until=2026-11-23T00:30:00Z";

#[test]
fn a_run_that_has_done_its_steps_is_committed_and_one_that_is_gone_is_no_failure() {
    // Its steps end at 600 s; then its clean-up runs for a minute.
    for at in (560..650).step_by(3) {
        let world = world(Consistency::Eventual);
        world.shell.plan(|_, order| {
            let secs = if order.step > 1 { 60 } else { 586 };
            Plan::Ends(Duration::from_secs(secs), Outcome::Ok)
        });
        let rules = rules(with_cleanup(1));
        let met = meets(&world, (&rules, &rules), at, &[]);
        let tags = world.store.tags("a");
        assert!(!tags.contains_key("lock"), "{at}: {tags:?}");
        let done = tags.contains_key("last-repair");
        match met.halted {
            Halted::Stopped { result, .. } => {
                assert_eq!(done, result == RunResult::Done, "{at}: {tags:?}");
            }
            Halted::Over | Halted::Not(NoStop::Over(_)) => assert!(done, "{at}: {tags:?}"),
            other => panic!("{at}: {other:?}"),
        }
        assert_eq!(met.round.error, None);
        let of_step = |n| attempts(&world).iter().filter(|a| a.0 == n).count();
        assert_eq!(of_step(1), 1, "{at}");
    }
}

/// A stop over a run whose runner works on, which dies at the `nth` moment at which it waits; `false`: it had ended.
fn stopper_dies(world: &World, rules: &Rules, nth: usize) -> bool {
    let quiet = |_: Event| {};
    let of = |owner| Engine {
        ports: world,
        rules,
        owner,
        report: &quiet,
    };
    let (runner, stopper) = (of("runner@host"), of("op@host"));
    let began = world.clock.boot();
    let orders = orders(Some(1), 1);
    let (_bell, never) = bell();
    let (_ring, told) = bell();
    let stops = async {
        world
            .clock
            .sleep_until(began.plus(Duration::from_secs(600)))
            .await;
        halt(&stopper, &node("a", &[]), run(world), told).await
    };
    let mut stops: Option<Pin<Box<dyn Future<Output = Halted>>>> = Some(Box::pin(stops));
    let (mut left, mut known) = (nth, None);
    let dies = std::future::poll_fn(move |context| {
        let now = world.clock.boot();
        if now < began.plus(Duration::from_secs(600)) {
            return match stops.as_mut() {
                Some(future) => future.as_mut().poll(context).map(|_| false),
                None => Poll::Ready(true),
            };
        }
        let moment = Some((now, world.store.calls(), world.shell.sent().len()));
        if known != moment {
            if left == 0 {
                stops = None;
                return Poll::Ready(true);
            }
            left -= 1;
            known = moment;
        }
        match stops.as_mut() {
            Some(future) => future.as_mut().poll(context).map(|_| false),
            None => Poll::Ready(true),
        }
    });
    let (_, died) = world
        .play(async { futures_util::future::join(round(&runner, &orders, never), dies).await });
    died
}

fn attempt(order: &roundsman::port::Order) -> (RunId, u32, u32) {
    (order.run, order.step, order.attempt)
}

#[test]
fn wherever_a_stopper_dies_the_run_is_finished_or_its_stop_is() {
    for consistency in BOTH {
        let mut deaths = 0;
        for nth in 0.. {
            let world = world(consistency);
            long_steps(&world, 1);
            let rules = rules(with_cleanup(1));
            if !stopper_dies(&world, &rules, nth) {
                break;
            }
            deaths += 1;
            world.clock.pass(PATIENCE);
            let (round, _) = once(&world, &rules);
            assert_eq!(round.error, None, "{consistency:?} {nth}");
            let tags = world.store.tags("a");
            assert!(
                !tags.contains_key("lock"),
                "{consistency:?} {nth}: {tags:?}"
            );
            let done = tags.contains_key("last-repair");
            let stopped = tags.contains_key("fail-repair");
            assert!(done || stopped, "{consistency:?} {nth}: {tags:?}");
            let mut sent: Vec<_> = world.shell.orders().iter().map(attempt).collect();
            let all = sent.len();
            sent.sort();
            sent.dedup();
            // Where nobody keeps evidence the node itself answers what is sent again.
            let again = usize::from(consistency == Consistency::Transactional);
            assert!(all <= sent.len() + again, "{consistency:?} {nth}");
        }
        let least = if consistency == Consistency::Eventual {
            15
        } else {
            5
        };
        assert!(deaths > least, "{consistency:?}: {deaths}");
    }
}

#[test]
fn two_who_stop_at_once_do_not_undo_each_other() {
    let world = world(Consistency::Eventual);
    long_steps(&world, 1);
    let rules = rules(with_cleanup(1));
    let quiet = |_: Event| {};
    let of = |owner| Engine {
        ports: &world,
        rules: &rules,
        owner,
        report: &quiet,
    };
    let (runner, one, two) = (of("runner@host"), of("one@host"), of("two@host"));
    let began = world.clock.boot();
    let orders = orders(Some(1), 1);
    let (_bell, never) = bell();
    let (_ring, told) = bell();
    let a = node("a", &[]);
    let stops = async {
        world
            .clock
            .sleep_until(began.plus(Duration::from_secs(600)))
            .await;
        let run = run(&world);
        let both = futures_util::future::join(
            halt(&one, &a, run, told.clone()),
            halt(&two, &a, run, told.clone()),
        );
        both.await
    };
    let (_, (first, second)) = world
        .play(async { futures_util::future::join(round(&runner, &orders, never), stops).await });
    let both = [first, second];
    let stopped = both.iter().filter(|halted| is_stopped(halted)).count();
    let other = |halted: &Halted| matches!(halted, Halted::Not(NoStop::Already(..)));
    let others = both.iter().filter(|halted| other(halted)).count();
    assert_eq!((stopped, others), (1, 1), "{both:?}");
    assert_eq!(keys(&world), ["fail-repair"]);
    assert_eq!(attempts(&world), [(1, 1), (2, 1)]);
}
