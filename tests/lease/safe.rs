//! Under its assumptions the protocol is safe: crossing claims and take-overs for every G, P and S from 1 to 3; with all
//! of them 1, two and three contenders, limits of one and two on up to four nodes (claims alone), and adoption, parking,
//! late writes, deaths, stepping clocks and skew, two or three of these at a time, on one node and on two. What goes
//! further stands in `together` and `disturbed`.

use roundsman::model::lock::{Lock, LockState};
use roundsman::model::rule::Rule;

use crate::scenario::{Kind, Scenario, job, settings};
use crate::search::{search, searches};
use crate::world::Wrong;

/// Every G, P and S from 1 to 3.
pub(crate) fn every_setting() -> impl Iterator<Item = (u64, u64, u64)> {
    (0..27).map(|n| (1 + n / 9, 1 + n / 3 % 3, 1 + n % 3))
}

pub(crate) fn named(what: &str, (g, p, s): (u64, u64, u64)) -> String {
    format!("{what}, G {g}, P {p}, S {s}")
}

searches! {
    two_claims_cross_safely_at_d_for_every_g_p_and_s: 54_000 => every_setting().map(crossed);
    a_take_over_is_safe_at_m_for_every_g_p_and_s: 180_000 => every_setting().map(last_renewal);
    a_run_left_on_one_of_two_nodes_is_adopted_safely_beside_a_claim_for_the_other: 202_000 => one_of_two_is_left();
    three_claims_for_one_node_are_safe: 422_000 => three_claims();
    limits_of_one_and_two_hold_on_up_to_four_nodes: 187_000 => up_to_four_nodes();
    adoption_parking_late_writes_and_deaths_together_are_safe: 600_000 => two_adopters();
    three_claims_with_a_death_and_a_late_write_are_safe: 67_000 => three_claims_and_a_death();
    a_limit_of_two_holds_on_four_nodes_when_somebody_dies: 121_000 => two_of_four_and_a_death();
    parking_adoption_and_a_late_write_together_are_safe: 190_000 => parked_again();
    two_deaths_skew_and_a_late_write_together_are_safe: 305_000 => two_deaths();
    clocks_that_step_within_s_are_safe: 405_000 => stepping_clocks();
    two_jobs_on_one_node_are_safe: 70_000 => two_on_one_node();
    a_store_with_transactions_keeps_limits_whatever_dies: 200 => transactions();
}

fn crossed(setting: (u64, u64, u64)) -> Scenario {
    let ahead = u8::try_from(setting.2).expect("small");
    let contenders = [(0, 1), (ahead, 1)];
    Scenario::new(&named("crossed claims", setting), setting, &contenders)
        .with(|s| s.claims_only = true)
        .without(&[Rule::ThreeReads])
}

fn last_renewal(setting: (u64, u64, u64)) -> Scenario {
    let (g, p, s) = setting;
    let ahead = u8::try_from(s).expect("small");
    let contenders = [(0, 0), (ahead, 1)];
    Scenario::new(&named("last renewal", setting), setting, &contenders)
        .with(|s| s.budget.pauses = 1)
        .held(3 * (g + (g + 2 * p).max(s) + s + 8))
}

#[test]
fn a_second_below_d_two_claims_cross_for_every_g_p_and_s() {
    for setting in every_setting() {
        let found = search(crossed(setting).without(&[Rule::Settle]));
        assert!(
            matches!(found.wrong, Some((Wrong::TwoHolders, _))),
            "D = G + 2P is not violated: {setting:?}"
        );
    }
}

#[test]
fn a_second_below_m_a_take_over_is_too_soon_for_every_g_p_and_s() {
    for setting in every_setting() {
        let found = search(last_renewal(setting).without(&[Rule::Margin]));
        assert!(
            matches!(found.wrong, Some((Wrong::TwoHolders, _))),
            "M = S + P - 1 is not violated: {setting:?}"
        );
    }
}

fn one_of_two_is_left() -> impl IntoIterator<Item = Scenario> {
    let scenario = Scenario::new("one of two is left", (1, 1, 1), &[(0, 1), (1, 1)]);
    let lock = Lock {
        until: Scenario::second(-3),
        ..scenario.lock()
    };
    let left = scenario.executed_or_runs(&lock).with(|s| {
        s.tags.push((0, "lock", lock.format()));
        s.nodes = 2;
        s.by_lot = true;
        s.victim = Some(0);
        s.budget.signals = 1;
        s.budget.late = 1;
        s.horizon = 9;
    });
    [left]
}

fn three_claims() -> impl IntoIterator<Item = Scenario> {
    [
        Scenario::new("three claims", (1, 1, 1), &[(0, 1), (1, 1), (0, 1)]),
        Scenario::new(
            "three claims, one late",
            (1, 1, 1),
            &[(0, 1), (1, 1), (0, 1)],
        )
        .with(|s| {
            s.claims_only = true;
            s.budget.late = 1;
        }),
    ]
}

