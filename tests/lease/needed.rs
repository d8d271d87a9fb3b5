//! Rules without which somebody waits too long, or for ever.

use roundsman::model::id::{ClaimId, RunId};
use roundsman::model::lock::{Lock, LockState};
use roundsman::model::record::{Fail, FailReason};
use roundsman::model::rule::Rule;
use roundsman::model::settings::LeaseSettings;

use crate::calm::{Calm, Pace};
use crate::liveness::{bound, patience, service, terms, two_jobs};
use crate::model::{Act, Search};
use crate::scenario::{Scenario, ms};
use crate::world::{Tick, Wrong};

/// Leases last so long that nobody can wait for their end.
fn long(scenario: Scenario) -> Scenario {
    scenario.ttl(60)
}

/// What a calm comes to that begins after these acts.
fn after(scenario: Scenario, acts: &[Act], pace: Pace, bound: Tick) -> (Search, Calm) {
    let search = Search::new(scenario);
    let mut state = search.first();
    for act in acts {
        state = search.follow(&state, *act).expect("it is possible");
    }
    let calm = search.calm(&state, pace, bound);
    (search, calm)
}

/// With all rules everything is served; without this one it is not, however long one waits.
fn ends_only_with(rule: Rule, scenario: &Scenario, acts: &[Act], pace: Pace) {
    let bound = bound(scenario);
    let (search, calm) = after(scenario.clone(), acts, pace, bound);
    assert!(
        calm.served.is_ok(),
        "{:?}\n{}",
        calm.served,
        calm.trace(&search)
    );
    let (search, calm) = after(scenario.clone().without(&[rule]), acts, pace, 10 * bound);
    assert!(
        calm.served.is_err(),
        "all is served\n{}",
        calm.trace(&search)
    );
}

/// With all rules no claim waits for longer than this; without this one some claim does.
fn waits_only_without(rule: Rule, scenario: &Scenario, acts: &[Act], most: Tick) {
    let bound = bound(scenario);
    let (search, calm) = after(scenario.clone(), acts, Pace::EASY, bound);
    assert!(
        calm.served.is_ok(),
        "{:?}\n{}",
        calm.served,
        calm.trace(&search)
    );
    assert!(
        calm.longest_wait <= most,
        "{}\n{}",
        calm.longest_wait,
        calm.trace(&search)
    );
    let (search, calm) = after(scenario.clone().without(&[rule]), acts, Pace::EASY, bound);
    assert!(
        calm.longest_wait > most,
        "{}\n{}",
        calm.longest_wait,
        calm.trace(&search)
    );
}

/// A lock of the first job that ended long ago, or that of another kind.
fn left(scenario: &Scenario, kind: usize, state: LockState) -> Lock {
    let job = &scenario.kinds[kind].rules.job;
    Lock {
        run: RunId::new(ms(-9_000), 1),
        claim: ClaimId::new(ms(-9_000), 2),
        state,
        step: u32::from(state != LockState::Settling),
        job: job.name.clone(),
        task: job.task.clone(),
        until: Scenario::second(-8_000),
        ..scenario.lock()
    }
}

#[test]
fn where_all_withdraw_none_gets_in() {
    // Both jobs find their nodes free, and their claims cross at the limit, again and again.
    let crossing = Pace::ALL[1];
    assert!(crossing.crossing);
    ends_only_with(Rule::LowestStays, &two_jobs("crossing"), &[], crossing);
}

#[test]
fn claims_that_both_lost_keep_everybody_out_until_they_end() {
    // Under the assumptions the last to write never loses. One of its reads is older than P here, and shows B.
    let scenario = long(Scenario::new("both lost", (1, 1, 1), &[(0, 1), (0, 1)]));
    let scenario = scenario.with(|s| s.world.stale = 5);
    let (_, left_alone) = terms(&scenario);
    let soon = 2 * service(&scenario);
    assert!(soon < left_alone);
    let mut acts = vec![Act::Reads(1, 0), Act::Reads(1, 0), Act::Reads(0, 0)];
    acts.extend([Act::Reads(0, 0), Act::Lands(1), Act::Lands(0)]);
    acts.extend([Act::Tick; 4]);
    acts.extend([
        Act::Wakes(0),
        Act::Reads(0, 2),
        Act::Wakes(1),
        Act::Reads(1, 0),
    ]);
    let took = |scenario: Scenario| {
        let (search, calm) = after(scenario, &acts, Pace::EASY, 3 * left_alone);
        let trace = calm.trace(&search);
        calm.served.unwrap_or_else(|why| panic!("{why}\n{trace}"))
    };
    let with = took(scenario.clone());
    let without = took(scenario.without(&[Rule::UndoLost]));
    assert!(with <= soon && soon < without, "{with} {without}");
}

#[test]
fn the_lowest_claim_does_not_wait_for_a_holder() {
    let scenario = long(two_jobs("holder")).with(|s| s.work = 40);
    // A reads the fleet as it was before B claimed its node, then sleeps until B holds that.
    let mut acts = vec![Act::Reads(1, 0), Act::Reads(1, 0), Act::Lands(1)];
    acts.extend([Act::Tick, Act::Reads(0, 1), Act::Tick, Act::Tick, Act::Tick]);
    acts.extend([Act::Wakes(1), Act::Reads(1, 0), Act::Tick]);
    acts.extend([Act::Wakes(1), Act::Reads(1, 0), Act::Tick]);
    acts.extend([Act::Wakes(1), Act::Reads(1, 0), Act::Lands(1)]);
    acts.extend([Act::Reads(0, 0), Act::Reads(0, 0), Act::Lands(0)]);
    let (settle, _) = terms(&scenario);
    waits_only_without(Rule::WaitForNoHolder, &scenario, &acts, settle + 4);
}

