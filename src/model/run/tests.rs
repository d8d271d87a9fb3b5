//! A run's way through its steps, without anything found.

use super::*;
use crate::model::job::Cleanup;
use crate::model::job::tests::{sample, step};
use crate::model::view::tests::now as wall;

fn now() -> Now {
    Now {
        wall: wall(),
        boot: Moment(Duration::from_secs(100)),
    }
}

fn job(steps: usize, cleanups: &[When]) -> Job {
    let mut job = sample();
    job.steps = (0..steps).map(|n| step(&format!("s{n}"), "true")).collect();
    job.cleanup = cleanups
        .iter()
        .map(|when| Cleanup {
            step: step("c", "true"),
            when: *when,
        })
        .collect();
    job
}

/// Plays outcomes in turn; tells which attempts were begun, and what is next.
fn play(job: &Job, outcomes: &[Outcome]) -> (Vec<(u32, u32)>, Do) {
    let mut run = Run::new();
    let mut begun = Vec::new();
    for outcome in outcomes {
        let Do::Begin { step, attempt, .. } =
            run.next(later(wall(), Duration::from_secs(1_000_000)))
        else {
            panic!("nothing to begin after {begun:?}");
        };
        begun.push((step, attempt));
        run.ended(job, now(), *outcome, wall(), 0);
    }
    (
        begun,
        run.next(later(wall(), Duration::from_secs(1_000_000))),
    )
}

#[test]
fn steps_then_cleanup_then_the_record() {
    let job = job(2, &[When::Always, When::Failed]);
    let (begun, next) = play(&job, &[Outcome::Ok; 3]);
    assert_eq!(
        (begun, next),
        (vec![(1, 1), (2, 1), (3, 1)], Do::Record(Result::Done))
    );
}

#[test]
fn a_failed_step_goes_to_cleanup_and_is_what_the_run_failed_by() {
    let job = job(2, &[When::Failed, When::Always]);
    let (begun, next) = play(&job, &[Outcome::Failed, Outcome::Ok, Outcome::Failed]);
    assert_eq!(begun, [(1, 1), (3, 1), (4, 1)]);
    assert_eq!(
        next,
        Do::Record(Result::Failed {
            step: 1,
            reason: FailReason::Failed
        })
    );
}

#[test]
fn good_steps_and_a_failed_cleanup_are_done_and_say_so() {
    let job = job(1, &[When::Always]);
    let (_, next) = play(&job, &[Outcome::Ok, Outcome::TimedOut]);
    assert_eq!(next, Do::Record(Result::DoneUnclean { step: 2 }));
}

#[test]
fn retries_are_attempts_of_their_own_and_wait_between() {
    let mut job = job(1, &[]);
    job.steps[0].retries = 2;
    let (begun, next) = play(
        &job,
        &[Outcome::Failed, Outcome::Undelivered, Outcome::TimedOut],
    );
    assert_eq!(begun, [(1, 1), (1, 2), (1, 3)]);
    assert_eq!(
        next,
        Do::Record(Result::Failed {
            step: 1,
            reason: FailReason::TimedOut
        })
    );
    let mut run = Run::new();
    run.ended(&job, now(), Outcome::Failed, wall(), u128::MAX);
    assert!(matches!(run.next(wall()), Do::Begin { not_before, .. } if not_before > now().boot));
}

#[test]
fn a_busy_node_is_asked_for_the_same_attempt_while_something_can_run_there() {
    let job = job(1, &[]);
    let (begun, next) = play(&job, &[Outcome::Busy, Outcome::Busy, Outcome::Ok]);
    assert_eq!(
        (begun, next),
        (vec![(1, 1), (1, 1), (1, 1)], Do::Record(Result::Done))
    );
    let mut run = Run::new();
    let mut at = now();
    for asked in 1.. {
        let Do::Begin { not_before, .. } = run.next(wall()) else {
            break;
        };
        at.boot = at.boot.max(not_before);
        run.ended(&job, at, Outcome::Busy, wall(), u128::MAX);
        let hours = at.boot.since(now().boot).as_secs() / 3_600;
        assert!(asked < 640 && hours <= 48, "{asked} times in {hours} h");
    }
    assert!(at.boot >= now().boot.plus(BUSY_FOR));
    let reason = FailReason::Busy;
    let failed = Result::Failed { step: 1, reason };
    assert_eq!(run.next(wall()), Do::Record(failed));
}

#[test]
fn what_came_too_late_is_sent_anew_but_not_for_ever() {
    let job = job(1, &[]);
    let (begun, next) = play(&job, &[Outcome::TooLate, Outcome::Ok]);
    assert_eq!(
        (begun, next),
        (vec![(1, 1), (1, 2)], Do::Record(Result::Done))
    );
    let (begun, next) = play(&job, &[Outcome::TooLate; UNUSED_MAX as usize]);
    assert_eq!(begun.len(), UNUSED_MAX as usize);
    let reason = FailReason::TooLate;
    assert_eq!(next, Do::Record(Result::Failed { step: 1, reason }));
}

#[test]
fn what_is_not_taken_for_now_is_made_again_under_its_number_and_undelivered_in_the_end() {
    let job = job(1, &[]);
    let mut run = Run::new();
    for _ in 1..UNUSED_MAX {
        run.not_taken(&job, now(), u128::MAX);
        let next = run.next(wall());
        let later = now().boot;
        assert!(
            matches!(next, Do::Begin { step: 1, attempt: 1, not_before } if not_before > later),
            "{next:?}"
        );
    }
    let mut done = run.clone();
    done.ended(&job, now(), Outcome::Ok, wall(), 0);
    assert_eq!(done.next(wall()), Do::Record(Result::Done));
    run.not_taken(&job, now(), 0);
    assert_eq!(
        run.next(wall()),
        Do::Record(Result::Failed {
            step: 1,
            reason: FailReason::Undelivered
        })
    );
}

#[test]
fn unknown_keeps_the_lease_until_the_latest_possible_end() {
    let job = job(1, &[]);
    let mut run = Run::new();
    run.ended(&job, now(), Outcome::Unknown, wall(), 0);
    let end = later(wall(), Duration::from_secs(3_600 + 60));
    assert_eq!(run.next(wall()), Do::KeepUntil(end));
    assert_eq!(
        run.next(end),
        Do::Record(Result::Failed {
            step: 1,
            reason: FailReason::Unknown
        })
    );
}

#[test]
fn a_superseded_claim_does_nothing_more() {
    let job = job(2, &[When::Always]);
    assert_eq!(play(&job, &[Outcome::Superseded]).1, Do::Nothing);
}

#[test]
fn a_stopped_run_cleans_up_and_says_stopped_but_finished_work_is_committed() {
    let job = job(2, &[When::Always]);
    let mut run = Run::new();
    run.stopped(&job, 0);
    assert!(matches!(run.next(wall()), Do::Begin { step: 3, .. }));
    run.ended(&job, now(), Outcome::Ok, wall(), 0);
    assert_eq!(
        run.next(wall()),
        Do::Record(Result::Failed {
            step: 0,
            reason: FailReason::Stopped
        })
    );
    let mut done = Run::new();
    done.ended(&job, now(), Outcome::Ok, wall(), 0);
    done.ended(&job, now(), Outcome::Ok, wall(), 0);
    done.stopped(&job, 2);
    done.ended(&job, now(), Outcome::Ok, wall(), 0);
    assert_eq!(done.next(wall()), Do::Record(Result::Done));
}
