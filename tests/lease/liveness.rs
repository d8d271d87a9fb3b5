//! Somebody gets in, and nobody waits for ever: from whatever state, once nothing bad happens any more.

use roundsman::model::lock::{Lock, LockState};

use crate::calm::Pace;
use crate::model::Search;
use crate::scenario::{Kind, Scenario, job, ms};
use crate::world::{Order, Stage, State, Tick};

/// The settings of a scenario's first job in ticks: D, and L + M.
pub(crate) fn terms(scenario: &Scenario) -> (Tick, Tick) {
    let lease = scenario.kinds[0].rules.lease;
    let ticks = |span: std::time::Duration| {
        Tick::try_from(span.as_nanos() / scenario.tick.as_nanos()).expect("small")
    };
    (ticks(lease.settle()), ticks(lease.ttl + lease.margin))
}

/// How long a node takes that may be claimed: the write, the settle time and three reads; the step; the release, which
/// reads until G + P after its first delete.
pub(crate) fn service(scenario: &Scenario) -> Tick {
    let (settle, _) = terms(scenario);
    let world = scenario.world;
    settle + 4 + scenario.work + world.answers + world.stale + 4
}

/// The longest that a claim may wait: written within G, four times D, and the reads around its end.
pub(crate) fn patience(scenario: &Scenario) -> Tick {
    let (settle, _) = terms(scenario);
    scenario.world.answers + 4 * settle + 4
}

/// When everything is served at the latest: what stands there has ended and been left alone, perhaps by a clock that is
/// ahead; every node's turn comes, perhaps after a claim that was withdrawn.
pub(crate) fn bound(scenario: &Scenario) -> Tick {
    let (_, left_alone) = terms(scenario);
    let nodes = Tick::from(scenario.nodes);
    // A step of which nobody knows how it ended is waited for until its lease, its timeout and a minute have passed.
    let unknown = left_alone + 1 + 60;
    let unknown = Tick::from(scenario.budget.unknown) * unknown;
    // A stop keeps its lease until what its victim began has landed.
    let stops = Tick::from(scenario.somebody_stops());
    stops * (scenario.world.life + 2 * (scenario.world.answers + scenario.world.stale))
        + unknown
        + left_alone
        + 2 * Tick::from(scenario.world.ahead)
        + (nodes + 1) * 2 * service(scenario)
}

/// How many calms there were, and the longest that it took until all was served; panics where that is too long.
fn all_are_served<'s>(search: &Search, states: impl Iterator<Item = &'s State>) -> (usize, Tick) {
    let (bound, patience) = (bound(&search.scenario), patience(&search.scenario));
    let (mut count, mut longest) = (0, 0);
    for state in states {
        for pace in Pace::ALL {
            let calm = search.calm(state, pace, bound);
            match &calm.served {
                Ok(took) => longest = longest.max(*took),
                Err(why) => panic!("{pace:?}: {why}\n{}", calm.trace(search)),
            }
            let waits = calm.longest_wait;
            assert!(
                waits <= patience,
                "a claim waits for {waits}\n{}",
                calm.trace(search)
            );
            count += 1;
        }
    }
    (count, longest)
}

/// Ways through a scenario, and calm from every seventh state of each; somebody has to wait until what stands there has
/// ended, or it would show little.
pub(crate) fn walked(scenario: Scenario, ways: u64) {
    let (_, left_alone) = terms(&scenario);
    let search = Search::new(scenario);
    let mut states = Vec::new();
    for seed in 1..=ways {
        let way = search.walk(seed);
        states.extend(way.iter().rev().step_by(7).cloned());
    }
    let (count, longest) = all_are_served(&search, states.iter());
    let name = &search.scenario.name;
    assert!(
        count > 800 && longest > left_alone,
        "{name}: {count} calms, at most {longest} ticks"
    );
}

