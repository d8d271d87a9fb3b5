//! A run's way through a step that reboots its node.

use std::time::Duration;

use super::*;
use crate::model::id::RunId;
use crate::model::job::StepAction;
use crate::model::job::tests::{sample, step};
use crate::model::lock::LockState;
use crate::model::node::{Activity, Command, Handle};
use crate::model::record::FailReason;
use crate::model::run::{Do, Result};
use crate::model::suspect::LeftRun;
use crate::model::time::Moment;
use crate::model::view::tests::now as wall;

use Outcome::{
    Busy, Failed, NotBack, Ok as Good, Rebooting, Superseded, TooLate, Undelivered, Unknown,
    Unreachable,
};

/// Step 1 reboots, step 2 does not.
fn job(retries: u32) -> Job {
    let mut job = sample();
    job.steps = vec![step("reboot", ""), step("after", "true")];
    job.steps[0].action = StepAction::Reboot { ready: None };
    job.steps[0].timeout = Duration::from_secs(600);
    job.steps[0].retries = retries;
    job
}

fn at(seconds: u64) -> Now {
    Now {
        wall: later(wall(), Duration::from_secs(seconds)),
        boot: Moment(Duration::from_secs(100 + seconds)),
    }
}

/// Plays outcomes, each so many seconds after the beginning; tells what is begun next, or the record.
fn play(job: &Job, mut run: Run, outcomes: &[(u64, Outcome)]) -> (Option<(u32, u32)>, Run) {
    for (seconds, outcome) in outcomes {
        let now = at(*seconds);
        assert!(matches!(run.next(now.wall), Do::Begin { .. }), "{run:?}");
        run.ended(job, now, *outcome, now.wall, 0);
    }
    let next = match run.next(at(1_000_000).wall) {
        Do::Begin { step, attempt, .. } => Some((step, attempt)),
        _ => None,
    };
    (next, run)
}

/// A run that was left in its reboot.
fn left(job: &Job) -> LeftRun {
    LeftRun {
        job: job.name.clone(),
        task: job.task.clone(),
        run: RunId::new(7, 7),
        step: 1,
        state: LockState::Parked,
        file: job.file_digest(),
    }
}

fn adopted(job: &Job, commands: &[Command]) -> Run {
    Run::adopted(job, &left(job), commands)
}

fn command(attempt: u32, activity: Activity) -> Command {
    Command {
        job: sample().name,
        run: RunId::new(7, 7),
        step: 1,
        attempt,
        activity,
        handle: Some(Handle {
            ticket: format!("1.{attempt}"),
            sent: wall(),
            latest_end: at(900).wall,
        }),
    }
}

#[test]
fn while_the_node_is_away_the_same_attempt_is_sent_again_whatever_the_sends_come_to() {
    let job = job(0);
    let table: [(&[Outcome], (u32, u32)); 6] = [
        (&[Rebooting], (1, 1)),
        (
            &[Rebooting, Unreachable, Undelivered, TooLate, Unknown],
            (1, 1),
        ),
        (&[Unknown, Undelivered], (1, 1)),
        (&[Rebooting, Unknown, Busy], (1, 1)),
        (&[Rebooting, Unreachable, Good], (2, 1)),
        (&[Good], (2, 1)),
    ];
    for (outcomes, expected) in table {
        let timed: Vec<_> = (1..).zip(outcomes.iter().copied()).collect();
        let (next, run) = play(&job, Run::new(), &timed);
        assert_eq!(next, Some(expected), "{outcomes:?}");
        assert_eq!(run.result(), Result::Done, "{outcomes:?}");
    }
}

#[test]
fn a_node_is_asked_at_first_after_seconds_and_then_every_half_minute() {
    let job = job(0);
    let mut run = Run::new();
    let mut waits = Vec::new();
    for _ in 0..8 {
        run.ended(&job, at(0), Rebooting, wall(), u128::MAX);
        let Do::Begin { not_before, .. } = run.next(wall()) else {
            panic!("nothing to begin: {run:?}");
        };
        waits.push(not_before.since(at(0).boot).as_secs());
        assert!(run.has_begun_reboot() && run.asks_after_reboot());
    }
    assert!(waits[0] == 5 && waits.is_sorted(), "{waits:?}");
    assert_eq!(waits.last(), Some(&30));
}

