//! The engine over a world in memory: whole runs in virtual time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use roundsman::engine::round::{Orders, Round, round};
use roundsman::engine::stop::{Bell, bell};
use roundsman::engine::{Engine, now};
use roundsman::event::{Event, EventKind};
use roundsman::io::memory::{Plan, World};
use roundsman::model::decide::{Wish, decide};
use roundsman::model::id::{Name, NodeId};
use roundsman::model::job::{
    Cleanup, Count, Fence, Job, Limits, NewNodes, On, OnStop, Selector, Step, StepAction, When,
};
use roundsman::model::lock::{Lock, LockState};
use roundsman::model::node::{Agent, Node, Service};
use roundsman::model::outcome::{Delivery, Outcome};
use roundsman::model::record::Fail;
use roundsman::model::settings::LeaseSettings;
use roundsman::model::tag::Keys;
use roundsman::model::time::{format_stamp, later};
use roundsman::model::view::Rules;
use roundsman::port::{Clock, Consistency, ErrorKind, Offset, PortError, WriteError};

fn node(id: &str, tags: &[(&str, &str)]) -> Node {
    Node {
        id: NodeId(id.to_owned()),
        name: Some(format!("name of {id}")),
        address: None,
        zone: Some("a".to_owned()),
        group: None,
        launched: None,
        service: Service::In,
        agent: Agent::NotAsked,
        tags: tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn step(name: &str, on: On) -> Step {
    Step {
        name: name.to_owned(),
        action: StepAction::Run("true".to_owned()),
        on,
        timeout: Duration::from_secs(3_600),
        retries: 0,
    }
}

fn job() -> Job {
    let name = Name::new("repair").expect("a name");
    Job {
        task: name.clone(),
        name,
        about: None,
        every: Duration::from_secs(7 * 86_400),
        deadline: None,
        new: NewNodes::First,
        last_tag: None,
        fleet: Selector {
            all: true,
            ..Selector::default()
        },
        limits: Limits::default(),
        ttl: None,
        env: BTreeMap::new(),
        steps: vec![step("repair", On::Node)],
        cleanup: Vec::new(),
        fence: Fence::On,
        on_stop: OnStop::Park,
    }
}

fn rules(job: Job) -> Rules {
    let keys = Keys::new("", &job.task, None).expect("keys");
    Rules {
        job,
        keys,
        lease: LeaseSettings::default(),
    }
}

/// One invocation's orders.
fn orders(max: Option<u32>, parallel: u32) -> Orders {
    Orders {
        only: None,
        max,
        parallel,
    }
}

/// Runs one invocation; tells what came of it and what was reported.
fn invoke(world: &World, rules: &Rules, orders: &Orders) -> (Round, Vec<Event>) {
    let events = RefCell::new(Vec::new());
    let report = |event: Event| events.borrow_mut().push(event);
    let engine = Engine {
        ports: world,
        rules,
        owner: "test@host",
        report: &report,
    };
    let (_bell, stop) = bell();
    let round = world.play(round(&engine, orders, stop));
    (round, events.into_inner())
}

fn once(world: &World, rules: &Rules) -> (Round, Vec<Event>) {
    invoke(world, rules, &orders(Some(1), 1))
}

/// The kinds of what was reported, as words.
fn words(events: &[Event]) -> Vec<&'static str> {
    events
        .iter()
        .filter(|event| !matches!(event.kind, EventKind::Chosen { .. }))
        .map(|event| match event.kind {
            EventKind::Chosen { .. } => "chosen",
            EventKind::Settling { .. } => "settling",
            EventKind::Claimed { .. } => "claimed",
            EventKind::ClaimLost { .. } => "claim-lost",
            EventKind::Adopted { .. } => "adopted",
            EventKind::StepStarted { .. } => "step-started",
            EventKind::StepFinished { .. } => "step-finished",
            EventKind::Renewed { .. } => "renewed",
            EventKind::LeaseLost { .. } => "lease-lost",
            EventKind::Committed { .. } => "committed",
            EventKind::Failed { .. } => "failed",
            EventKind::Released => "released",
            EventKind::Parked { .. } => "parked",
            EventKind::Warned { .. } => "warned",
            EventKind::Finished(_) => "finished",
        })
        .collect()
}

const BOTH: [Consistency; 2] = [Consistency::Eventual, Consistency::Transactional];

#[test]
fn a_run_leaves_exactly_last_and_took() {
    for consistency in BOTH {
        let world = World::new(vec![node("a", &[("role", "db")])], consistency, 1);
        let (round, events) = once(&world, &rules(job()));
        assert_eq!(round.counts.committed, 1);
        let tags = world.store.tags("a");
        assert_eq!(
            tags.keys().map(String::as_str).collect::<Vec<_>>(),
            ["last-repair", "role", "took-repair"]
        );
        assert_eq!(tags["took-repair"], "1m");
        let settled = if consistency == Consistency::Eventual {
            vec!["settling"]
        } else {
            vec![]
        };
        let expected = [
            "claimed",
            "step-started",
            "step-finished",
            "committed",
            "released",
            "finished",
        ];
        assert_eq!(words(&events), [settled, expected.to_vec()].concat());
    }
}

#[test]
fn no_call_of_a_run_is_wasted() {
    let nodes = (0..10).map(|n| node(&format!("n{n}"), &[])).collect();
    let world = World::new(nodes, Consistency::Eventual, 1);
    once(&world, &rules(job()));
    // Fleet: to choose, and to decide again. Locks: the first two of three reads. Tags: to justify the claim, to
    // justify the record, and after the delete. Writes: the claim, the step, the record.
    let expected = [
        ("delete", 1),
        ("read_fleet", 2),
        ("read_key", 2),
        ("read_tags", 3),
        ("write", 3),
    ];
    assert_eq!(world.store.calls(), expected.into());
}

#[test]
fn three_invocations_serve_three_nodes_and_a_fourth_finds_nothing_due() {
    for consistency in BOTH {
        let world = World::new(
            vec![node("a", &[]), node("b", &[]), node("c", &[])],
            consistency,
            1,
        );
        let rules = rules(job());
        for _ in 0..3 {
            assert_eq!(once(&world, &rules).0.counts.committed, 1);
        }
        let (fourth, events) = once(&world, &rules);
        assert_eq!(
            (fourth.counts.claimed, words(&events)),
            (0, vec!["finished"])
        );
        let served: Vec<String> = world
            .shell
            .sent()
            .into_iter()
            .map(|(node, ..)| node)
            .collect();
        assert_eq!(served, ["a", "b", "c"]);
    }
}

#[test]
fn a_failed_run_cleans_up_says_why_and_lets_go() {
    for consistency in BOTH {
        let mut job = job();
        job.steps.push(step("second", On::Node));
        job.cleanup.push(Cleanup {
            step: step("tidy", On::Node),
            when: When::Always,
        });
        let world = World::new(vec![node("a", &[])], consistency, 1);
        world.shell.plan(|_, order| {
            let outcome = if order.step == 2 {
                Outcome::Failed
            } else {
                Outcome::Ok
            };
            Plan::Ends(Duration::from_secs(5), outcome)
        });
        let (round, events) = once(&world, &rules(job));
        assert_eq!((round.counts.failed, round.counts.committed), (1, 0));
        assert_eq!(
            world
                .shell
                .sent()
                .iter()
                .map(|sent| sent.1)
                .collect::<Vec<_>>(),
            [1, 2, 3]
        );
        let tags = world.store.tags("a");
        assert_eq!(
            tags.keys().map(String::as_str).collect::<Vec<_>>(),
            ["fail-repair"]
        );
        let fail = Fail::parse(&tags["fail-repair"]).expect("readable");
        assert_eq!(
            (fail.count, fail.step, fail.reason.as_str()),
            (1, 2, "failed")
        );
        assert!(words(&events).ends_with(&["failed", "released", "finished"]));
    }
}

#[test]
fn a_success_removes_the_record_of_failures_and_an_unclean_one_keeps_it() {
    for consistency in BOTH {
        let mut job = job();
        job.cleanup.push(Cleanup {
            step: step("tidy", On::Node),
            when: When::Always,
        });
        let world = World::new(vec![node("a", &[])], consistency, 1);
        world.shell.plan(|_, order| {
            Plan::Ends(
                Duration::from_secs(5),
                if order.step == 2 {
                    Outcome::Failed
                } else {
                    Outcome::Ok
                },
            )
        });
        let rules = rules(job);
        let (unclean, _) = once(&world, &rules);
        assert_eq!((unclean.counts.committed, unclean.counts.failed), (1, 1));
        let tags = world.store.tags("a");
        assert!(tags.contains_key("last-repair"));
        assert!(
            tags["fail-repair"].contains("step=2 reason=cleanup"),
            "{tags:?}"
        );
        world.clock.pass(Duration::from_secs(8 * 86_400));
        world
            .shell
            .plan(|_, _| Plan::Ends(Duration::from_secs(5), Outcome::Ok));
        assert_eq!(once(&world, &rules).0.counts.committed, 1);
        assert!(!world.store.tags("a").contains_key("fail-repair"));
    }
}

#[test]
fn a_failed_node_fills_the_limit_or_steps_aside_as_count_says() {
    for (count, next) in [(Count::ALL.to_vec(), false), (vec![Count::InWork], true)] {
        let mut job = job();
        job.limits.count = count.into_iter().collect();
        let world = World::new(
            vec![node("a", &[]), node("b", &[])],
            Consistency::Transactional,
            1,
        );
        world.shell.plan(|node, _| {
            Plan::Ends(
                Duration::from_secs(5),
                if node.id.as_str() == "a" {
                    Outcome::Failed
                } else {
                    Outcome::Ok
                },
            )
        });
        let (round, _) = invoke(&world, &rules(job), &orders(None, 1));
        assert_eq!(
            (round.counts.failed, round.counts.committed),
            (1, u32::from(next))
        );
    }
}

#[test]
fn every_step_carries_its_variables_and_its_end() {
    let mut job = job();
    job.env.insert("KEYSPACE".to_owned(), "orders".to_owned());
    let world = World::new(
        vec![node("a", &[("last-repair", "2020-01-01")])],
        Consistency::Eventual,
        1,
    );
    once(&world, &rules(job));
    let order = world.shell.orders().remove(0);
    let expected = [
        ("KEYSPACE", "orders"),
        ("ROUNDSMAN_ADDRESS", ""),
        ("ROUNDSMAN_ATTEMPT", "1"),
        ("ROUNDSMAN_JOB", "repair"),
        ("ROUNDSMAN_LAST", "2020-01-01"),
        ("ROUNDSMAN_NAME", "name of a"),
        ("ROUNDSMAN_NODE", "a"),
        ("ROUNDSMAN_STEP", "1"),
        ("ROUNDSMAN_TASK", "repair"),
        ("ROUNDSMAN_ZONE", "a"),
    ];
    for (key, value) in expected {
        assert_eq!(order.env.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert_eq!(order.env["ROUNDSMAN_RUN"], order.run.to_string());
    assert_eq!(order.env["ROUNDSMAN_CLAIM"], order.claim.to_string());
    assert_eq!(order.env.len(), 12);
}

#[test]
fn a_long_step_keeps_its_lease_by_renewing() {
    for consistency in BOTH {
        let world = World::new(vec![node("a", &[])], consistency, 1);
        world
            .shell
            .plan(|_, _| Plan::Ends(Duration::from_secs(3_000), Outcome::Ok));
        let (round, events) = once(&world, &rules(job()));
        assert_eq!(round.counts.committed, 1);
        let renewals = words(&events)
            .iter()
            .filter(|word| **word == "renewed")
            .count();
        assert!(
            (6..=8).contains(&renewals),
            "{renewals} renewals in 3000 s of a lease of 1200 s"
        );
    }
}

#[test]
fn an_undelivered_step_is_tried_again_and_an_unreachable_node_is_not_a_failed_one() {
    let mut job = job();
    job.steps[0].retries = 1;
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    world.shell.plan(|_, order| match order.attempt {
        1 => Plan::Says(
            Duration::from_secs(30),
            Delivery::Undelivered("the agent is away".to_owned()),
        ),
        _ => Plan::Says(
            Duration::from_secs(1),
            Delivery::Unreachable("no route".to_owned()),
        ),
    });
    let (round, _) = once(&world, &rules(job));
    assert_eq!(round.counts.failed, 1);
    assert_eq!(world.shell.sent().len(), 2);
    assert!(world.store.tags("a")["fail-repair"].contains("reason=unreachable"));
}

#[test]
fn of_an_unknown_end_the_lease_is_kept_until_the_step_cannot_run_any_more() {
    let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
    world.shell.plan(|_, _| {
        Plan::Says(
            Duration::from_secs(10),
            Delivery::Unknown("nobody answers".to_owned()),
        )
    });
    let began = world.clock.boot();
    let (round, _) = once(&world, &rules(job()));
    assert_eq!(round.counts.failed, 1);
    let kept = world.clock.boot().since(began);
    // Not-after is the end of the lease that the step's write stored: 1200 s; its timeout 3600 s; a minute more.
    assert!(kept >= Duration::from_secs(4_860), "{kept:?}");
    assert!(world.store.tags("a")["fail-repair"].contains("reason=unknown"));
    assert!(!world.store.tags("a").contains_key("lock"));
}

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

/// Several invocations at once in one world, each starting so many milliseconds after the first.
fn together(world: &World, rules: &Rules, orders: &Orders, starts: &[u64]) -> Vec<Round> {
    let quiet = |_: Event| {};
    let engine = Engine {
        ports: world,
        rules,
        owner: "test@host",
        report: &quiet,
    };
    let began = world.clock.boot();
    world.play(async {
        let each = starts.iter().map(|start| {
            let (engine, began) = (&engine, began.plus(Duration::from_millis(*start)));
            async move {
                world.clock.sleep_until(began).await;
                let (_bell, stop) = bell();
                round(engine, orders, stop).await
            }
        });
        futures_util::future::join_all(each).await
    })
}

#[test]
fn of_eight_runners_at_once_one_serves_the_node() {
    for consistency in BOTH {
        let world = World::new(vec![node("a", &[])], consistency, 7);
        let rounds = together(&world, &rules(job()), &orders(Some(1), 1), &[0; 8]);
        assert_eq!(
            rounds
                .iter()
                .map(|round| round.counts.committed)
                .sum::<u32>(),
            1,
            "{consistency:?}"
        );
        assert!(rounds.iter().all(|round| round.error.is_none()));
        assert_eq!(world.shell.sent().len(), 1);
        assert!(!world.store.tags("a").contains_key("lock"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_starts_when_limits_hold_and_no_node_is_served_twice(
        seed: u64, limit in 1_u32..4, starts in proptest::collection::vec(0_u64..40_000, 2..6), transactional: bool,
    ) {
        let consistency = if transactional { Consistency::Transactional } else { Consistency::Eventual };
        let world = World::new((0..6).map(|n| node(&format!("n{n}"), &[])).collect(), consistency, seed);
        let mut job = job();
        job.limits.nodes = limit;
        let rules = rules(job);
        let rounds = together(&world, &rules, &orders(None, 2), &starts);
        let (nodes, steps) = world.shell.most_at_once();
        prop_assert!(nodes <= limit as usize, "{} nodes at work with a limit of {}", nodes, limit);
        prop_assert!(steps <= 1);
        let mut served: Vec<String> = world.shell.sent().into_iter().map(|(node, ..)| node).collect();
        served.sort();
        let before = served.len();
        served.dedup();
        prop_assert_eq!(served.len(), before, "a node was served twice");
        prop_assert!(rounds.iter().all(|round| round.error.is_none()));
        prop_assert!(world.store.nodes().iter().all(|node| !node.tags.contains_key("lock")));
    }

    /// `plan` writes nothing, and `run` does what it said: the same nodes in the same order.
    #[test]
    fn a_run_does_what_the_plan_said(
        lasts in proptest::collection::vec(proptest::option::of("[0-9]{9,10}|20[12][0-9]-0[1-9]-[12][0-9]|soon"), 1..7),
        holds in proptest::collection::vec(any::<bool>(), 7), limit in 1_u32..3, transactional: bool, seed: u64,
    ) {
        let consistency = if transactional { Consistency::Transactional } else { Consistency::Eventual };
        let nodes: Vec<Node> = lasts.iter().enumerate().map(|(n, last)| {
            let mut node = node(&format!("n{n}"), &[]);
            node.tags.extend(last.iter().map(|last| ("last-repair".to_owned(), last.clone())));
            node.tags.extend(holds[n].then(|| ("hold".to_owned(), "yes".to_owned())));
            node
        }).collect();
        let world = World::new(nodes.clone(), consistency, seed);
        let mut job = job();
        job.limits.nodes = limit;
        let rules = rules(job);
        let view = roundsman::model::view::View { now: now(&world).wall, nodes: nodes.clone(), evidence: BTreeMap::new() };
        let planned: Vec<String> = decide(&rules, &view, &Wish::default()).into_iter().filter(|row| row.take.is_some()).map(|row| row.node.to_string()).collect();
        prop_assert_eq!(world.store.nodes(), nodes, "a plan writes nothing");
        invoke(&world, &rules, &orders(None, 1));
        let served: Vec<String> = world.shell.sent().into_iter().map(|(node, ..)| node).collect();
        prop_assert_eq!(served, planned);
    }
}

/// Rings the bell at a moment, once or twice, while one invocation runs.
fn interrupted(
    world: &World,
    rules: &Rules,
    at: Duration,
    again: Option<Duration>,
) -> (Round, Vec<Event>) {
    let events = RefCell::new(Vec::new());
    let report = |event: Event| events.borrow_mut().push(event);
    let engine = Engine {
        ports: world,
        rules,
        owner: "test@host",
        report: &report,
    };
    let (bell, stop) = bell();
    let began = world.clock.boot();
    let orders = orders(Some(1), 1);
    let ring = async |bell: &Bell| {
        world.clock.sleep_until(began.plus(at)).await;
        bell.ring();
        if let Some(again) = again {
            world.clock.sleep_until(began.plus(at).plus(again)).await;
            bell.ring();
        }
    };
    let (round, ()) = world.play(async {
        futures_util::future::join(round(&engine, &orders, stop), ring(&bell)).await
    });
    (round, events.into_inner())
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
            let (round, _) = interrupted(&world, &rules(job), at, None);
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
    let rules = rules(job);
    let look = async {
        world
            .clock
            .sleep_until(world.clock.boot().plus(Duration::from_secs(35)))
            .await;
        world.store.tags("a").get("lock").cloned()
    };
    let events = RefCell::new(Vec::new());
    let report = |event: Event| events.borrow_mut().push(event);
    let engine = Engine {
        ports: &world,
        rules: &rules,
        owner: "test@host",
        report: &report,
    };
    let (bell, stop) = bell();
    let orders = orders(Some(1), 1);
    let ring = async {
        world
            .clock
            .sleep_until(world.clock.boot().plus(Duration::from_secs(30)))
            .await;
        bell.ring();
    };
    let (_, seen, ()) = world.play(async {
        futures_util::future::join3(round(&engine, &orders, stop), look, ring).await
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
