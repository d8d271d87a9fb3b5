//! Before it is held.

use super::*;

#[test]
fn a_claim_reads_writes_settles_reads_three_times_and_is_held() {
    let drive = Drive::held();
    assert!(drive.lease.is_held(&drive.terms, Moment(drive.at)));
    let text = drive.value.expect("written");
    assert!(
        text.contains(" seq=1 state=settling ") && text.contains(" step=0 "),
        "{text}"
    );
}

#[test]
fn a_node_that_is_not_as_it_was_is_left_without_a_trace() {
    let mut drive = Drive::new(None);
    drive.input(Input::Start);
    let other = Drive::other();
    assert!(matches!(
        drive.shows(other, None),
        Next::End(End::Lost { .. })
    ));
}

#[test]
fn a_read_older_than_g_does_not_justify_the_write() {
    let mut drive = Drive::new(None);
    drive.input(Input::Start);
    drive.at += secs(G) + Duration::from_millis(1);
    assert_eq!(drive.shows(None, None), Next::Look(Look::Node));
    drive.at += secs(G);
    assert!(matches!(drive.shows(None, None), Next::Write { .. }));
}

#[test]
fn a_write_answered_over_g_or_not_at_all_is_left_alone() {
    for (wait, answer) in [
        (secs(G) + Duration::from_millis(1), Answer::Done),
        (secs(1), unknown()),
        (secs(10), unknown()),
    ] {
        let mut drive = Drive::new(None);
        drive.input(Input::Start);
        drive.shows(None, None);
        drive.at += wait;
        assert_eq!(drive.input(Input::Wrote(answer)), Next::End(End::Late));
    }
}

#[test]
fn a_refused_write_ends_the_claim_without_a_trace() {
    let mut drive = Drive::new(None);
    drive.input(Input::Start);
    drive.shows(None, None);
    assert_eq!(
        drive.input(Input::Wrote(refused())),
        Next::End(End::Refused)
    );
}

#[test]
fn a_new_claim_that_was_lost_is_compared_and_deleted() {
    let mut drive = Drive::new(None);
    drive.settled();
    let (own, other) = (drive.value.clone().expect("written"), Drive::other());
    assert_eq!(drive.shows(other, None), Next::Delete(own));
    assert!(matches!(
        drive.input(Input::Deleted(Answer::Done)),
        Next::End(End::Lost { .. })
    ));
}

#[test]
fn one_read_of_three_that_shows_another_loses_the_claim() {
    let mut drive = Drive::new(None);
    drive.settled();
    drive.confirm();
    assert!(matches!(drive.shows(None, None), Next::Delete(_)));
}

#[test]
fn a_claim_that_the_second_decision_refuses_is_withdrawn_and_deleted() {
    let mut drive = Drive::new(None);
    drive.settled();
    drive.confirm();
    drive.confirm();
    let next = drive.shows_own(Some(Standing::Withdraw("on hold".to_owned())));
    assert!(matches!(next, Next::Delete(_)));
    assert_eq!(
        drive.input(Input::Deleted(Answer::Done)),
        Next::End(End::Withdrawn {
            why: "on hold".to_owned()
        })
    );
}

#[test]
fn the_lowest_contender_looks_again_and_waits_no_longer_than_four_settle_times() {
    let mut drive = Drive::new(None);
    drive.settled();
    let answered = drive.at - secs(D);
    drive.confirm();
    drive.confirm();
    let mut looks = 0;
    let last = loop {
        let next = drive.shows_own(Some(Standing::Stay));
        if matches!(next, Next::Delete(_)) {
            break next;
        }
        looks += 1;
        drive.look(Look::Fleet);
    };
    assert!(matches!(last, Next::Delete(_)));
    assert!(
        drive.at - answered >= secs(4 * D) && drive.at - answered <= secs(4 * D + 2),
        "{:?}",
        drive.at - answered
    );
    assert!(looks <= 20, "{looks} looks");
}

#[test]
fn a_contender_that_may_enter_after_waiting_does() {
    let mut drive = Drive::new(None);
    drive.settled();
    drive.confirm();
    drive.confirm();
    drive.shows_own(Some(Standing::Stay));
    drive.look(Look::Fleet);
    assert_eq!(drive.shows_own(Some(Standing::Enter)), Next::Go);
}

#[test]
fn a_withdrawn_take_over_writes_the_run_back_and_a_lost_one_is_left_alone() {
    let lock = Lock {
        run: RunId::new(3, 3),
        claim: ClaimId::new(3, 3),
        step: 2,
        ..sample()
    };
    let found = Found {
        value: lock.format(),
        lock,
    };
    let mut drive = Drive::new(Some(found.clone()));
    drive.settled();
    drive.confirm();
    drive.confirm();
    let Next::Write { value, .. } = drive.shows_own(Some(Standing::Withdraw("on hold".to_owned())))
    else {
        panic!("the run is written back");
    };
    let back = Lock::parse(&value).expect("readable");
    assert_eq!(
        (back.run, back.step, back.state),
        (found.lock.run, 2, LockState::Parked)
    );
    assert_eq!(
        back.claim,
        ClaimId::new(9, 9),
        "no id is used by two claims"
    );
    assert!(
        back.until >= later(drive.now().wall, secs(L)),
        "every write lasts at least L"
    );
    assert!(matches!(
        drive.input(Input::Wrote(Answer::Done)),
        Next::End(End::Withdrawn { .. })
    ));

    let mut drive = Drive::new(Some(found));
    drive.settled();
    let other = Drive::other();
    assert!(matches!(
        drive.shows(other, None),
        Next::End(End::Lost { .. })
    ));
}

#[test]
fn a_claim_that_is_not_wanted_any_more_is_taken_back_at_once() {
    let mut drive = Drive::new(None);
    drive.input(Input::Start);
    assert!(matches!(
        drive.input(Input::GiveUp),
        Next::End(End::Withdrawn { .. })
    ));
    let mut drive = Drive::new(None);
    drive.input(Input::Start);
    drive.shows(None, None);
    assert_eq!(
        drive.input(Input::GiveUp),
        Next::Wait(Moment::MAX),
        "the write has to be answered first"
    );
    drive.input(Input::Wrote(Answer::Done));
    assert!(matches!(drive.input(Input::GiveUp), Next::Delete(_)));
    assert!(matches!(
        drive.input(Input::Deleted(Answer::Done)),
        Next::End(End::Withdrawn { .. })
    ));
}
