//! Stopping a run on purpose: the one claim that may be written over a lease that somebody holds.

use roundsman::model::rule::Rule;

use crate::must_fail::falls;
use crate::scenario::{Kind, Scenario, job, settings};
use crate::search::search;
use crate::world::Wrong;

/// The first contender holds the first node and works on; the second stops it; others are of the same job.
fn stopped(name: &str, contenders: &[(u8, u8, u8)]) -> Scenario {
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
    safe(1, stopped("a stop", &[(1, 1, 1)]).with(|s| s.horizon = 24));
    safe(
        1,
        stopped("a stop, a pause", &[(1, 1, 1)]).with(|s| {
            s.budget.pauses = 1;
            s.horizon = 14;
        }),
    );
    safe(
        1,
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
fn two_who_stop_at_once_and_a_late_write_are_safe() {
    safe(
        1,
        stopped("two stops", &[(1, 0, 1), (1, 1, 1)]).with(|s| s.horizon = 16),
    );
}

#[test]
fn a_stop_and_whoever_comes_next_are_safe_whoever_dies() {
    safe(
        1,
        stopped("a stop, a death, an adopter", &[(1, 0, 1), (0, 1, 1)]).with(|s| {
            s.budget.crashes = 1;
            s.horizon = 40;
        }),
    );
}