#[test]
fn nobody_waits_longer_than_four_times_the_settle_time() {
    let scenario = long(two_jobs("dead rival")).with(|s| s.budget.crashes = 1);
    // Both claim at once; then B dies, and A has the lowest claim.
    let acts = [
        Act::Reads(0, 0),
        Act::Reads(1, 0),
        Act::Reads(0, 0),
        Act::Reads(1, 0),
        Act::Lands(0),
        Act::Lands(1),
        Act::Crashes(1),
    ];
    let most = patience(&scenario);
    waits_only_without(Rule::Patience, &scenario, &acts, most);
}

/// One contender, and two nodes that bear something.
fn two_nodes(name: &str, put: impl Fn(&Scenario) -> (&'static str, String)) -> Scenario {
    two_jobs(name).with(|s| {
        s.contenders = vec![(0, 0, 1)];
        s.limit = 2;
        s.tags.clear();
        for node in [0, 1] {
            let (key, value) = put(s);
            s.tags.push((node, key, value));
        }
    })
}

#[test]
fn a_limit_lowered_below_what_was_left_frees_none_of_it() {
    let scenario = two_nodes("two suspects", |s| {
        ("lock", left(s, 0, LockState::Held).format())
    });
    ends_only_with(Rule::AdoptFreely, &scenario, &[], Pace::EASY);
}

#[test]
fn what_a_job_that_is_gone_has_left_on_two_nodes_keeps_everybody_out() {
    let scenario = two_nodes("gone", |s| ("lock", left(s, 1, LockState::Held).format()));
    ends_only_with(Rule::TakeOverCounted, &scenario, &[], Pace::EASY);
}

#[test]
fn failed_nodes_that_fill_the_limit_are_retried() {
    let scenario = two_nodes("two failed", |_| {
        let run = RunId::new(ms(-9_000), 1);
        let at = Scenario::second(-8_000);
        let fail = Fail::following(None, at, run, 1, FailReason::Failed);
        ("fail-a", fail.format())
    });
    ends_only_with(Rule::RetryFailed, &scenario, &[], Pace::EASY);
}

#[test]
fn a_holder_that_died_before_the_settings_changed_is_forgotten_in_the_end() {
    let scenario = Scenario::new("other set", (1, 1, 1), &[(0, 1)]).with(|s| {
        let other = LeaseSettings::default();
        let lock = Lock {
            set: other.set(),
            ..left(s, 0, LockState::Held)
        };
        s.tags.push((0, "lock", lock.format()));
    });
    ends_only_with(Rule::OtherSetEnds, &scenario, &[], Pace::EASY);
}

#[test]
fn a_claim_that_never_settled_is_not_gone_on_with_where_nothing_is_due() {
    let scenario = Scenario::new("never settled", (1, 1, 1), &[(0, 1)]).with(|s| {
        s.tags
            .push((0, "lock", left(s, 0, LockState::Settling).format()));
        let served = roundsman::model::time::format_stamp(Scenario::second(-9_500));
        s.tags.push((0, "last-a", served));
    });
    let sends = |scenario: Scenario| {
        let bound = bound(&scenario);
        let (search, calm) = after(scenario, &[], Pace::EASY, bound);
        assert!(calm.served.is_ok(), "{}", calm.trace(&search));
        calm.last().nodes[0].sends.len()
    };
    assert_eq!(sends(scenario.clone()), 0);
    assert_eq!(sends(scenario.without(&[Rule::SettlingIsNoRun])), 1);
}

#[test]
fn a_claim_that_never_settled_is_not_gone_on_with_past_the_limit() {
    // Going on one by one would keep it out as well, until the others are done.
    let scenario = long(two_jobs("late claim")).with(|s| {
        s.contenders = vec![(0, 0, 1), (0, 0, 0)];
        s.tags.clear();
        s.work = 100;
    });
    let scenario = scenario.without(&[Rule::OneByOne]);
    let wrong = |scenario: Scenario| {
        let search = Search::new(scenario);
        let held = search.calm_until(&search.first(), Pace::EASY, 20, |s| search.is_held(s, 0));
        assert!(held.served.is_ok(), "{}", held.trace(&search));
        // A claim that was begun before lands on the other node only now.
        let mut state = held.last().clone();
        let late = Lock {
            until: Scenario::second(30),
            ..left(&search.scenario, 0, LockState::Settling)
        };
        let val = search
            .cast
            .lock()
            .expect("one thread")
            .texts
            .number(&late.format());
        let lock = usize::from(search.scenario.register(1, "lock"));
        state.registers[lock].put(val, state.at);
        let calm = search.calm(&state, Pace::EASY, 80);
        calm.last().wrong
    };
    assert_eq!(wrong(scenario.clone()), None);
    let out = scenario.without(&[Rule::SettlingIsNoRun]);
    assert_eq!(wrong(out), Some(Wrong::OverLimit));
}
