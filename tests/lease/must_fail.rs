//! Every rule is needed: without it a schedule is found in which something goes wrong, with it none.

use roundsman::model::rule::Rule;

use crate::scenario::Scenario;
use crate::search::{search, tell};
use crate::world::Wrong;

/// With its rules a scenario is safe; without some of them one of these goes wrong, and how is printed.
pub(crate) fn falls(scenario: &Scenario, out: &[Rule], expected: &[Wrong]) {
    let safe = search(scenario.clone());
    if let Some((wrong, way)) = safe.wrong {
        panic!("with its rules: {wrong:?}\n{way}");
    }
    if !out.is_empty() {
        fails(&scenario.clone().without(out), expected);
    }
}

/// In this scenario one of these goes wrong, and how is printed.
pub(crate) fn fails(scenario: &Scenario, expected: &[Wrong]) {
    let found = search(scenario.clone());
    let Some((wrong, way)) = found.wrong else {
        panic!(
            "{}: nothing goes wrong in {} states",
            scenario.name, found.states
        );
    };
    tell(&format!("{wrong:?}\n{way}"));
    assert!(expected.contains(&wrong), "{wrong:?}\n{way}");
}

/// Two contenders for one free node, until one holds it.
pub(crate) fn claims(name: &str, contenders: &[(u8, u8)]) -> Scenario {
    Scenario::new(name, (1, 1, 1), contenders).with(|s| s.claims_only = true)
}

#[test]
fn two_claims_that_cross_both_see_themselves_when_the_settle_time_is_one_less() {
    let scenario = claims("crossed claims", &[(0, 1), (0, 1)]).without(&[Rule::ThreeReads]);
    falls(&scenario, &[Rule::Settle], &[Wrong::TwoHolders]);
}

#[test]
fn a_write_that_is_answered_over_g_lands_after_the_rival_has_looked_for_the_last_time() {
    let scenario = claims("slow write", &[(0, 1), (0, 1)]).with(|s| s.budget.late = 1);
    falls(
        &scenario,
        &[Rule::WithinG],
        &[Wrong::TwoHolders, Wrong::FreedHolder],
    );
}

#[test]
fn a_clean_up_after_a_late_write_frees_the_node_of_a_living_holder() {
    let scenario = claims("late write", &[(0, 1), (0, 2)]).with(|s| s.budget.late = 1);
    falls(
        &scenario,
        &[Rule::LeaveLate],
        &[Wrong::TwoHolders, Wrong::FreedHolder],
    );
}

#[test]
fn a_value_that_two_attempts_share_is_taken_for_the_later_ones() {
    let scenario = claims("one id", &[(0, 2), (0, 1)]).with(|s| {
        s.budget.late = 1;
        s.budget.pauses = 1;
        s.victim = Some(0);
        s.horizon = 8;
    });
    falls(&scenario, &[Rule::FreshId], &[Wrong::TwoHolders]);
}

#[test]
fn a_delete_without_the_value_frees_whoever_is_there() {
    let scenario = claims("no value", &[(0, 1), (0, 1), (0, 1)]);
    falls(
        &scenario,
        &[Rule::ExactDelete],
        &[Wrong::TwoHolders, Wrong::FreedHolder],
    );
}