#[test]
fn whatever_state_two_contenders_are_in_one_gets_in() {
    let scenario = Scenario::new("all states", (1, 1, 1), &[(0, 1), (1, 1)]);
    let every = 40;
    let search = Search::new(scenario);
    let states = search.reach(60_000);
    let horizon = search.scenario.horizon;
    let some = states
        .iter()
        .enumerate()
        .filter(|(n, state)| n % every == 0 || state.at == horizon && n % (every / 4) == 0);
    let (count, longest) = all_are_served(&search, some.map(|(_, state)| state));
    assert!(
        states.len() > 30_000 && count > 2_000,
        "{count} calms from {} states",
        states.len()
    );
    // Nobody has died, so nobody waits for the end of a lease, and for a node that is claimed only then.
    let (settle, left_alone) = terms(&search.scenario);
    assert!(longest < left_alone + settle, "{longest}");
}

#[test]
fn after_crashes_and_late_writes_everything_is_served() {
    let contenders = [(0, 2), (1, 2)];
    walked(
        Scenario::new("crashes and late writes", (1, 1, 1), &contenders).with(|s| {
            s.budget.crashes = 1;
            s.budget.late = 2;
            s.horizon = 40;
        }),
        60,
    );
}

#[test]
fn after_parking_and_failures_everything_is_served() {
    let contenders = [(0, 2), (1, 2)];
    walked(
        Scenario::new("parking", (1, 1, 1), &contenders).with(|s| {
            s.budget.signals = 2;
            s.budget.late = 1;
            s.fails = true;
            s.horizon = 40;
            s.work = 3;
        }),
        60,
    );
}

#[test]
fn three_contenders_do_not_keep_each_other_out() {
    walked(
        Scenario::new("three", (1, 1, 1), &[(0, 2), (1, 2), (0, 2)]).with(|s| {
            s.budget.crashes = 1;
            s.budget.pauses = 0;
            s.horizon = 30;
        }),
        60,
    );
}

/// A lock of the first job that ended long ago.
fn left(scenario: &Scenario, ago: i64, state: LockState) -> Lock {
    Lock {
        run: roundsman::model::id::RunId::new(ms(-ago - 20), 1),
        claim: roundsman::model::id::ClaimId::new(ms(-ago - 20), 2),
        state,
        until: Scenario::second(-ago),
        ..scenario.lock()
    }
}

#[test]
fn what_was_left_is_adopted_whatever_happens_to_its_adopters() {
    for runs in [false, true] {
        let scenario = Scenario::new("adoption", (1, 1, 1), &[(0, 2), (1, 2)]).with(|s| {
            s.budget.crashes = 1;
            s.budget.late = 1;
            s.horizon = 40;
            s.work = 3;
            let lock = left(s, 100, LockState::Held);
            let order = Order {
                kind: 0,
                run: lock.run,
                claim: lock.claim,
                step: 1,
                attempt: 1,
                not_after: 0,
            };
            s.tags.push((0, "lock", lock.format()));
            s.sent.push((0, order, Stage::begun(runs)));
        });
        walked(scenario, 40);
    }
}

/// Two jobs, each due on one node only, and a limit of one.
pub(crate) fn two_jobs(name: &str) -> Scenario {
    Scenario::new(name, (1, 1, 1), &[(0, 2), (0, 2)]).with(|s| {
        s.kinds.push(Kind::new(job("b", 1), s.kinds[0].rules.lease));
        s.contenders[1].0 = 1;
        s.nodes = 2;
        s.keys = ["lock", "hold", "last-a", "fail-a", "last-b", "fail-b"]
            .map(str::to_owned)
            .into();
        let served = roundsman::model::time::format_stamp(Scenario::second(-60));
        s.tags.push((1, "last-a", served.clone()));
        s.tags.push((0, "last-b", served));
    })
}

#[test]
fn of_two_jobs_that_cross_at_the_limit_both_get_in() {
    let scenario = two_jobs("tie").with(|s| {
        s.budget.crashes = 1;
        s.horizon = 30;
    });
    walked(scenario, 40);
}

#[test]
fn a_step_that_nobody_knows_the_end_of_keeps_nobody_out_for_ever() {
    let scenario = Scenario::new("unknown", (1, 1, 1), &[(0, 2), (1, 2)]).with(|s| {
        s.budget.unknown = 1;
        s.budget.slow_sends = 1;
        s.horizon = 40;
    });
    walked(scenario, 25);
}
