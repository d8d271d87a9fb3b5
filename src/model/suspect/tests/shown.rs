//! Which run it is that was left, and what accounts for it.

use super::*;

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn failed(run: RunId) -> String {
    Fail {
        count: 1,
        at: now(),
        run,
        step: 1,
        reason: "failed".to_owned(),
    }
    .format()
}

/// When the run began and so many seconds more, as a tag says it.
fn began_and(run: RunId, seconds: i64) -> String {
    let began = i64::try_from(run.began_ms() / 1_000).expect("small");
    format_stamp(Timestamp::from_second(began + seconds).expect("a time"))
}

/// A lock of another job, whose task has another name, that ended so long ago.
fn of_another(seconds: u64) -> Lock {
    Lock {
        job: name("backup"),
        task: name("nightly"),
        ..expired(seconds)
    }
}

#[test]
fn a_lease_blocks_until_the_moment_of_its_end_and_is_suspect_from_then_on() {
    let lock = expired(0);
    let free_at = later(lock.until, Duration::from_secs(300));
    let answer = ask(&lock, &[], vec![]);
    assert_eq!(reason(&answer), Some((Reason::Suspect, Some(free_at))));
}

#[test]
fn the_latest_step_of_the_latest_run_that_nothing_accounts_for_is_gone_on_with() {
    let lock = expired(400);
    let at = |run, step, attempt, activity| Command {
        step,
        attempt,
        ..command("repair", run, activity)
    };
    let (first, second) = (lock.run, RunId::new(lock.run.began_ms() + 2_000, 7));
    let (third, finished) = (RunId::new(1, 1), Activity::Finished);
    let commands = vec![
        at(first, 9, 9, finished),
        at(second, 2, 1, finished),
        at(second, 3, 1, finished),
        at(second, 2, 5, finished),
        at(third, 9, 9, finished),
    ];
    let expected = LeftRun {
        job: name("repair"),
        task: name("repair"),
        run: second,
        step: 3,
        state: LockState::Held,
        file: rules().job.file_digest(),
    };
    assert_ne!(expected.file, lock.file);
    let stopping = Lock {
        state: LockState::Stopping,
        ..lock
    };
    assert_eq!(ask(&stopping, &[], commands), Answer::Adopt(expected));
}

#[test]
fn a_run_of_another_job_that_evidence_shows_goes_by_the_task_that_is_known_of_it() {
    let hidden = command("backup", RunId::new(7, 7), Activity::Finished);
    for (lock, task) in [(expired(86_400), "backup"), (of_another(86_400), "nightly")] {
        let left = LeftRun {
            job: name("backup"),
            task: name(task),
            run: hidden.run,
            step: 1,
            state: LockState::Held,
            file: lock.file,
        };
        let answer = ask(&lock, &[], vec![hidden.clone()]);
        assert_eq!(answer, Answer::TakeOver(left));
        let waiting = Lock {
            until: before(86_399),
            ..lock
        };
        let answer = ask(&waiting, &[], vec![hidden.clone()]);
        let end = later(now(), Duration::from_secs(1));
        assert_eq!(reason(&answer), Some((Reason::Suspect, Some(end))));
    }
}

#[test]
fn the_run_of_another_job_is_accounted_for_by_its_own_tasks_tags_alone() {
    let lock = of_another(400);
    let (done, fail) = (began_and(lock.run, 0), failed(lock.run));
    for tag in [("last-nightly", &*done), ("fail-nightly", &*fail)] {
        assert_eq!(ask(&lock, &[tag], vec![]), Answer::Remove, "{tag:?}");
    }
    for tag in [("last-repair", &*done), ("fail-backup", &*fail)] {
        let answer = ask(&lock, &[tag], vec![]);
        assert!(matches!(answer, Answer::TakeOver(_)), "{tag:?}");
    }
}

#[test]
fn a_completion_before_the_second_in_which_a_run_began_does_not_account_for_it() {
    let mut lock = expired(400);
    lock.run = RunId::new(lock.run.began_ms() / 1_000 * 1_000 + 999, 1);
    let tagged = |seconds| {
        ask(
            &lock,
            &[("last-repair", &began_and(lock.run, seconds))],
            vec![],
        )
    };
    assert_eq!(tagged(0), Answer::Remove);
    assert_eq!(adopted(&tagged(-1)), Some(lock.run));
}

#[test]
fn the_failure_of_a_later_run_accounts_for_an_earlier_one() {
    let lock = expired(400);
    let fail = failed(RunId::new(lock.run.began_ms() + 1, 1));
    assert_eq!(
        ask(&lock, &[("fail-repair", &fail)], vec![]),
        Answer::Remove
    );
}

