//! A claim that is taken back: what is deleted, what is written back, and how often that is tried.

use super::*;
use crate::model::lock::Digest;

const MS: Duration = Duration::from_millis(1);

/// A run that was left under other settings by somebody else.
fn found(change: impl FnOnce(&mut Lock)) -> Found {
    let mut lock = Lock {
        run: RunId::new(3, 3),
        claim: ClaimId::new(3, 3),
        step: 2,
        set: Digest::of([1, 2, 3, 4]),
        owner: "ci@bastion-2".to_owned(),
        ..sample()
    };
    change(&mut lock);
    Found {
        value: lock.format(),
        lock,
    }
}

/// A claim that has settled; the look under way shows the whole fleet.
fn deciding(over: Option<Found>) -> Drive {
    let mut drive = Drive::new(over);
    drive.settled();
    drive.confirm();
    drive.confirm();
    drive
}

fn withdraw() -> Standing {
    Standing::Withdraw("on hold".to_owned())
}

fn withdrawn(next: &Next) -> bool {
    matches!(next, Next::End(End::Withdrawn { .. }))
}

fn written_back(drive: &mut Drive) -> Lock {
    let Next::Write { value, .. } = drive.shows_own(Some(withdraw())) else {
        panic!("the run is written back");
    };
    Lock::parse(&value).expect("readable")
}

#[test]
fn a_run_is_written_back_as_one_that_nobody_holds_and_as_one_more_write_of_the_claim() {
    let held = found(|_| {});
    let mut drive = deciding(Some(held.clone()));
    assert_eq!(drive.lease.over(), Some(&held.lock));
    let back = written_back(&mut drive);
    let expected = Lock {
        claim: ClaimId::new(9, 9),
        seq: 2,
        state: LockState::Parked,
        set: sample().set,
        owner: sample().owner,
        until: back.until,
        ..held.lock
    };
    assert_eq!(back, expected);
}

#[test]
fn a_run_is_written_back_as_parked_or_as_being_stopped_and_never_as_settling() {
    use LockState::{Held, Parked, Settling, Stopping};
    for (state, was, expected) in [
        (Parked, None, Parked),
        (Stopping, None, Stopping),
        (Settling, Some(Stopping), Stopping),
        (Held, Some(Stopping), Parked),
    ] {
        let over = found(|lock| (lock.state, lock.was) = (state, was));
        let back = written_back(&mut deciding(Some(over)));
        assert_eq!((back.state, back.was), (expected, None));
    }
}

#[test]
fn an_adoption_is_written_back_as_the_run_that_was_to_be_adopted() {
    let mut drive = Drive::new(Some(found(|_| {})));
    drive.lease.own.was = Some(LockState::Stopping);
    drive.lease.own.step = 7;
    drive.settled();
    drive.confirm();
    drive.confirm();
    let back = written_back(&mut drive);
    assert_eq!(
        (back.run, back.step, back.state, back.was),
        (sample().run, 7, LockState::Stopping, None),
        "the lock there need not have named it"
    );
}

#[test]
fn a_run_is_written_back_on_a_read_of_at_most_g_ago() {
    let mut drive = deciding(Some(found(|_| {})));
    drive.at += secs(G);
    let own = drive.value.clone();
    let Next::Write { replaces, .. } = drive.shows_own(Some(withdraw())) else {
        panic!("that read is fresh enough");
    };
    assert_eq!(replaces, own);

    let late = || {
        let mut drive = deciding(Some(found(|_| {})));
        drive.at += secs(G) + MS;
        assert_eq!(drive.shows_own(Some(withdraw())), Next::Look(Look::Node));
        assert_eq!(drive.input(Input::Woke), Next::Wait(Moment::MAX));
        drive
    };
    let mut still_own = late();
    assert!(matches!(still_own.shows_own(None), Next::Write { .. }));
    let mut displaced = late();
    let other = Drive::other();
    assert!(withdrawn(&displaced.shows(other, None)));
    let mut slow = late();
    slow.at += secs(G) + MS;
    assert_eq!(slow.shows_own(None), Next::Look(Look::Node), "again");
    assert!(matches!(slow.shows_own(None), Next::Write { .. }));
}

#[test]
fn a_run_that_has_ended_meanwhile_is_not_written_back() {
    let mut drive = deciding(Some(found(|_| {})));
    let own = drive.value.clone().expect("written");
    let ended = Some(Standing::Ended("done".to_owned()));
    assert_eq!(drive.shows_own(ended), Next::Delete(own));
}

#[test]
fn a_delete_that_is_refused_or_not_answered_is_tried_three_times() {
    for (answer, span) in [(refused(), secs(1)), (unknown(), secs(3))] {
        let mut drive = deciding(None);
        let own = drive.value.clone().expect("written");
        assert_eq!(drive.shows_own(Some(withdraw())), Next::Delete(own.clone()));
        for _ in 0..2 {
            assert_eq!(drive.input(Input::Woke), Next::Wait(Moment::MAX));
            assert_eq!(drive.input(Input::GiveUp), Next::Wait(Moment::MAX));
            let again = Next::Wait(Moment(drive.at + span));
            assert_eq!(drive.input(Input::Deleted(answer)), again);
            assert_eq!(drive.after(span - MS), again);
            assert_eq!(drive.after(MS), Next::Delete(own.clone()));
        }
        assert!(withdrawn(&drive.input(Input::Deleted(answer))));
    }
}

#[test]
fn writing_back_is_tried_three_times_and_not_again_when_it_may_have_been_done() {
    let begun = || {
        let mut drive = deciding(Some(found(|_| {})));
        assert!(matches!(
            drive.shows_own(Some(withdraw())),
            Next::Write { .. }
        ));
        drive
    };
    let mut drive = begun();
    for _ in 0..2 {
        assert_eq!(
            drive.input(Input::Wrote(refused())),
            Next::Wait(Moment(drive.at + secs(1)))
        );
        if drive.after(secs(1)) == Next::Look(Look::Node) {
            assert!(matches!(drive.shows_own(None), Next::Write { .. }));
        }
    }
    assert!(withdrawn(&drive.input(Input::Wrote(refused()))));
    for answer in [unknown(), Answer::Done, Answer::Changed] {
        assert!(withdrawn(&begun().input(Input::Wrote(answer))));
    }
}

#[test]
fn a_read_before_writing_back_that_fails_three_times_ends_the_claim() {
    let mut drive = deciding(Some(found(|_| {})));
    drive.at += secs(G) + MS;
    assert_eq!(drive.shows_own(Some(withdraw())), Next::Look(Look::Node));
    let failed = || Input::LookFailed { retry_in: secs(4) };
    for _ in 0..2 {
        assert_eq!(
            drive.input(failed()),
            Next::Wait(Moment(drive.at + secs(4)))
        );
        assert_eq!(drive.after(secs(4)), Next::Look(Look::Node));
    }
    assert!(withdrawn(&drive.input(failed())));
}
