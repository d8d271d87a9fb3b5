//! The engine over a world in memory: whole runs in virtual time.

#[path = "engine/adoption.rs"]
mod adoption;
#[path = "engine/contention.rs"]
mod contention;
#[path = "engine/deaths.rs"]
mod deaths;
#[path = "engine/parking.rs"]
mod parking;
#[path = "engine/reboots.rs"]
mod reboots;
#[path = "engine/signals.rs"]
mod signals;
#[path = "engine/stopping.rs"]
mod stopping;
#[path = "engine/trouble.rs"]
mod trouble;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use roundsman::engine::round::{Orders, Round, round};
use roundsman::engine::stop::{Bell, Urgency, bell};
use roundsman::engine::{Engine, now};
use roundsman::event::{Event, EventKind, ParkedFor};
use roundsman::io::memory::{Plan, World};
use roundsman::model::decide::{Wish, decide};
use roundsman::model::id::{Name, NodeId};
use roundsman::model::job::{Cleanup, Count, Fence, Job, On, OnStop, Step, StepAction, When};
use roundsman::model::lock::{Lock, LockState};
use roundsman::model::node::{Agent, Node, Service};
use roundsman::model::outcome::{Delivery, Outcome};
use roundsman::model::record::Fail;
use roundsman::model::rule::Without;
use roundsman::model::settings::LeaseSettings;
use roundsman::model::span::parse_span;
use roundsman::model::tag::Keys;
use roundsman::model::time::{elapsed, format_stamp, later};
use roundsman::model::view::Rules;
use roundsman::port::{Clock, Consistency, Deed, ErrorKind, Offset, PortError, WriteError};

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
        steps: vec![step("repair", On::Node)],
        ..Job::bare(name.clone(), name, Duration::from_secs(7 * 86_400))
    }
}

/// The same job, whose steps end with a signal.
fn cancelling(job: Job) -> Job {
    Job {
        on_stop: OnStop::Cancel,
        ..job
    }
}

fn rules(job: Job) -> Rules {
    let keys = Keys::new("", &job.task, None).expect("keys");
    Rules {
        job,
        keys,
        lease: LeaseSettings::default(),
        without: Without::NOTHING,
    }
}

/// One invocation's orders.
fn orders(max: Option<u32>, parallel: u32) -> Orders {
    Orders {
        only: None,
        max,
        parallel,
        wait: None,
        accept_changed: false,
    }
}

/// Runs one invocation; tells what came of it and what was reported.
fn invoke(world: &World, rules: &Rules, orders: &Orders) -> (Round, Vec<Event>) {
    let (round, events, ()) = beside(world, rules, orders, async |_| {});
    (round, events)
}

/// Runs one invocation while something else goes on; tells what came of both, and what was reported.
fn beside<T>(
    world: &World,
    rules: &Rules,
    orders: &Orders,
    other: impl AsyncFnOnce(&Bell) -> T,
) -> (Round, Vec<Event>, T) {
    let events = RefCell::new(Vec::new());
    let report = |event: Event| events.borrow_mut().push(event);
    let engine = Engine {
        ports: world,
        rules,
        owner: "test@host",
        report: &report,
    };
    let (bell, stop) = bell();
    let both = futures_util::future::join(round(&engine, orders, stop), other(&bell));
    let (round, other) = world.play(both);
    (round, events.into_inner(), other)
}

/// Waits so long from now on.
async fn after(world: &World, span: Duration) {
    let at = world.clock.boot().plus(span);
    world.clock.sleep_until(at).await;
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
            EventKind::Stopping { .. } => "stopping",
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
