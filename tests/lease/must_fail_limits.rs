//! Rules about limits, about deciding again, and about what the node itself refuses.

use std::time::Duration;

use roundsman::model::rule::Rule;

use crate::must_fail::{claims, fails, falls};
use crate::must_fail_left::order;
use crate::scenario::Scenario;
use crate::world::{Order, Stage, Tick, Wrong};

#[test]
fn a_decision_from_before_the_settle_exceeds_the_limit() {
    let scenario = claims("before the settle", &[(0, 1), (0, 1)]).with(|s| {
        s.nodes = 2;
        s.by_lot = true;
    });
    falls(&scenario, &[Rule::DecideAgain], &[Wrong::OverLimit]);
}

#[test]
fn a_decision_from_before_the_settle_misses_a_hold() {
    let scenario = claims("a hold meanwhile", &[(0, 1)]).with(|s| s.budget.holds = 1);
    falls(&scenario, &[Rule::DecideAgain], &[Wrong::UnderHold]);
}

#[test]
fn a_decision_from_before_the_settle_does_a_short_run_twice() {
    let scenario = Scenario::new("a short run meanwhile", (1, 1, 1), &[(0, 1), (0, 1)]).with(|s| {
        s.work = 0;
        s.budget.pauses = 1;
        s.victim = Some(1);
        s.horizon = 12;
    });
    falls(
        &scenario,
        &[Rule::DecideAgain],
        &[Wrong::DoneAgain, Wrong::OverLimit],
    );
}

#[test]
fn fewer_than_k_with_a_lower_id_is_not_fewer_than_k() {
    let scenario = Scenario::new("out-ranked", (1, 1, 3), &[(3, 1), (0, 1), (0, 1)])
        .with(|s| {
            s.claims_only = true;
            s.nodes = 3;
            s.by_lot = true;
            s.limit = 2;
            s.kinds[0].rules.job.limits.nodes = 2;
            s.horizon = 11;
        })
        .without(&[Rule::ThreeReads]);
    falls(&scenario, &[Rule::CountAll], &[Wrong::OverLimit]);
}

#[test]
fn comparing_and_setting_each_node_by_itself_exceeds_the_limit_of_a_local_store() {
    let scenario = claims("local store", &[(0, 1), (0, 1)]).with(|s| {
        s.nodes = 2;
        s.by_lot = true;
        s.kinds[0].transactional = true;
        s.world.stale = 0;
        s.horizon = 3;
    });
    falls(&scenario, &[Rule::OneTransaction], &[Wrong::OverLimit]);
}

#[test]
fn an_end_cut_to_whole_seconds_eats_the_margin() {
    let scenario = Scenario::new("cut", (1, 1, 1), &[(1, 0), (3, 1)])
        .with(|s| {
            s.tick = Duration::from_millis(500);
            s.world.answers = 2;
            s.world.stale = 2;
            s.budget.pauses = 1;
        })
        .held(24);
    falls(&scenario, &[Rule::RoundUp], &[Wrong::TwoHolders]);
}

/// A runner of a long lease has died, somebody has deleted its lock, and what it sent is still on its way.
#[test]
fn without_the_mark_a_superseded_send_executes() {
    let scenario = Scenario::new("mark", (1, 1, 1), &[(0, 1)]).with(|s| {
        let sent = Order {
            not_after: s.horizon,
            ..order(&s.lock())
        };
        s.sent.push((0, sent, Stage::Pending(Tick::MAX)));
        s.evidence = false;
        s.work = 0;
    });
    falls(&scenario, &[Rule::Mark], &[Wrong::Superseded]);
}

#[test]
fn a_send_that_arrives_past_its_time_is_executed() {
    let scenario = claims("not after", &[(0, 1)]).with(|s| {
        s.claims_only = false;
        s.budget.slow_sends = 1;
        s.horizon = 32;
    });
    falls(&scenario, &[Rule::NotAfter], &[Wrong::TooLate]);
}

#[test]
fn a_step_whose_runner_died_runs_beside_the_next() {
    let scenario = Scenario::new("kernel lock", (1, 1, 1), &[(0, 0), (0, 1)])
        .held(24)
        .with(|s| {
            s.budget.wipes = 1;
            // Who deletes a lock by hand voids the promise of one holder; the node still keeps its own.
            s.belief = false;
            s.evidence = false;
            s.horizon = 10;
        });
    falls(&scenario, &[Rule::KernelLock], &[Wrong::Overlap]);
}

#[test]
fn a_duplicated_send_is_executed_twice() {
    let scenario = claims("journal", &[(0, 1)]).with(|s| {
        s.claims_only = false;
        s.budget.twin_sends = 1;
    });
    falls(&scenario, &[Rule::Journal], &[Wrong::Twice, Wrong::Overlap]);
}

#[test]
fn a_second_attempt_of_an_sdk_leaves_a_twin_that_lands_later() {
    let scenario = claims("twin", &[(0, 1), (0, 1)]).with(|s| {
        s.budget.pauses = 1;
        s.budget.twins = 1;
    });
    falls(
        &scenario,
        &[Rule::OneAttempt],
        &[Wrong::TwoHolders, Wrong::FreedHolder],
    );
}

#[test]
fn a_settle_time_that_does_not_exceed_the_skew_lets_ids_fall() {
    let scenario = Scenario::new("ids", (1, 1, 5), &[(0, 1), (5, 1)])
        .with(|s| {
            s.work = 0;
            s.fails = true;
            s.horizon = 13;
        })
        .without(&[Rule::ThreeReads]);
    falls(&scenario, &[], &[]);
    fails(&scenario.without(&[Rule::Settle]), &[Wrong::IdOrder]);
}
