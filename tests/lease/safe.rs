//! Under its assumptions the protocol is safe: crossing claims and take-overs for every G, P and S from 1 to 3; with all
//! of them 1, two and three contenders, limits of one and two on up to four nodes (claims alone), and adoption, parking,
//! late writes, deaths, stepping clocks and skew, two or three of these at a time, on one node and on two.

use roundsman::model::lock::{Lock, LockState};
use roundsman::model::rule::Rule;

use crate::scenario::{Kind, Scenario, job, settings};
use crate::search::search;

/// Searches all of these; they are no fewer than this, or something was left out by mistake.
fn all_safe(least: usize, scenarios: impl IntoIterator<Item = Scenario>) {
    let mut states = 0;
    for scenario in scenarios {
        let found = search(scenario);
        if let Some((wrong, way)) = found.wrong {
            panic!("{wrong:?}\n{way}");
        }
        states += found.states;
    }
    assert!(states >= least, "{states} states only");
}

/// Every G, P and S from 1 to 3.
fn every_setting() -> impl Iterator<Item = (u64, u64, u64)> {
    (0..27).map(|n| (1 + n / 9, 1 + n / 3 % 3, 1 + n % 3))
}

fn named(what: &str, (g, p, s): (u64, u64, u64)) -> String {
    format!("{what}, G {g}, P {p}, S {s}")
}

#[test]
fn two_claims_cross_safely_at_d_and_not_one_below_for_every_g_p_and_s() {
    let crossed = |setting: (u64, u64, u64)| {
        let ahead = u8::try_from(setting.2).expect("small");
        Scenario::new(
            &named("crossed claims", setting),
            setting,
            &[(0, 1), (ahead, 1)],
        )
        .with(|s| s.claims_only = true)
        .without(&[Rule::ThreeReads])
    };
    all_safe(1, every_setting().map(crossed));
    for setting in every_setting() {
        let found = search(crossed(setting).without(&[Rule::Settle]));
        assert!(
            found.wrong.is_some(),
            "D = G + 2P is not violated: {setting:?}"
        );
    }
}

#[test]
fn a_take_over_is_safe_at_m_and_not_one_below_for_every_g_p_and_s() {
    let last = |setting: (u64, u64, u64)| {
        let (g, p, s) = setting;
        let ahead = u8::try_from(s).expect("small");
        Scenario::new(
            &named("last renewal", setting),
            setting,
            &[(0, 0), (ahead, 1)],
        )
        .with(|s| s.budget.pauses = 1)
        .held(3 * (g + (g + 2 * p).max(s) + s + 8))
    };
    all_safe(27, every_setting().map(last));
    for setting in every_setting() {
        let found = search(last(setting).without(&[Rule::Margin]));
        assert!(
            found.wrong.is_some(),
            "M = S + P - 1 is not violated: {setting:?}"
        );
    }
}

#[test]
fn a_run_left_on_one_of_two_nodes_is_adopted_safely_beside_a_claim_for_the_other() {
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
    all_safe(202_000, [left]);
}

#[test]
fn three_claims_for_one_node_are_safe() {
    all_safe(
        400_000,
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
        ],
    );
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

#[test]
fn limits_of_one_and_two_hold_on_up_to_four_nodes() {
    all_safe(
        180_000,
        [
            limited("1 of 2", 2, 1, &[(0, 1), (1, 1)]),
            limited("1 of 3, three contenders", 3, 1, &[(0, 1), (1, 1), (0, 1)]),
            limited("2 of 3, three contenders", 3, 2, &[(0, 1), (1, 1), (0, 1)]),
            limited("2 of 4, three contenders", 4, 2, &[(0, 1), (1, 1), (0, 1)]),
        ],
    );
}

/// The lock of a dead runner whose step still runs, or of one that parked.
fn left(name: &str, state: LockState, contenders: &[(u8, u8)]) -> Scenario {
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

#[test]
fn adoption_parking_late_writes_and_deaths_together_are_safe() {
    all_safe(
        500_000,
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
        ],
    );
}

#[test]
fn three_claims_with_a_death_and_a_late_write_are_safe() {
    let contenders = [(0, 1), (1, 1), (0, 1)];
    all_safe(
        60_000,
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
        })],
    );
}

#[test]
fn a_limit_of_two_holds_on_four_nodes_when_somebody_dies() {
    let contenders = [(0, 1), (1, 1), (0, 1)];
    all_safe(
        120_000,
        [limited("2 of 4, a death", 4, 2, &contenders).with(|s| {
            s.budget.crashes = 1;
            s.victim = Some(0);
            s.horizon = 11;
        })],
    );
}

#[test]
fn parking_adoption_and_a_late_write_together_are_safe() {
    all_safe(
        190_000,
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
        })],
    );
}

#[test]
fn two_deaths_skew_and_a_late_write_together_are_safe() {
    all_safe(
        300_000,
        [left(
            "a suspect run, two deaths, a late write",
            LockState::Held,
            &[(0, 1), (1, 2)],
        )
        .with(|s| {
            s.budget.crashes = 2;
            s.budget.late = 1;
            s.horizon = 8;
        })],
    );
}

#[test]
fn clocks_that_step_within_s_are_safe() {
    all_safe(
        400_000,
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
        })],
    );
}

#[test]
fn two_jobs_on_one_node_are_safe() {
    all_safe(
        70_000,
        [
            Scenario::new("two jobs", (1, 1, 1), &[(0, 1), (1, 1)]).with(|s| {
                s.kinds.push(Kind::new(job("b", 1), settings(1, 1, 1)));
                s.keys.extend(["last-b", "fail-b"].map(str::to_owned));
                s.contenders = vec![(0, 0, 1), (1, 1, 1)];

                s.budget.crashes = 1;
                s.victim = Some(0);
                s.horizon = 14;
            }),
        ],
    );
}

/// One machine, so one clock; who claims later has the higher id there, which these ids do not show within a tick.
#[test]
fn a_store_with_transactions_keeps_limits_whatever_dies() {
    all_safe(
        200,
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
        ],
    );
}