#[test]
fn a_node_that_stays_away_is_not_back_and_one_that_never_answered_is_unknown() {
    let table = [
        (0, Rebooting, Unreachable, (1, FailReason::NotBack)),
        (0, Unknown, Unreachable, (1, FailReason::Unknown)),
        (0, Rebooting, NotBack, (1, FailReason::NotBack)),
        (0, Rebooting, Failed, (1, FailReason::Failed)),
    ];
    for (retries, first, last, (step, reason)) in table {
        let (next, run) = play(&job(retries), Run::new(), &[(0, first), (659, first)]);
        assert_eq!(next, Some((1, 1)), "{first}");
        let (next, run) = play(&job(retries), run, &[(661, last)]);
        assert_eq!(next, None, "{first} {last}");
        assert_eq!(run.result(), Result::Failed { step, reason });
    }
}

#[test]
fn a_retry_is_a_reboot_of_its_own() {
    let (next, run) = play(
        &job(1),
        Run::new(),
        &[(0, Rebooting), (700, Unreachable), (701, Rebooting)],
    );
    assert_eq!(next, Some((1, 2)));
    assert_eq!(run.amounts_to(&job(1), at(702).wall, Rebooting), None);
    let over = run.amounts_to(&job(1), at(1_400).wall, Rebooting);
    assert_eq!(over, Some(NotBack), "its time is counted anew");
}

#[test]
fn what_never_reached_the_node_and_what_is_refused_are_what_they_are_at_every_step() {
    let job = job(0);
    for outcome in [Undelivered, Unreachable, Failed] {
        let (next, run) = play(&job, Run::new(), &[(0, outcome)]);
        assert_eq!(next, None, "{outcome}");
        let reason = outcome.meaning().fail.expect("it fails");
        assert_eq!(run.result(), Result::Failed { step: 1, reason });
    }
    let (_, run) = play(&job, Run::new(), &[(0, Rebooting), (9, Superseded)]);
    assert_eq!(run.next(wall()), Do::Nothing);
    // Another step is never asked after like this.
    let (next, run) = play(&job, Run::new(), &[(0, Good), (1, Undelivered)]);
    assert_eq!((next, run.has_begun_reboot()), (None, false));
}

#[test]
fn an_adopter_sends_the_attempt_again_of_which_it_finds_no_end() {
    let job = job(0);
    let unknown = Activity::Unknown {
        latest_end: at(900).wall,
    };
    let finished = Activity::Finished;
    // Nothing is found; of nothing the end is known; and the journal says that it rebooted, or how it ended.
    for (commands, found, next) in [
        (vec![], None, (1, 1)),
        (vec![command(1, unknown)], None, (1, 1)),
        (vec![command(1, finished)], Some(Rebooting), (1, 1)),
        (
            vec![command(1, Activity::InProgress)],
            Some(Unknown),
            (1, 1),
        ),
        (vec![command(1, finished)], Some(Good), (2, 1)),
    ] {
        let mut run = adopted(&job, &commands);
        if let Some(outcome) = found {
            assert!(matches!(run.next(wall()), Do::Attach { .. }));
            run.found(&job, outcome, at(900).wall, false);
        }
        assert_eq!(run.has_begun_reboot(), found == Some(Rebooting));
        assert!(!run.asks_after_reboot(), "this runner has not sent it");
        // At once: an adopter keeps no lease for something that may be running.
        let Do::Begin { step, attempt, .. } = run.next(wall()) else {
            panic!("{found:?}: {run:?}");
        };
        assert_eq!((step, attempt), next, "{found:?}");
    }
}

