//! Adopted runs that end without success, and how.

use super::*;

#[test]
fn an_unknown_end_keeps_the_lease_and_is_no_success() {
    let mut job = job(1, &[When::Always]);
    let gone = [command(1, 1, Activity::Unknown { latest_end: end() })];
    let run = Run::adopted(&job, &left(&job, 1, HELD), &gone);
    assert_eq!(run.next(wall()), Do::KeepUntil(end()));
    let unknown = failed(1, FailReason::Unknown);
    tells(&job, (1, HELD), &gone, &[], ("keep, begin 2.1", unknown));
    // It may also turn out so while it is watched.
    tells(
        &job,
        (1, HELD),
        &[running(1, 1)],
        &[(1, 1, Unknown)],
        ("watch 1.1, keep, begin 2.1", unknown),
    );
    job.steps[0].retries = 1;
    tells(
        &job,
        (1, HELD),
        &gone,
        &[],
        ("keep, begin 1.2, begin 2.1", Result::Done),
    );
}

#[test]
fn a_run_whose_steps_nobody_can_vouch_for_any_more_is_never_done() {
    let two = job(2, &[When::Always]);
    let unknown = |step| failed(step, FailReason::Unknown);
    tells(&two, (3, HELD), &[], &[], ("begin 3.1", unknown(1)));
    tells(
        &two,
        (3, HELD),
        &[ended(1, 1)],
        &[],
        ("watch 1.1, begin 3.1", unknown(2)),
    );
    tells(
        &two,
        (3, HELD),
        &[running(3, 1)],
        &[],
        ("watch 3.1", unknown(1)),
    );
    // Whatever the steps seem to say: this clean-up is only for runs that have failed.
    let sad = job(1, &[When::Failed, When::Always]);
    tells(
        &sad,
        (2, HELD),
        &[ended(1, 1)],
        &[],
        ("watch 1.1, begin 2.1, begin 3.1", unknown(1)),
    );
    tells(
        &sad,
        (3, HELD),
        &[ended(1, 1), ended(2, 1)],
        &[],
        ("watch 1.1, watch 2.1, begin 3.1", unknown(1)),
    );
    tells(
        &sad,
        (3, HELD),
        &[ended(1, 1)],
        &[],
        ("watch 1.1, begin 3.1", Result::Done),
    );
}

#[test]
fn a_run_that_was_being_stopped_is_ended() {
    let job = job(2, &[When::Always]);
    let stopping = LockState::Stopping;
    let stopped = |step| failed(step, FailReason::Stopped);
    tells(&job, (0, stopping), &[], &[], ("begin 3.1", stopped(0)));
    tells(&job, (1, stopping), &[], &[], ("begin 3.1", stopped(1)));
    tells(
        &job,
        (1, stopping),
        &[running(1, 1)],
        &[],
        ("end 1.1, begin 3.1", stopped(1)),
    );
    tells(
        &job,
        (1, stopping),
        &[ended(1, 1)],
        &[],
        ("watch 1.1, begin 3.1", stopped(1)),
    );
    tells(
        &job,
        (1, stopping),
        &[ended(1, 1)],
        &[(1, 1, Failed)],
        ("watch 1.1, begin 3.1", failed(1, FailReason::Failed)),
    );
    // Told too late: the last step has succeeded, and finished work is committed.
    tells(
        &job,
        (2, stopping),
        &[ended(2, 1)],
        &[],
        ("watch 2.1, begin 3.1", Result::Done),
    );
    tells(
        &job,
        (3, stopping),
        &[ended(1, 1), running(3, 1)],
        &[(1, 1, Interrupted)],
        ("watch 1.1, watch 3.1", stopped(1)),
    );
    tells(&job, (3, stopping), &[], &[], ("begin 3.1", stopped(1)));
    assert!(Run::adopted(&job, &left(&job, 1, stopping), &[]).is_stopping());
    assert!(!Run::adopted(&job, &left(&job, 1, HELD), &[]).is_stopping());
}

#[test]
fn under_another_job_file_what_runs_is_watched_and_only_clean_up_follows() {
    let job = job(1, &[When::Always]);
    let adopted = |step, found: &[Command]| {
        let mut left = left(&job, step, HELD);
        left.file = "00000000".parse().expect("a digest");
        Run::adopted(&job, &left, found)
    };
    let tells = |step, found: &[Command], expected: &str| {
        let (words, result) = story(&job, adopted(step, found), |_, _| Good);
        let changed = failed(step, FailReason::JobChanged);
        assert_eq!(
            (words.join(", ").as_str(), result),
            (expected, Some(changed))
        );
    };
    tells(0, &[], "begin 2.1001");
    tells(1, &[ended(1, 1)], "begin 2.1001");
    tells(
        3,
        &[ended(1, 1), ended(2, 1), running(3, 1)],
        "watch 3.1, begin 2.1001",
    );
    // What an earlier adopter under this file has begun is gone on with.
    tells(3, &[ended(3, 1), running(2, 1_001)], "watch 2.1001");
    let gone = Activity::Unknown { latest_end: end() };
    tells(3, &[command(3, 1, gone)], "keep, begin 2.1001");
    // The lock says that it is being ended before anything of this file is begun.
    assert!(!adopted(3, &[running(3, 1)]).is_stopping());
    assert!(adopted(3, &[ended(3, 1)]).is_stopping());
}

#[test]
fn a_signal_ends_what_an_earlier_claim_has_begun() {
    let job = job(2, &[When::Always]);
    let found = [running(1, 1)];
    let mut run = Run::adopted(&job, &left(&job, 1, HELD), &found);
    run.stopped(&job, 1);
    let (words, result) = story(&job, run, |_, _| Good);
    assert_eq!(
        (words.join(", ").as_str(), result),
        ("end 1.1, begin 3.1", Some(failed(1, FailReason::Stopped)))
    );
    let mut run = Run::adopted(&job, &left(&job, 1, HELD), &found);
    run.found(&job, Interrupted, end(), true);
    let (words, result) = story(&job, run, |_, _| Good);
    assert_eq!(
        (words.join(", ").as_str(), result),
        ("begin 3.1", Some(failed(1, FailReason::Stopped)))
    );
}
