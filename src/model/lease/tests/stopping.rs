//! The claim that may be written over a lease that somebody holds, and what its victim may do.

use super::*;

/// The lease of somebody else, as it is written at a moment of the test.
fn theirs(drive: &Drive, seq: u32) -> Lock {
    Lock {
        run: drive.lease.own.run,
        seq,
        set: drive.terms.settings.set(),
        until: later(wall(), drive.at + secs(L)),
        ..sample()
    }
}

fn found(lock: &Lock) -> Found {
    Found {
        value: lock.format(),
        lock: lock.clone(),
    }
}

/// A stop over that lease, which has been read.
fn stop(seq: u32) -> (Drive, Lock) {
    let mut drive = Drive::new(None);
    let lock = theirs(&drive, seq);
    let own = Lock {
        was: Some(lock.state),
        ..drive.lease.own.clone()
    };
    drive.lease = Lease::stop(own, found(&lock));
    assert_eq!(drive.input(Input::Start), Next::Look(Look::Node));
    (drive, lock)
}

/// The same, settled and held.
fn stopped(over: &Lock) -> Drive {
    let (mut drive, _) = stop(1);
    drive.lease.over = Some(found(over));
    assert!(matches!(
        drive.shows(Some(over.format()), None),
        Next::Write { .. }
    ));
    drive.input(Input::Wrote(Answer::Done));
    drive.look(Look::Locks);
    drive.confirm();
    drive.confirm();
    assert_eq!(drive.shows_own(Some(Standing::Enter)), Next::Go);
    drive
}

#[test]
fn a_stop_is_written_over_what_the_justifying_read_shows_of_its_run() {
    let (mut drive, lock) = stop(1);
    let renewed = Lock {
        seq: 7,
        step: 3,
        state: LockState::Parked,
        ..lock
    };
    let Next::Write { value, replaces } = drive.shows(Some(renewed.format()), None) else {
        panic!("a renewal is no reason to give up");
    };
    assert_eq!(replaces, Some(renewed.format()));
    let own = Lock::parse(&value).expect("ours");
    assert_eq!(
        (own.state, own.was, own.step, own.run),
        (LockState::Settling, Some(LockState::Parked), 3, renewed.run)
    );
    assert_eq!(drive.lease.over(), Some(&renewed));
}

#[test]
fn a_stop_is_not_written_over_another_run_or_one_that_is_being_ended_or_has_not_begun() {
    let (_, lock) = stop(1);
    let another = Lock {
        run: RunId::new(7, 7),
        seq: 2,
        ..lock.clone()
    };
    let ending = Lock {
        state: LockState::Stopping,
        seq: 2,
        ..lock.clone()
    };
    let begins = Lock {
        state: LockState::Settling,
        seq: 2,
        ..lock
    };
    for shows in [Some(another), Some(ending), Some(begins), None] {
        let (mut drive, _) = stop(1);
        let next = drive.shows(shows.as_ref().map(Lock::format), None);
        assert!(matches!(next, Next::End(End::Lost { .. })), "{shows:?}");
    }
}

#[test]
fn a_claim_that_is_no_stop_gives_up_when_the_lock_was_renewed() {
    let mut drive = Drive::new(None);
    let lock = theirs(&drive, 1);
    drive.lease = Lease::claim(drive.lease.own.clone(), Some(found(&lock)));
    drive.input(Input::Start);
    let renewed = Lock { seq: 2, ..lock };
    let next = drive.shows(Some(renewed.format()), None);
    assert!(matches!(next, Next::End(End::Lost { .. })));
}

#[test]
fn a_stop_that_is_withdrawn_writes_the_run_back_as_it_found_it() {
    let (mut drive, lock) = stop(1);
    assert!(matches!(
        drive.shows(Some(lock.format()), None),
        Next::Write { .. }
    ));
    drive.input(Input::Wrote(Answer::Done));
    assert_eq!(drive.input(Input::GiveUp), Next::Look(Look::Node));
    let Next::Write { value, .. } = drive.shows_own(None) else {
        panic!("it is written back");
    };
    let back = Lock::parse(&value).expect("ours");
    assert_eq!(
        (back.state, back.was, back.run, back.claim),
        (LockState::Held, None, lock.run, drive.lease.own.claim)
    );
}

