//! Clocks that step ahead and back, people and Terraform that delete tags or write their own, and evidence that is read
//! at another moment than the tags which it judges.

use roundsman::model::lock::{Lock, LockState};
use roundsman::model::rule::Rule;

use crate::must_fail::falls;
use crate::reached::Reach::{self, Adopts, Enters, Withdraws};
use crate::scenario::Scenario;
use crate::search::{large, searches};
use crate::world::Wrong;

searches! {
    clocks_that_step_ahead_and_back_within_s_are_safe: 176_000 => clocks();
    what_somebody_else_writes_into_a_tag_lets_nobody_in: 37_000 => spoilt();
    deleted_tags_let_nobody_act_beside_a_later_holder: 83_000 => deleted();
    evidence_that_is_read_later_than_the_tags_is_safe: 55_000 => lagging();
}

const TWO: [(u8, u8); 2] = [(0, 1), (1, 1)];

/// The first contender holds the node and works as long as it likes; the second comes to look.
fn held(name: &str) -> Scenario {
    Scenario::new(name, (1, 1, 1), &[(0, 0), (1, 1)])
        .held(24)
        .with(|s| {
            s.ends = true;
            s.horizon = 14;
        })
}

fn claims(name: &str) -> Scenario {
    Scenario::new(name, (1, 1, 1), &TWO)
}

/// A run whose runner has died, and whose step still runs.
fn left(name: &str) -> Scenario {
    let scenario = claims(name);
    let lock = Lock {
        state: LockState::Held,
        until: Scenario::second(-3),
        ..scenario.lock()
    };
    scenario
        .with(|s| s.tags.push((0, "lock", lock.format())))
        .executed_or_runs(&lock)
}

fn reaching(mut scenario: Scenario, reaches: &[Reach]) -> Scenario {
    scenario.reaches = reaches.to_vec();
    scenario
}

/// The first ones, and all where the larger sets are wanted.
fn first(n: usize, mut all: Vec<Scenario>) -> Vec<Scenario> {
    if !large() {
        all.truncate(n);
    }
    all
}

fn clocks() -> Vec<Scenario> {
    let both = |s: &mut Scenario| {
        s.budget.steps = 1;
        s.budget.backs = 1;
    };
    let stands = held("a holder's clock and a pause").with(both).with(|s| {
        s.ends = false;
        s.budget.pauses = 1;
        s.horizon = s.lock_ticks() + 10;
    });
    let crossed = claims("claims, a clock ahead and back")
        .with(both)
        .with(|s| s.claims_only = true);
    let adopts = |horizon, late| {
        let scenario = left("a run is left, a clock ahead and back");
        let scenario = scenario.with(both).with(|s| {
            s.horizon = horizon;
            s.budget.late = late;
        });
        reaching(scenario, &[Adopts])
    };
    let wide = Scenario::new("claims, S 3, clocks ahead and back", (1, 1, 3), &TWO).with(|s| {
        s.claims_only = true;
        s.budget.steps = 2;
        s.budget.backs = 3;
    });
    let all = vec![
        reaching(stands, &[Adopts]),
        reaching(crossed, &[Enters]),
        adopts(8, 0),
        adopts(13, 0),
        adopts(10, 1),
        claims("claims and steps, a clock ahead and back").with(both),
        wide,
    ];
    first(3, all)
}

#[test]
fn who_stood_still_and_does_not_read_again_writes_over_what_is_not_ours() {
    let scenario = held("a foreign lock and a pause").with(|s| {
        s.ends = false;
        s.budget.spoils = 1;
        s.budget.pauses = 1;
        s.victim = Some(0);
        s.horizon = 30;
    });
    falls(&scenario, &[Rule::FreshRead], &[Wrong::Overwritten]);
}

fn spoilt() -> Vec<Scenario> {
    let spoils = |scenario: Scenario| scenario.with(|s| s.budget.spoils = 1);
    let crossed = spoils(claims("claims, one tag is foreign")).with(|s| s.claims_only = true);
    let late = spoils(held("held, one tag is foreign, a late write")).with(|s| s.budget.late = 1);
    let two = spoils(held("held, a tag of either node is foreign")).with(|s| s.nodes = 2);
    let adopts = spoils(left("a run is left, one tag is foreign"));
    let all = vec![
        reaching(spoils(held("held, one tag is foreign")), &[Enters]),
        reaching(crossed, &[Enters, Withdraws]),
        reaching(late, &[Enters]),
        reaching(two, &[Enters]),
        reaching(adopts, &[Adopts]).with(|s| s.horizon = 11),
        spoils(claims("claims and steps, one tag is foreign")),
    ];
    first(2, all)
}

/// Two may believe that they hold one node then; they do not act there, and their steps do not meet.
fn deleted() -> Vec<Scenario> {
    let strips = |scenario: Scenario| {
        scenario.with(|s| {
            s.budget.strips = 1;
            s.belief = false;
        })
    };
    let wiped = held("held, the lock is deleted").with(|s| {
        s.budget.wipes = 1;
        s.belief = false;
    });
    let two = strips(held("held, all tags of either node are deleted")).with(|s| s.nodes = 2);
    let late = strips(held("held, all tags are deleted, a late write"));
    let all = vec![
        strips(held("held, all tags are deleted")),
        wiped,
        two,
        late.with(|s| s.budget.late = 1),
        strips(claims("claims and steps, all tags are deleted")),
        strips(left("a run is left, all tags are deleted")).with(|s| s.horizon = 11),
    ];
    first(3, all)
}

fn lagging() -> Vec<Scenario> {
    let lags = |scenario: Scenario, lags, horizon| {
        scenario.with(|s| {
            s.budget.lags = lags;
            s.horizon = horizon;
        })
    };
    let late = lags(left("a run is left, late evidence and writes"), 2, 10);
    let all = vec![
        reaching(lags(left("a run is left, late evidence"), 1, 10), &[Adopts]),
        lags(claims("claims, late evidence"), 1, 11).with(|s| s.claims_only = true),
        late.with(|s| s.budget.late = 1),
        lags(claims("claims and steps, late evidence"), 2, 15),
        lags(held("held, late evidence, a death"), 2, 14).with(|s| s.budget.crashes = 1),
    ];
    first(2, all)
}