#[test]
fn the_time_of_an_adopted_reboot_is_over_when_its_first_sends_is_but_the_node_is_asked_once() {
    let job = job(0);
    let mut run = adopted(&job, &[command(1, Activity::Finished)]);
    run.found(&job, Rebooting, at(900).wall, false);
    let (next, run) = play(&job, run, &[(5_000, Unreachable)]);
    assert_eq!(next, Some((1, 1)), "asked once more");
    let (next, run) = play(&job, run, &[(5_010, Unreachable)]);
    assert_eq!(next, None);
    let reason = FailReason::NotBack;
    assert_eq!(run.result(), Result::Failed { step: 1, reason });
}

#[test]
fn two_sends_of_one_reboot_are_one_attempt_and_a_later_attempt_goes_first() {
    let job = job(1);
    let twice = [
        command(1, Activity::Finished),
        command(1, Activity::Finished),
    ];
    for (first, second, next) in [
        (Rebooting, Undelivered, (1, 1)),
        (Rebooting, Good, (2, 1)),
        (Undelivered, Rebooting, (1, 1)),
    ] {
        let mut run = adopted(&job, &twice);
        run.found(&job, first, at(900).wall, false);
        run.found(&job, second, at(900).wall, false);
        let Do::Begin { step, attempt, .. } = run.next(wall()) else {
            panic!("{first} {second}: {run:?}");
        };
        assert_eq!((step, attempt), next, "{first} {second}");
    }
    let mut run = adopted(
        &job,
        &[
            command(1, Activity::Finished),
            command(2, Activity::Finished),
        ],
    );
    run.found(&job, Rebooting, at(900).wall, false);
    run.found(&job, Rebooting, at(900).wall, false);
    assert!(matches!(run.next(wall()), Do::Begin { attempt: 2, .. }));
}

#[test]
fn whoever_stops_the_run_is_told_until_when_the_node_may_reboot() {
    let job = job(1);
    let run = Run::new();
    assert_eq!(run.reboot_over_by(), None, "nothing was sent");
    let (_, run) = play(&job, run, &[(0, Undelivered)]);
    assert_eq!(run.reboot_over_by(), None, "nothing has reached it");
    let (_, run) = play(&job, Run::new(), &[(0, Unknown)]);
    assert_eq!(run.reboot_over_by(), Some(at(660).wall));
    let (_, run) = play(&job, run, &[(40, Rebooting)]);
    assert_eq!(
        run.reboot_over_by(),
        Some(at(700).wall),
        "by its latest send"
    );
    let (_, run) = play(&job, run, &[(80, Good)]);
    assert_eq!(run.reboot_over_by(), None, "it has ended");
}

/// The node's reboot is another step's by the new file: nobody can ask after it.
#[test]
fn with_another_job_file_a_reboot_is_left_alone_until_it_is_over() {
    let job = job(0);
    let left = LeftRun {
        file: "00000000".parse().expect("a digest"),
        ..left(&job)
    };
    let mut run = Run::adopted(&job, &left, &[command(1, Activity::InProgress)]);
    assert!(matches!(run.next(at(0).wall), Do::Attach { .. }), "{run:?}");
    run.found(&job, Rebooting, at(900).wall, false);
    assert_eq!(run.next(at(10).wall), Do::KeepUntil(at(900).wall));
}

/// Found by the simulator: an adopter's own send began the reboot that the dead runner's had not, after that one's time.
#[test]
fn a_reboot_that_begins_late_has_its_own_time() {
    let job = job(0);
    let lost = Activity::Unknown {
        latest_end: at(100).wall,
    };
    let run = adopted(&job, &[command(1, lost)]);
    let (next, run) = play(&job, run, &[(110, Rebooting), (130, Rebooting)]);
    assert_eq!(next, Some((1, 1)), "it is asked after");
    let (next, _) = play(&job, run.clone(), &[(700, Undelivered)]);
    assert_eq!(next, Some((1, 1)), "its ten minutes are not over");
    let (_, run) = play(&job, run, &[(771, Undelivered)]);
    assert_eq!(
        run.result(),
        Result::Failed {
            step: 1,
            reason: FailReason::NotBack
        }
    );
}