/// So many of so many nodes.
fn limited(name: &str, nodes: u8, limit: u32, contenders: &[(u8, u8)]) -> Scenario {
    Scenario::new(name, (1, 1, 1), contenders).with(|s| {
        s.claims_only = true;
        s.by_lot = true;
        s.nodes = nodes;
        s.limit = usize::try_from(limit).expect("small");
        s.kinds[0].rules.job.limits.nodes = limit;
        s.horizon = 13;
    })
}

fn up_to_four_nodes() -> impl IntoIterator<Item = Scenario> {
    [
        limited("1 of 2", 2, 1, &[(0, 1), (1, 1)]),
        limited("1 of 3, three contenders", 3, 1, &[(0, 1), (1, 1), (0, 1)]),
        limited("2 of 3, three contenders", 3, 2, &[(0, 1), (1, 1), (0, 1)]),
        limited("2 of 4, three contenders", 4, 2, &[(0, 1), (1, 1), (0, 1)]),
    ]
}

/// The lock of a dead runner whose step still runs, or of one that parked.
pub(crate) fn left(name: &str, state: LockState, contenders: &[(u8, u8)]) -> Scenario {
    let scenario = Scenario::new(name, (1, 1, 1), contenders);
    let lock = Lock {
        state,
        until: Scenario::second(if state == LockState::Parked { 5 } else { -3 }),
        ..scenario.lock()
    };
    scenario
        .with(|s| {
            s.tags.push((0, "lock", lock.format()));
            s.horizon = 14;
        })
        .executed_or_runs(&lock)
}

fn two_adopters() -> impl IntoIterator<Item = Scenario> {
    [
        left(
            "a suspect run, two adopters",
            LockState::Held,
            &[(0, 1), (1, 1)],
        ),
        left(
            "a parked run, two adopters",
            LockState::Parked,
            &[(0, 1), (1, 1)],
        ),
        left(
            "a suspect run, one of two adopters dies",
            LockState::Held,
            &[(0, 1), (1, 2)],
        )
        .with(|s| {
            s.budget.crashes = 1;
            s.horizon = 24;
        }),
        left(
            "a suspect run, a late write",
            LockState::Held,
            &[(0, 1), (1, 1)],
        )
        .with(|s| {
            s.budget.late = 1;
            s.horizon = 9;
        }),
    ]
}

fn three_claims_and_a_death() -> impl IntoIterator<Item = Scenario> {
    let contenders = [(0, 1), (1, 1), (0, 1)];
    [Scenario::new(
        "three claims, a death, a late write",
        (1, 1, 1),
        &contenders,
    )
    .with(|s| {
        s.claims_only = true;
        s.budget.late = 1;
        s.budget.crashes = 1;
        s.victim = Some(0);
        s.horizon = 10;
    })]
}

fn two_of_four_and_a_death() -> impl IntoIterator<Item = Scenario> {
    let contenders = [(0, 1), (1, 1), (0, 1)];
    [limited("2 of 4, a death", 4, 2, &contenders).with(|s| {
        s.budget.crashes = 1;
        s.victim = Some(0);
        s.horizon = 11;
    })]
}

fn parked_again() -> impl IntoIterator<Item = Scenario> {
    [left(
        "a parked run, parked again, a late write",
        LockState::Parked,
        &[(0, 1), (1, 1)],
    )
    .with(|s| {
        s.budget.signals = 1;
        s.budget.late = 1;
        s.victim = Some(0);
        s.horizon = 9;
    })]
}

fn two_deaths() -> impl IntoIterator<Item = Scenario> {
    [left(
        "a suspect run, two deaths, a late write",
        LockState::Held,
        &[(0, 1), (1, 2)],
    )
    .with(|s| {
        s.budget.crashes = 2;
        s.budget.late = 1;
        s.horizon = 8;
    })]
}

fn stepping_clocks() -> impl IntoIterator<Item = Scenario> {
    [left(
        "a suspect run, a clock steps",
        LockState::Held,
        &[(0, 1), (0, 1)],
    )
    .with(|s| {
        s.budget.steps = 1;
        s.budget.late = 1;
        s.victim = Some(0);
        s.horizon = 9;
    })]
}

fn two_on_one_node() -> impl IntoIterator<Item = Scenario> {
    [
        Scenario::new("two jobs", (1, 1, 1), &[(0, 1), (1, 1)]).with(|s| {
            s.kinds.push(Kind::new(job("b", 1), settings(1, 1, 1)));
            s.keys.extend(["last-b", "fail-b"].map(str::to_owned));
            s.contenders = vec![(0, 0, 1), (1, 1, 1)];

            s.budget.crashes = 1;
            s.victim = Some(0);
            s.horizon = 14;
        }),
    ]
}

/// One machine, so one clock; who claims later has the higher id there, which these ids do not show within a tick.
fn transactions() -> impl IntoIterator<Item = Scenario> {
    [
        Scenario::new("transactions", (1, 1, 1), &[(0, 1), (0, 1), (0, 1)]).with(|s| {
            s.nodes = 2;
            s.by_lot = true;
            s.kinds[0].transactional = true;
            s.world.stale = 0;
            s.claims_only = true;
            s.budget.crashes = 1;
            s.horizon = 16;
        }),
    ]
}
