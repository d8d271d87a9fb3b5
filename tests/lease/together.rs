//! Adoption, parking, the tie-break at the limit, late writes and deaths in the same search, for other G, P and S than 1
//! too. Each says what has to come about on some way: a search that ends before anybody has parked shows nothing about
//! parking.
//!
//! The tie-break meets adoption where runs are left on more nodes than the limit allows at work: they are gone on with
//! one by one. Here two nodes bear one each, which only evidence shows, or the lock too.

use roundsman::model::id::{ClaimId, RunId};
use roundsman::model::lock::{Lock, LockState};

use crate::reached::Reach::{self, Adopts, Enters, Overwrites, Parks, Stays, Withdraws};
use crate::safe::{every_setting, named};
use crate::scenario::{Scenario, ms};
use crate::search::{large, searches};
use crate::world::{Order, Stage, Tick};

type Setting = (u64, u64, u64);

searches! {
    adoption_parking_the_tie_break_and_a_late_write_together_are_safe: 131_000 => all_at_once();
    two_adopters_tie_safely_at_the_limit_for_every_g_p_and_s: 1_030_000 => tied_for_every_setting();
    a_run_is_adopted_and_parked_safely_for_other_g_p_and_s: 184_000 => parked_for_every_setting();
    limits_of_one_and_two_on_up_to_four_nodes_hold_with_adoption_and_parking: 392_000 => limits();
    three_contenders_with_adoption_are_safe: 54_000 => three();
    two_deaths_with_skew_and_late_writes_are_safe: 161_000 => two_deaths();
}

/// As many ticks as seconds.
fn ticks(seconds: u64) -> Tick {
    Tick::try_from(seconds).expect("short")
}

/// D.
fn settle((g, p, s): Setting) -> u64 {
    (g + 2 * p).max(s) + 1
}

/// Two contenders, the clock of the second ahead as far as may be.
fn two((_, _, s): Setting) -> [(u8, u8); 2] {
    [(0, 1), (u8::try_from(s).expect("small"), 1)]
}

/// An end so long ago that the margin has passed.
fn ended((_, p, s): Setting) -> i64 {
    -1 - i64::try_from(p + s).expect("small")
}

/// A run on the first node that was left by who died, or parked; its step still runs.
fn left(name: &str, setting: Setting, state: LockState, contenders: &[(u8, u8)]) -> Scenario {
    let scenario = Scenario::new(&named(name, setting), setting, contenders);
    let until = if state == LockState::Parked {
        5
    } else {
        ended(setting)
    };
    let lock = Lock {
        state,
        until: Scenario::second(until),
        ..scenario.lock()
    };
    scenario
        .with(|s| s.tags.push((0, "lock", lock.format())))
        .executed_or_runs(&lock)
}

/// Two nodes, each with a claim that came to nothing over a run that nothing accounts for, and a limit of one.
fn hidden(name: &str, setting: Setting) -> Scenario {
    Scenario::new(&named(name, setting), setting, &two(setting)).with(|s| {
        s.nodes = 2;
        s.by_lot = true;
        s.from_zero = false;
        s.victim = Some(0);
        for node in [0, 1] {
            let n = u128::from(node) * 10;
            let late = Lock {
                run: RunId::new(ms(-500), n + 1),
                claim: ClaimId::new(ms(-500), n + 2),
                state: LockState::Settling,
                step: 0,
                until: Scenario::second(ended(setting)),
                ..s.lock()
            };
            let order = Order {
                kind: 0,
                run: RunId::new(ms(-900), n + 3),
                claim: ClaimId::new(ms(-900), n + 4),
                step: 1,
                attempt: 1,
                not_after: 0,
            };
            s.tags.push((node, "lock", late.format()));
            s.sent.push((node, order, Stage::begun(false)));
        }
    })
}

fn reaching(mut scenario: Scenario, reaches: &[Reach]) -> Scenario {
    scenario.reaches = reaches.to_vec();
    scenario
}

/// The same with locks that name the runs.
fn named_runs() -> Scenario {
    hidden("tied over named runs, parked, late", (1, 1, 1)).with(|s| {
        for (node, _, value) in &mut s.tags {
            let run = RunId::new(ms(-900), u128::from(*node) * 10 + 3);
            let lock = Lock {
                run,
                state: LockState::Held,
                step: 1,
                until: Scenario::second(ended((1, 1, 1))),
                ..Lock::parse(value).expect("a lock")
            };
            *value = lock.format();
        }
        s.budget.signals = 1;
        s.budget.late = 1;
        s.horizon = 11;
    })
}

