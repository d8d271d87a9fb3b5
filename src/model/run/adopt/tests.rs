//! What an adopted run does with what is found of it.

mod ending;

use std::time::Duration;

use super::*;
use crate::model::id::{Name, RunId};
use crate::model::job::tests::{sample, step};
use crate::model::job::{Cleanup, On};
use crate::model::node::Handle;
use crate::model::run::{Do, END_SLACK, Result};
use crate::model::time::later;
use crate::model::time::{Moment, Now};
use crate::model::view::tests::now as wall;

use Outcome::{Busy, Failed, Interrupted, Ok as Good, Superseded, Undelivered, Unknown};

const RUN: (u64, u128) = (7, 7);

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

fn left(job: &Job, step: u32, state: LockState) -> LeftRun {
    LeftRun {
        job: job.name.clone(),
        task: job.task.clone(),
        run: RunId::new(RUN.0, RUN.1),
        step,
        state,
        file: job.file_digest(),
    }
}

fn end() -> Timestamp {
    later(wall(), Duration::from_secs(9_000))
}

/// A command of the run, as evidence shows it.
fn command(step: u32, attempt: u32, activity: Activity) -> Command {
    Command {
        job: sample().name,
        run: RunId::new(RUN.0, RUN.1),
        step,
        attempt,
        activity,
        handle: Some(Handle {
            ticket: format!("{step}.{attempt}"),
            sent: wall(),
            latest_end: end(),
        }),
    }
}

fn ended(step: u32, attempt: u32) -> Command {
    command(step, attempt, Activity::Finished)
}

fn running(step: u32, attempt: u32) -> Command {
    command(step, attempt, Activity::InProgress)
}

/// What a run does, in words, until it has something to record; everything ends as `outcome` says.
fn story(
    job: &Job,
    mut run: Run,
    outcome: impl Fn(u32, u32) -> Outcome,
) -> (Vec<String>, Option<Result>) {
    let mut words = Vec::new();
    let mut now = Now {
        wall: wall(),
        boot: Moment(Duration::from_secs(100)),
    };
    for _ in 0..60 {
        match run.next(now.wall) {
            Do::Attach { command, cancel } => {
                let Command { step, attempt, .. } = command;
                let verb = if cancel { "end" } else { "watch" };
                words.push(format!("{verb} {step}.{attempt}"));
                let result = if cancel {
                    Interrupted
                } else {
                    outcome(step, attempt)
                };
                run.found(job, result, end(), cancel);
            }
            Do::Begin {
                step,
                attempt,
                not_before,
            } => {
                words.push(format!("begin {step}.{attempt}"));
                now.boot = now.boot.max(not_before);
                run.ended(job, now, outcome(step, attempt), now.wall, 0);
            }
            Do::KeepUntil(until) => {
                words.push("keep".to_owned());
                now.wall = until;
            }
            Do::Record(result) => return (words, Some(result)),
            Do::Release | Do::Nothing => return (words, None),
        }
    }
    panic!("no end: {words:?}");
}

/// The story of an adopted run of which everything that is not told otherwise succeeds.
#[track_caller]
fn tells(
    job: &Job,
    (step, state): (u32, LockState),
    found: &[Command],
    outcomes: &[(u32, u32, Outcome)],
    expected: (&str, Result),
) {
    let run = Run::adopted(job, &left(job, step, state), found);
    let outcome = |step, attempt| {
        let told = outcomes
            .iter()
            .find(|told| (told.0, told.1) == (step, attempt));
        told.map_or(Good, |told| told.2)
    };
    let (words, result) = story(job, run, outcome);
    assert_eq!(
        (words.join(", ").as_str(), result),
        (expected.0, Some(expected.1))
    );
}

fn failed(step: u32, reason: FailReason) -> Result {
    Result::Failed { step, reason }
}

const HELD: LockState = LockState::Held;

#[test]
fn what_evidence_shows_is_watched_and_what_it_does_not_show_is_begun() {
    let two = job(2, &[When::Always]);
    let rest = "begin 2.1, begin 3.1";
    // Nothing was begun; the write was made and the send was not; it runs; it has ended.
    tells(
        &two,
        (0, HELD),
        &[],
        &[],
        (&format!("begin 1.1, {rest}"), Result::Done),
    );
    tells(
        &two,
        (1, HELD),
        &[],
        &[],
        (&format!("begin 1.1, {rest}"), Result::Done),
    );
    tells(
        &two,
        (1, HELD),
        &[running(1, 1)],
        &[],
        (&format!("watch 1.1, {rest}"), Result::Done),
    );
    tells(
        &two,
        (1, HELD),
        &[ended(1, 1)],
        &[],
        (&format!("watch 1.1, {rest}"), Result::Done),
    );
    // Evidence knows of more than the lock.
    tells(
        &two,
        (0, HELD),
        &[ended(1, 1)],
        &[],
        (&format!("watch 1.1, {rest}"), Result::Done),
    );
    // What lies below the step begun last has succeeded.
    tells(
        &two,
        (2, HELD),
        &[ended(1, 1), running(2, 1)],
        &[],
        ("watch 2.1, begin 3.1", Result::Done),
    );
    tells(
        &two,
        (1, HELD),
        &[ended(1, 1), running(2, 1)],
        &[],
        ("watch 2.1, begin 3.1", Result::Done),
    );
}

