//! Every rule is needed: without it a schedule is found in which something goes wrong, with it none.

use std::time::Instant;

use roundsman::model::rule::Rule;

use crate::scenario::Scenario;
use crate::search::search;
use crate::world::Wrong;

/// With its rules a scenario is safe; without some of them one of these goes wrong, and how is printed.
pub(crate) fn falls(scenario: &Scenario, out: &[Rule], expected: &[Wrong]) {
    let began = Instant::now();
    let safe = search(scenario.clone());
    println!(
        "{}: {} states in {:?}",
        scenario.name,
        safe.states,
        began.elapsed()
    );
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
    println!("{wrong:?}, after {} states:\n{way}", found.states);
    assert!(expected.contains(&wrong), "{wrong:?}\n{way}");
}

/// Two contenders for one free node, until one holds it.
fn claims(name: &str, contenders: &[(u8, u8)]) -> Scenario {
    Scenario::new(name, (1, 1, 1), contenders).with(|s| s.claims_only = true)
}

#[test]
fn settle() {
    let scenario = claims("crossed claims", &[(0, 1), (0, 1)]).without(&[Rule::ThreeReads]);
    falls(&scenario, &[Rule::Settle], &[Wrong::TwoHolders]);
}

#[test]
fn a_write_answered_over_g_counts() {
    let scenario = claims("slow write", &[(0, 1), (0, 1)]).with(|s| s.budget.late = 1);
    falls(&scenario, &[Rule::WithinG], &[Wrong::TwoHolders]);
}

#[test]
fn late_left() {
    let scenario = claims("late", &[(0, 1), (0, 2)]).with(|s| {
        s.budget.late = 1;
    });
    falls(
        &scenario,
        &[Rule::LeaveLate],
        &[Wrong::TwoHolders, Wrong::Orphaned],
    );
}

#[test]
fn twin() {
    let scenario = claims("twin", &[(0, 1), (0, 1)]).with(|s| {
        s.budget.pauses = 1;
    });
    let safe = search(scenario.clone());
    assert!(safe.wrong.is_none());
    let found = search(scenario.with(|s| s.budget.twins = 1));
    println!(
        "{:?} {} {}",
        safe.states,
        found.states,
        found.wrong.unwrap().1
    );
}

#[test]
fn reused() {
    let scenario = claims("reused", &[(0, 2), (0, 1)]).with(|s| {
        s.budget.late = 1;
        s.budget.pauses = 1;
    });
    falls(&scenario, &[Rule::FreshId], &[Wrong::TwoHolders]);
}

#[test]
fn exact_delete() {
    let scenario = claims("exact", &[(0, 1), (0, 1), (0, 1)]);
    falls(
        &scenario,
        &[Rule::ExactDelete],
        &[Wrong::TwoHolders, Wrong::Orphaned],
    );
}
