//! Stopping a run on purpose: the one claim that may be written over a lease that somebody holds.

use roundsman::model::lock::Lock;
use roundsman::model::rule::Rule;

use crate::liveness::walked;
use crate::must_fail::falls;
use crate::scenario::{Kind, Scenario, job, settings};
use crate::search::search;
use crate::world::Wrong;

/// The first contender holds the first node and works on; the second stops it; others are of the same job.
pub(crate) fn stopped(name: &str, contenders: &[(u8, u8, u8)]) -> Scenario {
    Scenario::new(name, (1, 1, 1), &[(0, 0)])
        .with(|s| {
            s.kinds.push(Kind {
                stops: true,
                ..Kind::new(job("a", 1), settings(1, 1, 1))
            });
            s.contenders = [&[(0, 0, 0)], contenders].concat();
            s.belief = false;
        })
        .held(24)
        .with(|s| s.victim = None)
}

/// Searches it to the end, or to what is wrong.
fn safe(least: usize, scenario: Scenario) {
    let found = search(scenario);
    if let Some((wrong, way)) = found.wrong {
        panic!("{wrong:?}\n{way}");
    }
    assert!(found.states >= least, "{} states only", found.states);
}

#[test]
fn a_living_holder_is_stopped_safely() {
    safe(
        3_000,
        stopped("a stop", &[(1, 1, 1)]).with(|s| s.horizon = 24),
    );
    safe(
        15_000,
        stopped("a stop, a pause", &[(1, 1, 1)]).with(|s| {
            s.budget.pauses = 1;
            s.horizon = 14;
        }),
    );
    safe(
        90_000,
        stopped("a stop, a late write", &[(1, 1, 1)]).with(|s| {
            s.budget.late = 1;
            s.horizon = 20;
        }),
    );
}

/// A renewal that the holder has begun lands when it lands.
fn renewed(name: &str, contenders: &[(u8, u8, u8)]) -> Scenario {
    stopped(name, contenders).with(|s| s.renewed = true)
}

#[test]
fn a_holder_that_trusts_its_late_renewal_acts_beside_the_stopper() {
    let scenario = renewed("late renewal over a stop", &[(1, 1, 1)]).with(|s| s.horizon = 13);
    falls(&scenario, &[Rule::DoubtWaits], &[Wrong::Displaced]);
}

#[test]
fn after_a_stop_that_lets_go_too_soon_the_holder_removes_somebody_elses_lock() {
    let scenario = renewed("late renewal after a stop", &[(1, 0, 1), (0, 0, 1)]).with(|s| {
        // Reads and answers that are as good as can be: what is wrong here needs neither.
        s.world.answers = 0;
        s.world.stale = 0;
        s.budget.pauses = 1;
        s.victim = Some(0);
        s.horizon = 20;
    });
    falls(&scenario, &[Rule::StopOutlasts], &[Wrong::Orphaned]);
}

#[test]
fn two_who_stop_at_once_are_safe() {
    safe(
        70_000,
        stopped("two stops", &[(1, 0, 1), (1, 1, 1)]).with(|s| s.horizon = 16),
    );
}

#[test]
fn a_stop_and_whoever_comes_next_are_safe_whoever_dies() {
    safe(
        350_000,
        stopped("a stop, a death, an adopter", &[(1, 0, 1), (0, 1, 1)]).with(|s| {
            s.budget.crashes = 1;
            s.horizon = 40;
        }),
    );
}

#[test]
fn a_stop_over_a_renewal_that_lands_late_and_a_death_are_safe() {
    safe(
        30_000,
        renewed("a stop, a late renewal, a death", &[(1, 1, 2)]).with(|s| {
            s.budget.crashes = 1;
            s.horizon = 14;
        }),
    );
}

#[test]
fn a_stop_and_a_holder_that_parks_are_safe() {
    safe(
        500_000,
        stopped("a stop, parking, an adopter", &[(1, 0, 1), (0, 1, 1)]).with(|s| {
            s.budget.signals = 1;
            s.victim = Some(0);
            s.horizon = 16;
        }),
    );
    safe(
        200_000,
        renewed("a stop, parking, a late renewal", &[(1, 1, 1)]).with(|s| {
            s.budget.signals = 1;
            s.victim = Some(0);
            s.horizon = 14;
        }),
    );
}

#[test]
fn a_stop_that_is_taken_back_is_safe() {
    safe(
        470_000,
        stopped("a stop, taken back, an adopter", &[(1, 1, 1), (0, 0, 1)]).with(|s| {
            s.budget.signals = 1;
            s.victim = Some(1);
            s.world.stale = 0;
            s.horizon = 36;
        }),
    );
}

/// The lock of a dead runner, which others come to adopt and to stop at once.
#[test]
fn a_stop_over_somebody_who_adopts_is_safe() {
    let scenario = stopped("a stop, an adopter settles", &[]).with(|s| {
        s.holder = false;
        s.ends = true;
        s.contenders = vec![(1, 0, 1), (0, 1, 1)];
        s.horizon = 14;
    });
    let lock = Lock {
        until: Scenario::second(-3),
        ..scenario.lock()
    };
    let tag = (0, "lock", lock.format());
    safe(
        100_000,
        scenario.executed_or_runs(&lock).with(|s| {
            s.tags.push(tag);
        }),
    );
}

#[test]
fn wherever_somebody_dies_around_a_stop_everything_is_served_in_the_end() {
    let scenario = stopped("a stop, deaths, late writes", &[(1, 1, 2), (0, 0, 2)]).with(|s| {
        s.ends = true;
        s.work = 20;
        s.budget.crashes = 1;
        s.budget.late = 1;
        s.horizon = 60;
    });
    walked(scenario, 40);
}
