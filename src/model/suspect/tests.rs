//! What evidence and tags make of a lock that was left.

mod shown;

use super::*;
use crate::model::id::ClaimId;
use crate::model::lock::tests::sample;
use crate::model::view::tests::{node, now, rules, view};

fn before(seconds: u64) -> Timestamp {
    now()
        .checked_sub(jiff::SignedDuration::from_secs(
            i64::try_from(seconds).expect("small"),
        ))
        .expect("a time")
}

/// A lock of our job whose lease ended so many seconds ago.
fn expired(seconds: u64) -> Lock {
    let began = u64::try_from(before(seconds + 3_600).as_millisecond()).expect("after 1970");
    Lock {
        set: rules().lease.set(),
        until: before(seconds),
        run: RunId::new(began, 1),
        claim: ClaimId::new(began, 2),
        ..sample()
    }
}

fn command(job: &str, run: RunId, activity: Activity) -> Command {
    Command {
        job: Name::new(job).expect("a name"),
        run,
        step: 1,
        attempt: 1,
        activity,
        handle: None,
    }
}

fn ask(lock: &Lock, tags: &[(&str, &str)], commands: Vec<Command>) -> Answer {
    let node = node("a", tags);
    let mut view = view(vec![node.clone()]);
    view.evidence
        .insert(node.id.clone(), Evidence::Commands(commands));
    judge(&rules(), &view, &node, lock)
}

fn reason(answer: &Answer) -> Option<(Reason, Option<Timestamp>)> {
    match answer {
        Answer::Wait { reason, until, .. } => Some((*reason, *until)),
        Answer::Remove | Answer::Adopt(_) | Answer::TakeOver(_) => None,
    }
}

fn adopted(answer: &Answer) -> Option<RunId> {
    match answer {
        Answer::Adopt(left) => Some(left.run),
        Answer::Wait { .. } | Answer::Remove | Answer::TakeOver(_) => None,
    }
}

#[test]
fn a_lease_blocks_until_its_end_and_is_left_alone_for_the_margin() {
    let mut held = expired(0);
    held.until = later(now(), Duration::from_secs(60));
    assert_eq!(
        reason(&ask(&held, &[], vec![])),
        Some((Reason::Locked, Some(held.until)))
    );
    let suspect = expired(299);
    assert_eq!(
        reason(&ask(&suspect, &[], vec![])),
        Some((Reason::Suspect, Some(later(now(), Duration::from_secs(1)))))
    );
    assert_eq!(
        adopted(&ask(&expired(300), &[], vec![])),
        Some(expired(300).run)
    );
}

#[test]
fn a_lock_with_other_settings_blocks_for_an_hour_and_is_then_like_any_other() {
    let mut other = expired(3_599);
    other.set = sample().set;
    assert_ne!(other.set, rules().lease.set());
    assert_eq!(
        reason(&ask(&other, &[], vec![])).map(|(reason, _)| reason),
        Some(Reason::Locked)
    );
    other.until = before(3_600);
    assert_eq!(adopted(&ask(&other, &[], vec![])), Some(other.run));
}

#[test]
fn a_run_that_ended_leaves_only_a_lock_to_remove() {
    let lock = expired(400);
    let at_began = format_stamp(
        Timestamp::from_millisecond(i64::try_from(lock.run.began_ms()).expect("small"))
            .expect("a time"),
    );
    assert_eq!(
        ask(&lock, &[("last-repair", &at_began)], vec![]),
        Answer::Remove
    );
    let fail = Fail {
        count: 1,
        at: now(),
        run: lock.run,
        step: 1,
        reason: "failed".to_owned(),
    }
    .format();
    assert_eq!(
        ask(&lock, &[("fail-repair", &fail)], vec![]),
        Answer::Remove
    );
    let earlier = Fail {
        count: 1,
        at: now(),
        run: RunId::new(1, 1),
        step: 1,
        reason: "failed".to_owned(),
    }
    .format();
    assert_eq!(
        adopted(&ask(&lock, &[("fail-repair", &earlier)], vec![])),
        Some(lock.run)
    );
}

#[test]
fn a_claim_that_never_settled_is_removed_unless_it_adopted_or_hides_a_run() {
    let lock = Lock {
        state: LockState::Settling,
        step: 0,
        ..expired(400)
    };
    assert_eq!(ask(&lock, &[], vec![]), Answer::Remove);
    let adopting = Lock {
        was: Some(LockState::Held),
        ..lock.clone()
    };
    assert_eq!(adopted(&ask(&adopting, &[], vec![])), Some(lock.run));
    let hidden = command("repair", RunId::new(7, 7), Activity::Finished);
    assert_eq!(
        adopted(&ask(&lock, &[], vec![hidden])),
        Some(RunId::new(7, 7))
    );
}