#[test]
fn a_stop_of_a_living_run_neither_records_nor_lets_go_before_what_its_holder_began_has_landed() {
    let (drive, lock) = stop(1);
    let answered = drive.at;
    let end = answered + secs(Z + 2 * (G + 5));
    let mut drive = stopped(&lock);
    assert!(matches!(
        drive.input(Input::Want(Want::Stopping)),
        Next::Write { .. }
    ));
    assert_eq!(drive.input(Input::Wrote(Answer::Done)), Next::Go);
    let mut next = drive.input(Input::Want(Want::Record));
    let mut renewals = 0;
    while drive.at < end {
        next = match next {
            Next::Wait(Moment(at)) => {
                assert!(at > drive.at);
                drive.at = at;
                drive.input(Input::Woke)
            }
            Next::Look(Look::Node) => drive.shows_own(None),
            Next::Write { .. } => {
                renewals += 1;
                drive.input(Input::Wrote(Answer::Done))
            }
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(drive.at, end);
    assert!(renewals > 1, "it is kept meanwhile: {renewals}");
    assert_eq!(next, Next::Look(Look::Node));
    assert!(matches!(drive.shows_own(None), Next::Record { .. }));
}

#[test]
fn a_stop_of_a_run_that_nobody_holds_waits_for_nothing() {
    let (drive, lock) = stop(1);
    let parked = Lock {
        state: LockState::Parked,
        ..lock.clone()
    };
    let past = Lock {
        until: later(wall(), drive.at.checked_sub(secs(301)).expect("later")),
        ..lock
    };
    for over in [parked, past] {
        let mut drive = stopped(&over);
        let next = drive.input(Input::Want(Want::Record));
        assert!(matches!(next, Next::Record { .. }), "{next:?}");
    }
}

/// A renewal of a held lease without an answer, and then the read that shows it.
fn doubting() -> Drive {
    let mut drive = Drive::held();
    drive.step(1);
    drive.look(Look::Node);
    assert!(matches!(drive.shows_own(None), Next::Write { .. }));
    assert!(matches!(
        drive.input(Input::Wrote(unknown())),
        Next::Wait(_)
    ));
    drive.look(Look::Node);
    let until = Next::Wait(Moment(drive.at + secs(D)));
    assert_eq!(drive.shows_own(None), until);
    drive
}

#[test]
fn an_own_value_that_nobody_answered_is_not_acted_on_until_a_stopper_must_have_noticed() {
    let mut drive = doubting();
    let until = Moment(drive.at + secs(D));
    assert_eq!(drive.lease.fresh_until(&drive.terms), None);
    for want in [Want::Step(2), Want::Record, Want::Release, Want::Stopping] {
        assert_eq!(drive.input(Input::Want(want)), Next::Wait(until));
    }
    drive.input(Input::Want(Want::Step(2)));
    drive.look(Look::Node);
    assert_eq!(Moment(drive.at), until);
    assert!(matches!(drive.shows_own(None), Next::Write { .. }));
    assert_eq!(drive.input(Input::Wrote(Answer::Done)), Next::Go);
}

#[test]
fn one_that_doubts_may_still_park() {
    let mut drive = doubting();
    let next = drive.input(Input::Want(Want::Park));
    assert!(matches!(next, Next::Write { .. }), "{next:?}");
}

#[test]
fn an_unanswered_write_that_did_not_land_is_no_reason_to_doubt() {
    let mut drive = Drive::held();
    drive.step(1);
    let before = drive.value.clone();
    drive.look(Look::Node);
    assert!(matches!(drive.shows_own(None), Next::Write { .. }));
    drive.input(Input::Wrote(unknown()));
    drive.look(Look::Node);
    assert!(matches!(drive.shows(before, None), Next::Write { .. }));
    assert_eq!(
        drive.input(Input::Wrote(Answer::Done)),
        Next::Wait(Moment(drive.at + secs(L / 3)))
    );
}

#[test]
fn each_own_value_that_nobody_answered_is_doubted_anew() {
    let mut drive = doubting();
    let second = drive.value.clone();
    drive.look(Look::Node);
    assert!(matches!(drive.shows_own(None), Next::Write { .. }));
    assert!(matches!(
        drive.input(Input::Wrote(Answer::Done)),
        Next::Wait(_)
    ));
    // The earlier one shows again: it lies over the later, and over whoever came between.
    drive.at += secs(G + 1);
    assert_eq!(
        drive.input(Input::Want(Want::Step(2))),
        Next::Look(Look::Node)
    );
    let doubts = Next::Wait(Moment(drive.at + secs(D)));
    assert_eq!(drive.shows(second, None), doubts);
}
