//! Rules about leases that are held, and about what is left of them.

use std::time::Duration;

use roundsman::model::id::{ClaimId, RunId};
use roundsman::model::job::Count;
use roundsman::model::lock::Lock;
use roundsman::model::rule::Rule;

use crate::must_fail::{fails, falls};
use crate::scenario::{Scenario, ms};
use crate::world::Wrong;

/// The first contender holds the node, and works on; the second comes to look, its clock ahead as far as may be.
fn held(name: &str) -> Scenario {
    Scenario::new(name, (1, 1, 1), &[(0, 0), (1, 1)]).held(24)
}

#[test]
fn with_a_margin_of_less_than_s_and_p_the_last_renewal_is_not_seen() {
    let scenario = held("last renewal").with(|s| s.budget.pauses = 1);
    falls(&scenario, &[Rule::Margin], &[Wrong::TwoHolders]);
}

#[test]
fn an_end_that_counts_from_the_answer_is_too_late() {
    let scenario = held("end from the answer").with(|s| {
        s.budget.pauses = 1;
        s.horizon = 42;
    });
    falls(&scenario, &[Rule::EndFromStart], &[Wrong::TwoHolders]);
}

#[test]
fn a_late_claim_that_ends_soon_is_taken_over_before_the_holder_has_seen_it() {
    let scenario = held("short claim").with(|s| s.horizon = 24);
    falls(&scenario.clone().stray_claim(), &[], &[]);
    fails(
        &scenario.without(&[Rule::LastsL]).stray_claim(),
        &[Wrong::TwoHolders],
    );
}

#[test]
fn a_long_lease_that_is_read_only_to_be_renewed_hides_that_it_was_displaced() {
    let scenario = held("long lease").stray_claim().with(|s| {
        s.kinds[0].rules.job.ttl = Some(Duration::from_secs(100));
    });
    falls(&scenario, &[Rule::SeenWithinL], &[Wrong::TwoHolders]);
}

#[test]
fn a_renewal_that_timed_out_and_lands_last_ends_the_lease_too_soon() {
    let scenario = held("oldest open").with(|s| {
        s.budget.late = 1;
        s.budget.pauses = 1;
        s.horizon = 42;
    });
    falls(&scenario, &[Rule::OldestOpen], &[Wrong::TwoHolders]);
}

#[test]
fn a_runner_that_was_paused_and_does_not_read_again_writes_over_its_successor() {
    let scenario = held("fresh read").stray_claim().with(|s| {
        s.budget.pauses = 1;
        s.belief = false;
        s.horizon = 36;
    });
    falls(&scenario, &[Rule::FreshRead], &[Wrong::Displaced]);
}

#[test]
fn a_renewal_in_flight_at_the_release_revives_the_lock() {
    let scenario = held("one at a time").with(|s| {
        s.ends = true;
        s.work = 12;
        s.horizon = 16;
    });
    falls(
        &scenario,
        &[Rule::OneAtATime],
        &[Wrong::Revived, Wrong::Orphaned],
    );
}

#[test]
fn a_parker_that_goes_on_works_beside_its_adopter() {
    let scenario = held("parking").with(|s| {
        s.budget.signals = 1;
        s.budget.late = 1;
        s.horizon = 14;
    });
    falls(
        &scenario,
        &[Rule::ParkOnly],
        &[Wrong::TwoHolders, Wrong::Displaced],
    );
}

/// A renewal of the holder's is still on its way when it gives its lease back.
#[test]
fn a_release_that_goes_on_deleting_frees_somebody_elses_node() {
    let scenario = held("release").with(|s| {
        let renewal = Lock {
            run: RunId::new(ms(-10), 1),
            claim: ClaimId::new(ms(-10), 2),
            until: Scenario::second(20),
            ..s.lock()
        };
        s.strays.push((renewal.format(), 7));
        s.ends = true;
        s.fails = true;
        s.work = 0;
        s.budget.pauses = 1;
        s.horizon = 8;
    });
    falls(&scenario, &[Rule::ReleaseEnds], &[Wrong::FreedHolder]);
}

#[test]
fn evidence_of_the_recorded_run_alone_misses_the_command_under_a_late_claim() {
    let scenario = held("any run").stray_claim().with(|s| s.budget.crashes = 1);
    falls(&scenario, &[Rule::AnyRun], &[Wrong::Orphaned]);
}

#[test]
fn an_outcome_that_nobody_knows_taken_for_a_failure_begins_the_next_node() {
    let scenario = held("unknown").with(|s| {
        s.kinds[0].rules.job.limits.count = [Count::InWork].into();
        s.nodes = 2;
        s.by_lot = true;
        s.budget.unknown = 1;
        s.horizon = 14;
    });
    falls(
        &scenario,
        &[Rule::UnknownKeeps],
        &[Wrong::OverLimit, Wrong::Orphaned],
    );
}