fn all_at_once() -> Vec<Scenario> {
    let at = |horizon, victim| {
        let scenario = hidden("tied, parked, late", (1, 1, 1)).with(|s| {
            s.budget.signals = 1;
            s.budget.late = 1;
            s.victim = victim;
            s.horizon = horizon;
        });
        reaching(scenario, &[Adopts, Stays, Withdraws, Parks, Overwrites])
    };
    let dies = hidden("tied, parked, late, dead", (1, 1, 1)).with(|s| {
        s.budget.signals = 1;
        s.budget.late = 1;
        s.budget.crashes = 1;
        s.horizon = 10;
    });
    if large() {
        vec![
            reaching(named_runs(), &[Adopts, Stays, Withdraws, Parks, Overwrites]),
            at(13, Some(0)),
            at(12, None),
            reaching(dies, &[Adopts, Stays, Withdraws, Parks, Overwrites]),
        ]
    } else {
        vec![at(9, Some(0))]
    }
}

/// All of them where the larger sets are wanted; else those in which one of G, P and S is 2.
fn settings() -> Vec<Setting> {
    if large() {
        return every_setting().collect();
    }
    vec![(2, 1, 1), (1, 2, 1), (1, 1, 2)]
}

/// Until who is answered as late as may be has settled, read three times, and done a thing.
fn until_held(setting: Setting) -> Tick {
    ticks(setting.0 + settle(setting) + 4)
}

fn tied_for_every_setting() -> Vec<Scenario> {
    let tied = |setting| {
        let scenario = hidden("tied", setting).with(|s| {
            s.horizon = until_held(setting);
            s.budget.late = u8::from(large());
        });
        reaching(scenario, &[Adopts, Stays, Withdraws])
    };
    every_setting().map(tied).collect()
}

fn parked_for_every_setting() -> Vec<Scenario> {
    let parked = |setting| {
        let scenario = left("parked again", setting, LockState::Parked, &two(setting)).with(|s| {
            s.victim = Some(0);
            s.budget.signals = 1;
            // With a late write too it takes much longer the longer G is.
            s.budget.late = u8::from(large() && setting.0 < 3);
            s.horizon = until_held(setting);
        });
        reaching(scenario, &[Adopts, Parks])
    };
    settings().into_iter().map(parked).collect()
}

/// One run is left; whoever comes second finds the other nodes free, and the limit not.
fn limits() -> Vec<Scenario> {
    let mut all = Vec::new();
    let most = if large() { 4 } else { 3 };
    for (limit, nodes) in [(1, 2), (1, 3), (1, 4), (2, 2), (2, 3), (2, 4)] {
        for state in [LockState::Parked, LockState::Held] {
            let name = format!("{limit} of {nodes}, {state}");
            let scenario = left(&name, (1, 1, 1), state, &two((1, 1, 1))).with(|s| {
                s.nodes = nodes;
                s.by_lot = true;
                s.limit = limit;
                s.kinds[0].rules.job.limits.nodes = u32::try_from(limit).expect("small");
                s.victim = Some(0);
                s.budget.signals = 1;
                s.horizon = if large() { 9 } else { 7 };
            });
            let reaches: &[Reach] = if limit == 2 {
                &[Adopts, Enters, Parks]
            } else {
                &[Adopts, Parks]
            };
            all.extend((nodes <= most).then_some(reaching(scenario, reaches)));
        }
    }
    all
}

fn three() -> Vec<Scenario> {
    let three = |limit: usize, nodes, horizon| {
        let name = format!("three contenders, {limit} of {nodes}");
        let contenders = [(0, 1), (1, 1), (0, 1)];
        let scenario = left(&name, (1, 1, 1), LockState::Held, &contenders).with(|s| {
            s.nodes = nodes;
            s.by_lot = true;
            s.limit = limit;
            s.kinds[0].rules.job.limits.nodes = u32::try_from(limit).expect("small");
            s.horizon = horizon;
        });
        reaching(scenario, &[Adopts])
    };
    if large() {
        vec![three(1, 2, 13), three(2, 3, 9)]
    } else {
        vec![three(1, 2, 7)]
    }
}

fn two_deaths() -> Vec<Scenario> {
    let dies = |setting, late, horizon| {
        let contenders = two(setting).map(|(ahead, n)| (ahead, n + ahead.min(1)));
        let name = "two deaths, late writes";
        let scenario = left(name, setting, LockState::Held, &contenders).with(|s| {
            s.budget.crashes = 2;
            s.budget.late = late;
            s.horizon = horizon;
        });
        reaching(scenario, &[Adopts])
    };
    if large() {
        vec![
            dies((1, 1, 1), 1, 12),
            dies((1, 1, 2), 1, 11),
            dies((1, 1, 1), 2, 8),
        ]
    } else {
        vec![dies((1, 1, 2), 1, 7)]
    }
}