#[test]
fn attempts_are_judged_in_their_turn() {
    let mut job = job(1, &[]);
    job.steps[0].retries = 2;
    let all = [ended(1, 1), ended(1, 2)];
    let out = (3, FailReason::Failed);
    tells(
        &job,
        (1, HELD),
        &all,
        &[(1, 1, Failed)],
        ("watch 1.1, watch 1.2", Result::Done),
    );
    tells(
        &job,
        (1, HELD),
        &all,
        &[(1, 1, Failed), (1, 2, Failed), (1, 3, Failed)],
        ("watch 1.1, watch 1.2, begin 1.3", failed(1, out.1)),
    );
    // The first was refused by the executor, which then does not show it.
    tells(
        &job,
        (1, HELD),
        &[running(1, 2)],
        &[],
        ("watch 1.2", Result::Done),
    );
    tells(
        &job,
        (1, HELD),
        &[running(1, 2)],
        &[(1, 2, Failed), (1, 3, Failed)],
        ("watch 1.2, begin 1.3", failed(1, out.1)),
    );
    job.steps[0].retries = 0;
    tells(
        &job,
        (1, HELD),
        &[ended(1, 1)],
        &[(1, 1, Failed)],
        ("watch 1.1", failed(1, out.1)),
    );
}

#[test]
fn of_an_attempt_that_was_sent_twice_the_one_that_was_executed_counts() {
    let mut job = job(1, &[]);
    job.steps[0].retries = 1;
    for refused in [Busy, Undelivered, Superseded] {
        let twice = [ended(1, 1), running(1, 1)];
        // What runs is asked first.
        tells(&job, (1, HELD), &twice, &[], ("watch 1.1", Result::Done));
        let run = Run::adopted(&job, &left(&job, 1, HELD), &[ended(1, 1), ended(1, 1)]);
        let asked = std::cell::Cell::new(0);
        let (words, result) = story(&job, run, |_, _| {
            asked.set(asked.get() + 1);
            if asked.get() == 1 { refused } else { Good }
        });
        assert_eq!(
            (words.join(", ").as_str(), result),
            ("watch 1.1, watch 1.1", Some(Result::Done))
        );
    }
    // That a later claim has been there says nothing of the own one.
    let one = [ended(1, 1)];
    tells(
        &job,
        (1, HELD),
        &one,
        &[(1, 1, Superseded)],
        ("watch 1.1, begin 1.2", Result::Done),
    );
}

#[test]
fn clean_up_that_had_begun_goes_on_and_the_steps_are_judged_by_evidence_alone() {
    let job2 = job(2, &[When::Always, When::Always]);
    let steps = [ended(1, 1), ended(2, 1)];
    let with = |more: &[Command]| [&steps[..], more].concat();
    tells(
        &job2,
        (3, HELD),
        &steps,
        &[],
        ("watch 2.1, begin 3.1, begin 4.1", Result::Done),
    );
    tells(
        &job2,
        (3, HELD),
        &with(&[running(3, 1)]),
        &[],
        ("watch 2.1, watch 3.1, begin 4.1", Result::Done),
    );
    tells(
        &job2,
        (4, HELD),
        &with(&[ended(3, 1)]),
        &[(3, 1, Failed)],
        (
            "watch 2.1, watch 3.1, begin 4.1",
            Result::DoneUnclean { step: 3 },
        ),
    );
    // One beside roundsman leaves no evidence, and is not started again below what was begun last.
    tells(
        &job2,
        (4, HELD),
        &steps,
        &[],
        ("watch 2.1, begin 4.1", Result::Done),
    );
    tells(
        &job2,
        (4, HELD),
        &steps,
        &[(2, 1, Failed)],
        ("watch 2.1, begin 4.1", failed(2, FailReason::Failed)),
    );
}

#[test]
fn a_step_beside_roundsman_starts_again_only_if_it_was_begun_last() {
    let mut job = job(3, &[]);
    job.steps[1].on = On::Runner;
    tells(
        &job,
        (2, HELD),
        &[ended(1, 1)],
        &[],
        ("begin 2.1, begin 3.1", Result::Done),
    );
    tells(
        &job,
        (3, HELD),
        &[ended(1, 1), running(3, 1)],
        &[],
        ("watch 3.1", Result::Done),
    );
    tells(&job, (3, HELD), &[], &[], ("begin 3.1", Result::Done));
}

#[test]
fn an_attempt_that_still_runs_on_its_node_is_asked_for_again_and_no_other_is_sent() {
    let job = job(1, &[]);
    let mut run = Run::adopted(&job, &left(&job, 1, HELD), &[]);
    let mut now = Now {
        wall: wall(),
        boot: Moment(Duration::from_secs(100)),
    };
    let limit = now.boot.plus(job.steps[0].timeout + END_SLACK);
    let mut asked = 0;
    while now.boot < limit {
        let Do::Begin {
            step,
            attempt,
            not_before,
        } = run.next(now.wall)
        else {
            panic!("after {asked}");
        };
        assert_eq!((step, attempt), (1, 1));
        now.boot = now.boot.max(not_before);
        run.ended(&job, now, Busy, now.wall, 0);
        asked += 1;
    }
    assert!((15..60).contains(&asked), "{asked}");
    let reason = FailReason::Busy;
    let failed = Result::Failed { step: 1, reason };
    assert_eq!(run.next(now.wall), Do::Record(failed));
    let mut run = Run::adopted(&job, &left(&job, 1, HELD), &[]);
    run.ended(&job, now, Busy, now.wall, 0);
    run.ended(&job, now, Good, now.wall, 0);
    assert_eq!(run.next(now.wall), Do::Record(Result::Done));
}

#[test]
fn what_is_not_of_this_run_is_none_of_its_business() {
    let job = job(1, &[]);
    let other_run = Command {
        run: RunId::new(8, 8),
        ..running(1, 1)
    };
    let other_job = Command {
        job: Name::new("backup").expect("a name"),
        ..running(1, 1)
    };
    tells(
        &job,
        (1, HELD),
        &[other_run, other_job],
        &[],
        ("begin 1.1", Result::Done),
    );
}
