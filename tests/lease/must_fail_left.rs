//! Rules about what a runner has left: evidence, adoption, take-over.

use std::time::Duration;

use roundsman::model::id::{ClaimId, RunId};
use roundsman::model::lock::{Lock, LockState};
use roundsman::model::record::{Fail, FailReason};
use roundsman::model::rule::Rule;

use crate::must_fail::{fails, falls};
use crate::scenario::{Kind, Scenario, job, ms, settings};
use crate::world::{Order, Stage, Wrong};

/// A dead runner's run: its lease ended so long ago that the margin has passed.
fn left(name: &str, contenders: &[(u8, u8)]) -> (Scenario, Lock) {
    let scenario = Scenario::new(name, (1, 1, 1), contenders).with(|s| s.horizon = 18);
    let lock = Lock {
        until: Scenario::second(-10),
        ..scenario.lock()
    };
    (scenario, lock)
}

pub(crate) fn order(lock: &Lock) -> Order {
    Order {
        kind: 0,
        run: lock.run,
        claim: lock.claim,
        step: 1,
        attempt: 1,
        not_after: 0,
    }
}

impl Scenario {
    fn tag(mut self, node: u8, key: &'static str, text: String) -> Self {
        self.tags.push((node, key, text));
        self
    }

    /// The run has executed its step there; it succeeded, or is running.
    fn executed(mut self, node: u8, lock: &Lock, running: bool) -> Self {
        self.sent.push((node, order(lock), Stage::begun(running)));
        self
    }
}

#[test]
fn an_adopter_that_dies_settling_hides_the_run_where_nobody_keeps_evidence() {
    let (scenario, lock) = left("adopter dies", &[(0, 1), (0, 2)]);
    let scenario = scenario
        .tag(0, "lock", lock.format())
        .executed(0, &lock, false)
        .with(|s| {
            s.evidence = false;
            s.budget.crashes = 1;
            s.horizon = 30;
        });
    falls(&scenario, &[Rule::Was], &[Wrong::Orphaned]);
}

#[test]
fn an_adoption_that_is_withdrawn_by_deleting_loses_the_run() {
    let (scenario, lock) = left("withdrawn", &[(0, 1)]);
    let scenario = scenario
        .tag(0, "lock", lock.format())
        .executed(0, &lock, false)
        .with(|s| s.budget.signals = 1);
    falls(&scenario, &[Rule::WriteBack], &[Wrong::Orphaned]);
}

#[test]
fn two_adopters_that_share_a_claim_id_both_hold() {
    let (scenario, lock) = left("two adopters", &[(0, 1), (0, 1)]);
    let scenario = scenario
        .tag(0, "lock", lock.format())
        .executed(0, &lock, true)
        .with(|s| s.ends = false);
    falls(&scenario, &[Rule::FreshId], &[Wrong::TwoHolders]);
}

#[test]
fn a_late_value_that_names_an_ended_run_hides_a_finished_one() {
    let (scenario, lock) = left("accounted name", &[(0, 1)]);
    let later = Lock {
        run: RunId::new(ms(-400), 5),
        claim: ClaimId::new(ms(-400), 6),
        ..lock.clone()
    };
    let at = Scenario::second(-450);
    let fail = Fail::following(None, at, lock.run, 1, FailReason::Failed).format();
    let scenario = scenario
        .tag(0, "lock", lock.format())
        .tag(0, "fail-a", fail)
        .executed(0, &later, false);
    falls(&scenario, &[Rule::EvidenceFirst], &[Wrong::Orphaned]);
}

#[test]
fn a_run_that_died_between_commit_and_release_is_dated_again() {
    let (scenario, lock) = left("between commit and release", &[(0, 1)]);
    let scenario = scenario
        .tag(0, "lock", lock.format())
        .tag(0, "last-a", "2026-11-23T00:05:00Z".to_owned())
        .executed(0, &lock, false);
    falls(&scenario, &[Rule::AccountedIsOver], &[Wrong::DoneAgain]);
}