#[test]
fn what_is_in_progress_is_busy_for_every_job_but_its_own() {
    let lock = expired(100_000);
    let end = later(now(), Duration::from_secs(30));
    for (activity, until) in [
        (Activity::InProgress, None),
        (Activity::Unknown { latest_end: end }, Some(end)),
    ] {
        let others = command("backup", RunId::new(7, 7), activity);
        assert_eq!(
            reason(&ask(&lock, &[], vec![others])),
            Some((Reason::Busy, until))
        );
        let own = command("repair", RunId::new(7, 7), activity);
        assert_eq!(
            adopted(&ask(&lock, &[], vec![own.clone()])),
            Some(RunId::new(7, 7)),
            "it is watched, whatever run the lock names"
        );
        assert_eq!(
            reason(&ask(&expired(299), &[], vec![own])).map(|(reason, _)| reason),
            Some(Reason::Suspect),
            "but not before the margin has passed"
        );
    }
    let over = command("repair", lock.run, Activity::Unknown { latest_end: now() });
    assert_eq!(adopted(&ask(&lock, &[], vec![over])), Some(lock.run));
}

#[test]
fn a_run_that_evidence_shows_goes_before_the_name_in_the_lock() {
    let lock = expired(400);
    let fail = Fail {
        count: 1,
        at: now(),
        run: lock.run,
        step: 1,
        reason: "failed".to_owned(),
    };
    let tags = [("fail-repair", &*fail.format())];
    let later_run = RunId::new(lock.run.began_ms() + 1, 1);
    let hidden = command("repair", later_run, Activity::Finished);
    assert_eq!(adopted(&ask(&lock, &tags, vec![hidden])), Some(later_run));
    let same = command("repair", lock.run, Activity::Finished);
    assert_eq!(ask(&lock, &tags, vec![same]), Answer::Remove);
}

#[test]
fn a_run_is_adopted_as_far_as_it_has_come_and_in_the_state_it_was_in() {
    let mut lock = expired(400);
    lock.state = LockState::Settling;
    lock.was = Some(LockState::Stopping);
    let mut second = command("repair", lock.run, Activity::Finished);
    second.step = 2;
    let Answer::Adopt(left) = ask(&lock, &[], vec![second]) else {
        panic!("it is adopted");
    };
    assert_eq!(
        (left.step, left.state, left.file),
        (2, LockState::Stopping, lock.file)
    );
}

#[test]
fn a_parked_run_is_adopted_by_its_own_job_at_any_time_and_by_others_never_before_the_margin() {
    let mut lock = expired(0);
    lock.until = later(now(), Duration::from_secs(600));
    lock.state = LockState::Parked;
    assert_eq!(adopted(&ask(&lock, &[], vec![])), Some(lock.run));
    let running = command("repair", lock.run, Activity::InProgress);
    assert_eq!(adopted(&ask(&lock, &[], vec![running])), Some(lock.run));
    lock.job = Name::new("backup").expect("a name");
    assert_eq!(
        reason(&ask(&lock, &[], vec![])),
        Some((
            Reason::Parked,
            Some(later(lock.until, Duration::from_secs(300)))
        ))
    );
}

#[test]
fn evidence_that_cannot_be_had_blocks() {
    let node = node("a", &[]);
    let mut view = view(vec![node.clone()]);
    view.evidence
        .insert(node.id.clone(), Evidence::Unavailable("denied".to_owned()));
    assert_eq!(
        reason(&judge(&rules(), &view, &node, &expired(400))),
        Some((Reason::Busy, None))
    );
}

#[test]
fn another_jobs_run_is_abandoned_at_once_or_a_day_after_a_finished_step() {
    let mut lock = expired(400);
    lock.job = Name::new("backup").expect("a name");
    lock.task = Name::new("nightly").expect("a name");
    let abandoned = Answer::TakeOver(LeftRun {
        job: lock.job.clone(),
        task: lock.task.clone(),
        run: lock.run,
        step: 1,
        state: LockState::Held,
        file: lock.file,
    });
    assert_eq!(ask(&lock, &[], vec![]), abandoned);
    let finished = command("backup", lock.run, Activity::Finished);
    assert_eq!(
        reason(&ask(&lock, &[], vec![finished.clone()])),
        Some((Reason::Suspect, Some(later(lock.until, FINISHED_FOR))))
    );
    lock.until = before(86_400);
    assert_eq!(ask(&lock, &[], vec![finished]), abandoned);
}

#[test]
fn a_stopped_instance_has_nothing_in_progress() {
    let mut node = node("a", &[]);
    node.service = Service::Out {
        why: "instance is stopped".to_owned(),
        stopped: true,
    };
    let mut view = view(vec![node.clone()]);
    let lock = expired(400);
    view.evidence.insert(
        node.id.clone(),
        Evidence::Commands(vec![command("repair", lock.run, Activity::InProgress)]),
    );
    assert_eq!(
        adopted(&judge(&rules(), &view, &node, &lock)),
        Some(lock.run)
    );
}
