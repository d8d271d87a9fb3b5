//! Under its assumptions the protocol is safe: for every small G, P and S, with two and three contenders, limits of one
//! and two on up to four nodes, and adoption, parking, late writes, crashes, pauses and skew together.

use roundsman::model::lock::{Lock, LockState};
use roundsman::model::rule::Rule;

use crate::scenario::Scenario;
use crate::search::{search, tell};

/// Searches all of these; tells how many states there were in all.
fn all_safe(scenarios: impl IntoIterator<Item = Scenario>) -> usize {
    let mut states = 0;
    for scenario in scenarios {
        let found = search(scenario.clone());
        tell(&format!(
            "{:>9} states, {} of a contender: {}",
            found.states, found.local, scenario.name
        ));
        if let Some((wrong, way)) = found.wrong {
            panic!("{wrong:?}\n{way}");
        }
        states += found.states;
    }
    tell(&format!("{states:>9} states in all"));
    states
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
    all_safe(every_setting().map(crossed));
    for setting in every_setting() {
        let found = search(crossed(setting).without(&[Rule::Settle]));
        assert!(
            found.wrong.is_some(),
            "D = G + 2P is not violated: {setting:?}"
        );
    }
}

#[test]
fn a_take_over_is_safe_at_m_and_not_one_below_for_every_p_and_s() {
    let last = |(p, s): (u64, u64)| {
        let setting = (1, p, s);
        let ahead = u8::try_from(s).expect("small");
        Scenario::new(
            &named("last renewal", setting),
            setting,
            &[(0, 0), (ahead, 1)],
        )
        .with(|s| s.budget.pauses = 1)
        .held(3 * (1 + 2 * p.max(s) + s + 8))
    };
    let every = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 1), (3, 3)];
    all_safe(every.map(last));
    for setting in every {
        let found = search(last(setting).without(&[Rule::Margin]));
        assert!(
            found.wrong.is_some(),
            "M = S + P - 1 is not violated: {setting:?}"
        );
    }
}

#[test]
fn three_claims_for_one_node_are_safe() {
    all_safe([
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
    ]);
}

#[test]
fn limits_of_one_and_two_hold_on_up_to_four_nodes() {
    let limited = |name: &str, nodes, limit, contenders: &[(u8, u8)]| {
        Scenario::new(name, (1, 1, 1), contenders).with(|s| {
            s.claims_only = true;
            s.by_lot = true;
            s.nodes = nodes;
            s.limit = usize::try_from(limit).expect("small");
            s.kinds[0].rules.job.limits.nodes = limit;
            s.horizon = 13;
        })
    };
    all_safe([
        limited("1 of 2", 2, 1, &[(0, 1), (1, 1)]),
        limited("1 of 3, three contenders", 3, 1, &[(0, 1), (1, 1), (0, 1)]),
        limited("2 of 3, three contenders", 3, 2, &[(0, 1), (1, 1), (0, 1)]),
        limited("2 of 4, three contenders", 4, 2, &[(0, 1), (1, 1), (0, 1)]),
    ]);
}

#[test]
fn adoption_parking_late_writes_and_deaths_together_are_safe() {
    let left = |name: &str, state: LockState, contenders: &[(u8, u8)]| {
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
    };
    all_safe([
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
        .with(|s| s.budget.late = 1),
    ]);
}