#[test]
fn a_parked_lock_that_hides_another_run_is_left_alone_like_any_other() {
    let mut lock = expired(0);
    lock.state = LockState::Parked;
    let hidden = command("repair", RunId::new(7, 7), Activity::Finished);
    let answer = ask(&lock, &[], vec![hidden]);
    let free_at = later(lock.until, Duration::from_secs(300));
    assert_eq!(reason(&answer), Some((Reason::Parked, Some(free_at))));
}

#[test]
fn where_nobody_keeps_evidence_the_lock_says_it_and_where_nobody_asked_it_blocks() {
    let node = node("a", &[]);
    let mut view = view(vec![node.clone()]);
    let lock = expired(400);
    view.evidence.insert(node.id.clone(), Evidence::None);
    let answer = judge(&rules(), &view, &node, &lock);
    assert_eq!(adopted(&answer), Some(lock.run));
    view.evidence.clear();
    let answer = judge(&rules(), &view, &node, &lock);
    assert_eq!(reason(&answer), Some((Reason::Busy, None)));
}

#[test]
fn what_another_job_sent_is_in_the_way_until_its_latest_end_and_no_longer() {
    let lock = expired(100_000);
    let sent = |latest_end| command("backup", RunId::new(7, 7), Activity::Unknown { latest_end });
    let next = later(now(), Duration::from_secs(1));
    let busy = ask(&lock, &[], vec![sent(next)]);
    assert_eq!(reason(&busy), Some((Reason::Busy, Some(next))));
    let over = ask(&lock, &[], vec![sent(now())]);
    assert!(matches!(over, Answer::TakeOver(_)), "{over:?}");
}

#[test]
fn a_stopped_instance_is_in_nobodys_way_once_it_was_asked() {
    let mut node = node("a", &[]);
    node.service = Service::Out {
        why: "instance is stopped".to_owned(),
        stopped: true,
    };
    let mut view = view(vec![node.clone()]);
    let lock = expired(400);
    let others = command("backup", RunId::new(7, 7), Activity::InProgress);
    let mut ask = |evidence| {
        view.evidence.insert(node.id.clone(), evidence);
        judge(&rules(), &view, &node, &lock)
    };
    let answer = ask(Evidence::Commands(vec![others]));
    assert_eq!(adopted(&answer), Some(lock.run));
    let answer = ask(Evidence::Unavailable("denied".to_owned()));
    assert_eq!(
        reason(&answer).map(|(reason, _)| reason),
        Some(Reason::Busy)
    );
}

#[test]
fn a_lock_is_not_removed_over_what_may_have_finished_before_its_instance_stopped() {
    let mut node = node("a", &[]);
    node.service = Service::Out {
        why: "instance is stopped".to_owned(),
        stopped: true,
    };
    let never_began = Lock {
        state: LockState::Settling,
        step: 0,
        ..expired(400)
    };
    let mut view = view(vec![node.clone()]);
    let mut ask = |commands| {
        let commands = Evidence::Commands(commands);
        view.evidence.insert(node.id.clone(), commands);
        judge(&rules(), &view, &node, &never_began)
    };
    assert_eq!(ask(Vec::new()), Answer::Remove);
    let unseen = command("repair", RunId::new(7, 7), Activity::InProgress);
    let answer = ask(vec![unseen]);
    assert_eq!(reason(&answer), Some((Reason::Suspect, None)));
}

#[test]
fn what_had_finished_on_an_instance_before_it_stopped_is_still_to_be_recorded() {
    let lock = expired(400);
    let finished = command(
        "repair",
        RunId::new(lock.run.began_ms() + 1, 1),
        Activity::Finished,
    );
    let accounted = failed(lock.run);
    let mut node = node("a", &[("fail-repair", &accounted)]);
    node.service = Service::Out {
        why: "instance is stopped".to_owned(),
        stopped: true,
    };
    let mut view = view(vec![node.clone()]);
    view.evidence
        .insert(node.id.clone(), Evidence::Commands(vec![finished.clone()]));
    assert_eq!(
        adopted(&judge(&rules(), &view, &node, &lock)),
        Some(finished.run)
    );
}

#[test]
fn what_may_run_on_of_a_run_that_was_recorded_is_in_everybodys_way_and_nobodys_to_adopt() {
    let lock = expired(400);
    let recorded = failed(lock.run);
    let end = later(now(), Duration::from_secs(30));
    for activity in [Activity::InProgress, Activity::Unknown { latest_end: end }] {
        let running = command("repair", lock.run, activity);
        let answer = ask(&lock, &[("fail-repair", &recorded)], vec![running.clone()]);
        assert_eq!(
            reason(&answer).map(|(reason, _)| reason),
            Some(Reason::Busy)
        );
        assert_eq!(adopted(&ask(&lock, &[], vec![running])), Some(lock.run));
    }
}