#[test]
fn a_claim_that_never_settled_is_adopted_past_the_limit() {
    let scenario = Scenario::new("never settled", (1, 1, 1), &[(0, 0), (0, 1)])
        .held(24)
        .with(|s| {
            s.nodes = 2;
            s.horizon = 14;
        });
    let lock = Lock {
        state: LockState::Settling,
        step: 0,
        until: Scenario::second(-10),
        ..scenario.lock()
    };
    // Going on one by one would keep it out as well, until the others are done.
    let scenario = scenario
        .tag(1, "lock", lock.format())
        .without(&[Rule::OneByOne]);
    falls(&scenario, &[Rule::SettlingIsNoRun], &[Wrong::OverLimit]);
}

#[test]
fn a_run_that_only_evidence_shows_is_adopted_past_the_limit() {
    let scenario = Scenario::new("hidden run", (1, 1, 1), &[(0, 0), (0, 1)])
        .held(24)
        .with(|s| {
            s.nodes = 2;
            s.horizon = 14;
        });
    let hidden = Lock {
        run: RunId::new(ms(-900), 7),
        claim: ClaimId::new(ms(-900), 8),
        ..scenario.lock()
    };
    let late = Lock {
        state: LockState::Settling,
        step: 0,
        until: Scenario::second(-10),
        ..scenario.lock()
    };
    let scenario = scenario
        .tag(1, "lock", late.format())
        .executed(1, &hidden, false);
    falls(&scenario, &[Rule::OneByOne], &[Wrong::OverLimit]);
}

#[test]
fn runs_left_on_more_nodes_than_the_limit_are_gone_on_with_at_once() {
    let scenario = Scenario::new("two left", (1, 1, 1), &[(0, 1), (0, 2)])
        .held(24)
        .with(|s| {
            s.nodes = 2;
            s.horizon = 30;
        });
    let lock = |run| Lock {
        run: RunId::new(ms(-900), run),
        until: Scenario::second(-10),
        ..scenario.lock()
    };
    let (one, two) = (lock(7).format(), lock(8).format());
    let scenario = scenario.tag(0, "lock", one).tag(1, "lock", two);
    falls(&scenario, &[Rule::OneByOne], &[Wrong::OverLimit]);
}

#[test]
fn another_job_gives_up_a_finished_step_that_its_own_job_would_have_committed() {
    let (scenario, lock) = left("another job", &[(0, 1)]);
    let scenario = scenario
        .with(|s| {
            s.kinds.push(Kind::new(job("b", 1), settings(1, 1, 1)));
            s.keys.extend(["last-b", "fail-b"].map(str::to_owned));
            s.contenders = vec![(1, 0, 1)];
        })
        .tag(0, "lock", lock.format())
        .executed(0, &lock, false);
    falls(&scenario, &[Rule::FinishedForADay], &[Wrong::GivenUp]);
}

#[test]
fn whoever_trusts_clocks_more_takes_over_too_soon_from_one_with_other_settings() {
    let scenario = Scenario::new("other settings", (1, 1, 3), &[(0, 0), (3, 1)])
        .with(|s| {
            let mut trusting = settings(1, 1, 1);
            trusting.ttl = Duration::from_secs(30);
            s.kinds.push(Kind::new(job("a", 1), trusting));
            s.budget.pauses = 1;
        })
        .held(30)
        .with(|s| s.contenders = vec![(0, 0, 0), (1, 3, 1)]);
    falls(&scenario, &[Rule::SameSet], &[Wrong::TwoHolders]);
}

/// `set` shows other settings only to whoever sees the lock: claims that cross do not see each other's. Nothing in the
/// tags can help there, and the documentation says so.
#[test]
fn crossing_claims_under_other_settings_are_not_kept_apart() {
    let scenario = Scenario::new("other settings cross", (1, 1, 1), &[(0, 1)]).with(|s| {
        s.claims_only = true;
        s.kinds.push(Kind::new(job("a", 1), settings(3, 1, 1)));
        s.contenders = vec![(0, 0, 1), (1, 0, 1)];
        s.world.answers = 3;
        s.horizon = 18;
    });
    falls(&scenario, &[], &[]);
    fails(&scenario.without(&[Rule::ThreeReads]), &[Wrong::TwoHolders]);
}
