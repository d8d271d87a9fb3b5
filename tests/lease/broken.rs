//! Where an assumption is broken, rules fall that were kept: each is violated one tick beyond its bound, and safe at it.

use roundsman::model::rule::Rule;

use crate::must_fail::{claims, fails, falls};
use crate::scenario::Scenario;
use crate::world::Wrong;

/// What is safe at the bound and goes wrong beyond it, under the same rules.
fn only_within(at: &Scenario, beyond: &Scenario, expected: &[Wrong]) {
    falls(at, &[], &[]);
    fails(beyond, expected);
}

/// Reads are older than the settings say, which single reads believe.
fn crossed(name: &str, stale: u16) -> Scenario {
    claims(name, &[(0, 1), (0, 1)]).with(|s| s.world.stale = stale)
}

#[test]
fn reads_that_are_older_than_p_let_two_in() {
    let single = |scenario: Scenario| scenario.without(&[Rule::ThreeReads]);
    only_within(
        &single(crossed("as old as P", 1)),
        &single(crossed("older than P", 2)),
        &[Wrong::TwoHolders],
    );
}

/// Not what the protocol rests on, but defence in depth: a read that is a little too old is met by the two after it.
#[test]
fn three_reads_meet_what_one_that_is_older_than_p_does_not() {
    falls(
        &crossed("a little older than P", 2),
        &[Rule::ThreeReads],
        &[Wrong::TwoHolders],
    );
    fails(
        &crossed("much older than P", 5),
        &[Wrong::TwoHolders, Wrong::FreedHolder],
    );
}

/// The first contender holds; the second comes to look, its clock so far ahead of the true one.
fn last_renewal(name: &str, ahead: u8) -> Scenario {
    Scenario::new(name, (1, 1, 1), &[(0, 0), (ahead, 1)])
        .held(24)
        .with(|s| s.budget.pauses = 1)
}

#[test]
fn a_clock_that_is_ahead_by_more_than_s_takes_over_too_soon() {
    only_within(
        &last_renewal("ahead by S", 1),
        &last_renewal("ahead by more than S", 2),
        &[Wrong::TwoHolders],
    );
}

/// The same with a clock that is right at first.
fn stepped(name: &str, steps: u8) -> Scenario {
    last_renewal(name, 0).with(|s| {
        s.budget.steps = steps;
        s.world.ahead = steps;
    })
}

#[test]
fn a_clock_that_steps_by_more_than_s_takes_over_too_soon() {
    only_within(
        &stepped("steps by S", 1),
        &stepped("steps by more than S", 2),
        &[Wrong::TwoHolders],
    );
}

/// Both clocks are ahead at first, and the holder's steps back.
fn stepped_back(name: &str, steps: u8) -> Scenario {
    Scenario::new(name, (1, 1, 1), &[(steps, 0), (steps, 1)])
        .held(24)
        .with(|s| {
            s.budget.pauses = 1;
            s.budget.backs = steps;
            s.world.ahead = steps;
            // What was written before the step says nothing wrong: the next renewal does.
            s.horizon += s.lock_ticks() / 3;
        })
}

#[test]
fn a_clock_that_steps_back_by_more_than_s_is_taken_over_from_too_soon() {
    only_within(
        &stepped_back("steps back by S", 1),
        &stepped_back("steps back by more than S", 2),
        &[Wrong::TwoHolders],
    );
}

/// The first contender holds; a claim that crossed its own lands so many ticks after it was begun at the latest.
fn claim_lands_late(name: &str, life: u16) -> Scenario {
    let scenario = Scenario::new(name, (1, 1, 1), &[(0, 0), (1, 1)]).held(24);
    scenario.with(|s| s.world.life = life).stray_claim()
}

/// Z < L + M - G - P - S is what the settings ask for. Who only looks at its lock, and begins nothing meanwhile, is safe
/// for longer: until a third has settled over the late claim before the holder's next look.
#[test]
fn a_claim_that_lands_later_than_z_is_taken_over_before_its_victim_has_looked() {
    let at = claim_lands_late("lands within Z", 25);
    let lease = at.kinds[0].rules.lease;
    let spent = lease.claim_within + lease.staleness + lease.skew;
    let longest = (lease.ttl + lease.margin).saturating_sub(spent);
    assert_eq!(longest.as_secs(), 23);
    only_within(
        &at,
        &claim_lands_late("lands later than Z", 26),
        &[Wrong::TwoHolders],
    );
}

/// What the tests of a source do, without white space: the bodies of its functions that are tests, without comments.
fn done_by_tests(source: &str) -> String {
    let bodies = source.split("#[test]\n").skip(1);
    let bodies = bodies.filter_map(|rest| rest.split_once("\n}\n"));
    let lines = bodies.flat_map(|(body, _)| body.lines());
    let code = lines.filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(str::split_whitespace).collect()
}

#[test]
fn what_no_test_does_shows_nothing() {
    let call = "falls(&scenario, &[Rule::Was], &[Wrong::Orphaned]);";
    let source = |head: &str, comment: &str| format!("{head}fn f() {{\n    {comment}{call}\n}}\n");
    let shown = |head, comment| done_by_tests(&source(head, comment)).contains(",&[Rule::Was],");
    assert!(shown("#[test]\n", ""));
    assert!(!shown("#[test]\n", "// "));
    assert!(!shown("", ""));
}

#[test]
fn every_rule_has_a_test_that_fails_without_it() {
    let sources = [
        include_str!("must_fail.rs"),
        include_str!("must_fail_held.rs"),
        include_str!("must_fail_late.rs"),
        include_str!("must_fail_left.rs"),
        include_str!("must_fail_limits.rs"),
        include_str!("needed.rs"),
        include_str!("stopping.rs"),
        include_str!("broken.rs"),
    ];
    let all: String = sources.into_iter().map(done_by_tests).collect();
    for rule in Rule::ALL {
        // What is taken out in the end, and what then goes wrong; not what is out on both sides.
        let shown = [
            format!(",&[Rule::{rule:?}],&[Wrong::"),
            format!("fails(&scenario.without(&[Rule::{rule:?}])"),
            format!("ends_only_with(Rule::{rule:?},"),
            format!("waits_only_without(Rule::{rule:?},"),
            format!("=took(scenario.without(&[Rule::{rule:?}]))"),
        ];
        assert!(
            shown.iter().any(|shown| all.contains(shown)),
            "nothing shows that {rule:?} is needed: add a test to tests/lease/must_fail*.rs"
        );
    }
}
