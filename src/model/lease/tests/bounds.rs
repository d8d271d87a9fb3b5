//! The bounds, to the millisecond: what is still in time, and what is no longer.

use super::*;
use crate::model::time::ceil_second;

const MS: Duration = Duration::from_millis(1);

fn failed() -> Input {
    Input::LookFailed { retry_in: secs(4) }
}

#[test]
fn the_justifying_read_is_tried_three_times_and_not_before_its_backoff() {
    let mut drive = Drive::new(None);
    assert_eq!(drive.input(Input::Start), Next::Look(Look::Node));
    assert_eq!(drive.input(Input::Woke), Next::Wait(Moment::MAX));
    for _ in 0..2 {
        let again = Next::Wait(Moment(drive.at + secs(4)));
        assert_eq!(drive.input(failed()), again);
        assert_eq!(drive.after(secs(4) - MS), again);
        assert_eq!(drive.after(MS), Next::Look(Look::Node));
    }
    assert_eq!(drive.input(failed()), Next::End(End::Refused));
}

#[test]
fn a_justifying_read_that_is_too_old_three_times_ends_the_claim() {
    let mut drive = Drive::new(None);
    drive.input(Input::Start);
    for _ in 0..2 {
        drive.at += secs(G) + MS;
        assert_eq!(drive.shows(None, None), Next::Look(Look::Node));
    }
    drive.at += secs(G) + MS;
    assert_eq!(drive.shows(None, None), Next::End(End::Refused));
}

#[test]
fn g_counts_from_the_read_and_its_last_moment_is_in_time() {
    let mut drive = Drive::new(None);
    drive.input(Input::Start);
    drive.at += secs(1);
    drive.shows(None, None);
    drive.at += secs(1);
    let settle = Next::Wait(Moment(drive.at + secs(D)));
    assert_eq!(drive.input(Input::Wrote(Answer::Done)), settle);
}

#[test]
fn a_failed_read_of_the_confirmation_begins_the_three_anew() {
    let mut drive = Drive::new(None);
    drive.settled();
    assert_eq!(drive.input(Input::Woke), Next::Wait(Moment::MAX));
    drive.confirm();
    drive.confirm();
    let again = Next::Wait(Moment(drive.at + secs(4)));
    assert_eq!(drive.input(failed()), again);
    assert_eq!(drive.after(secs(4) - MS), again);
    assert_eq!(drive.after(MS), Next::Look(Look::Locks));
    drive.confirm();
    drive.confirm();
    assert_eq!(drive.shows_own(Some(Standing::Enter)), Next::Go);
}

#[test]
fn no_decision_enters_before_three_reads_have_agreed() {
    let mut drive = Drive::new(None);
    drive.settled();
    let early = drive.shows_own(Some(Standing::Enter));
    assert_eq!(early, Next::Wait(Moment(drive.at + READ_APART)));
}

#[test]
fn a_claim_enters_until_four_settle_times_after_its_answer_and_then_is_withdrawn() {
    let waited = |span: Duration| {
        let mut drive = Drive::new(None);
        drive.settled();
        let answered = drive.at - secs(D);
        drive.confirm();
        drive.confirm();
        drive.at = answered + span;
        drive
    };
    let (last, over) = (secs(4 * D) - MS, secs(4 * D));
    assert_eq!(waited(last).shows_own(Some(Standing::Enter)), Next::Go);
    let mut late = waited(over);
    assert!(matches!(
        late.shows_own(Some(Standing::Enter)),
        Next::Delete(_)
    ));
    assert!(matches!(waited(last).input(failed()), Next::Wait(_)));
    assert!(matches!(waited(over).input(failed()), Next::Delete(_)));
}

#[test]
fn a_claim_does_not_wait_for_others_beyond_its_own_end() {
    for (span, enters) in [(secs(40) - MS, true), (secs(40), false)] {
        let mut drive = Drive::new(None);
        drive.terms.settings.ttl = secs(40);
        drive.settled();
        let began = drive.at - secs(D);
        drive.confirm();
        drive.confirm();
        drive.at = began + span;
        let next = drive.shows_own(Some(Standing::Enter));
        assert_eq!(next == Next::Go, enters, "{next:?}");
    }
}

#[test]
fn a_contender_that_stays_looks_again_two_seconds_after_its_last_look() {
    let mut drive = Drive::new(None);
    drive.settled();
    drive.confirm();
    drive.confirm();
    let again = Next::Wait(Moment(drive.at + STAY_APART));
    drive.at += secs(1);
    assert_eq!(drive.shows_own(Some(Standing::Stay)), again);
    assert_eq!(drive.after(secs(1)), Next::Look(Look::Fleet));
}

#[test]
fn a_claim_is_held_until_l_after_the_start_of_its_write_and_fresh_until_g_after_its_read() {
    let drive = Drive::held();
    let read = drive.at;
    let began = read - secs(D) - READ_APART * 2;
    let end = Moment(began + secs(L));
    assert_eq!(drive.lease.own_end(&drive.terms), Some(end));
    assert_eq!(
        drive.lease.fresh_until(&drive.terms),
        Some(Moment(read + secs(G)))
    );
    assert!(drive.lease.is_held(&drive.terms, Moment(end.0 - MS)));
    assert!(!drive.lease.is_held(&drive.terms, end));
    let claiming = Drive::new(None);
    assert_eq!(claiming.lease.own_end(&claiming.terms), None);
    assert_eq!(claiming.lease.fresh_until(&claiming.terms), None);
    assert!(!claiming.lease.is_held(&claiming.terms, Moment(claiming.at)));
}

#[test]
fn a_lease_is_lost_at_its_end_and_not_a_moment_before() {
    let end = |drive: &Drive| drive.lease.own_end(&drive.terms).expect("held").0;
    let mut drive = Drive::held();
    drive.at = end(&drive) - MS;
    assert_eq!(drive.input(Input::Woke), Next::Look(Look::Node));
    let mut drive = Drive::held();
    drive.at = end(&drive);
    assert!(lost(&drive.input(Input::Woke)));
}

#[test]
fn where_writes_may_be_very_late_a_holder_reads_more_often_than_every_third() {
    let mut drive = Drive::held();
    // L + M + D - G - P - S - Z = 14s.
    drive.terms.settings.request_life = secs(1_482);
    let began = drive.at;
    drive.look(Look::Node);
    assert_eq!(drive.at - began, secs(14));
}

#[test]
fn a_release_goes_on_deleting_what_a_read_of_g_and_p_after_its_first_delete_shows() {
    for (span, deletes) in [(secs(7), true), (secs(7) + MS, false)] {
        let mut drive = Drive::held();
        drive.input(Input::Want(Want::Release));
        drive.at += span;
        let began = drive.at;
        drive.input(Input::Deleted(Answer::Done));
        let next = drive.shows_own(None);
        let again = Next::Wait(Moment(began + READ_APART));
        let over = Next::End(End::Released);
        assert_eq!(next, if deletes { again } else { over });
    }
}

#[test]
fn a_take_over_that_runs_on_is_granted_with_the_state_that_it_was_found_in() {
    use LockState::{Held, Parked, Stopping};
    for (was, state) in [
        (None, Held),
        (Some(Held), Held),
        (Some(Parked), Held),
        (Some(Stopping), Stopping),
    ] {
        let mut drive = Drive::new(None);
        drive.terms.transactional = true;
        let own = Lock {
            was,
            seq: 7,
            ..sample()
        };
        let (lease, value) = Lease::granted(own, &drive.terms, drive.now());
        let lock = Lock::parse(&value).expect("readable");
        assert_eq!((lock.state, lock.was, lock.seq), (state, None, 1));
        assert_eq!(&lock, lease.lock());
        assert_eq!(lock.until, later(drive.now().wall, secs(L)));
        let end = Moment(drive.at + secs(L));
        assert_eq!(lease.own_end(&drive.terms), Some(end));
        assert_eq!(lease.fresh_until(&drive.terms), Some(end), "G is not used");
    }
}

#[test]
fn a_claim_begins_as_settling_without_a_write_and_one_that_is_held_is_not_given_up() {
    let before = Lock {
        seq: 5,
        state: LockState::Stopping,
        ..sample()
    };
    let lease = Lease::claim(before, None);
    let lock = lease.lock();
    assert_eq!((lock.state, lock.seq), (LockState::Settling, 0));
    let mut drive = Drive::held();
    drive.at += secs(L / 3);
    assert_eq!(drive.input(Input::GiveUp), Next::Look(Look::Node));
}

#[test]
fn a_renewal_that_was_under_way_does_not_park() {
    let mut drive = Drive::held();
    drive.step(1);
    drive.look(Look::Node);
    drive.shows_own(None);
    assert!(matches!(
        drive.input(Input::Want(Want::Park)),
        Next::Wait(_)
    ));
    let next = drive.input(Input::Wrote(Answer::Done));
    assert!(
        matches!(&next, Next::Write { value, .. } if value.contains(" state=parked ")),
        "{next:?}"
    );
}

#[test]
fn the_first_write_of_an_adoption_says_what_was_found_and_every_write_lasts_l() {
    let ends = |drive: &Drive| ceil_second(later(drive.now().wall, secs(L)));
    let mut drive = Drive::new(None);
    drive.lease.own.was = Some(LockState::Held);
    drive.at += MS;
    drive.input(Input::Start);
    let first = ends(&drive);
    drive.shows(None, None);
    let lock = Lock::parse(drive.value.as_deref().expect("written")).expect("readable");
    assert_eq!((lock.was, lock.until), (Some(LockState::Held), first));
    drive.input(Input::Wrote(Answer::Done));
    drive.after(secs(D));
    drive.confirm();
    drive.confirm();
    drive.shows_own(Some(Standing::Enter));
    let second = ends(&drive);
    drive.step(1);
    let lock = Lock::parse(drive.value.as_deref().expect("written")).expect("readable");
    assert_eq!((lock.was, lock.until), (None, second));
}

#[test]
fn what_a_holder_could_not_read_or_write_is_tried_again_after_its_backoff() {
    let mut drive = Drive::held();
    drive.step(1);
    drive.look(Look::Node);
    let again = Next::Wait(Moment(drive.at + secs(4)));
    assert_eq!(drive.input(failed()), again);
    assert_eq!(drive.after(secs(4) - MS), again);
    assert_eq!(drive.after(MS), Next::Look(Look::Node));
    for (answer, span) in [(refused(), secs(1)), (unknown(), secs(3))] {
        let mut drive = Drive::held();
        let step = Input::Want(Want::Step(1));
        assert!(matches!(drive.input(step), Next::Write { .. }));
        let again = Next::Wait(Moment(drive.at + span));
        assert_eq!(drive.input(Input::Wrote(answer)), again);
        assert_eq!(drive.after(span - MS), again);
        assert!(!matches!(drive.after(MS), Next::Wait(_)));
        let mut drive = Drive::held();
        drive.input(Input::Want(Want::Record));
        let again = Next::Wait(Moment(drive.at + span));
        assert_eq!(drive.input(Input::Recorded(answer)), again);
        assert!(!matches!(drive.after(span), Next::Wait(_)));
        let mut drive = Drive::held();
        drive.input(Input::Want(Want::Release));
        let again = Next::Wait(Moment(drive.at + span));
        assert_eq!(drive.input(Input::Deleted(answer)), again);
        assert_eq!(drive.after(span), Next::Look(Look::Node));
    }
}

#[test]
fn a_conditional_write_or_record_that_finds_another_value_means_lost() {
    let mut drive = Drive::held();
    drive.input(Input::Want(Want::Step(1)));
    assert!(lost(&drive.input(Input::Wrote(Answer::Changed))));
    let mut drive = Drive::held();
    drive.input(Input::Want(Want::Record));
    assert!(lost(&drive.input(Input::Recorded(Answer::Changed))));
}

#[test]
fn a_release_that_reaches_the_end_of_the_lease_is_a_release() {
    let mut drive = Drive::held();
    drive.input(Input::Want(Want::Release));
    let end = drive.lease.own_end(&drive.terms).expect("held");
    drive.at = end.0;
    assert_eq!(drive.input(Input::Woke), Next::End(End::Released));
}

#[test]
fn a_write_begun_in_the_last_moment_in_which_another_may_land_does_not_end_the_doubt() {
    for (span, ended) in [(secs(Z), false), (secs(Z) + MS, true)] {
        let mut drive = Drive::held();
        drive.step(1);
        let oldest = drive.at;
        assert!(matches!(
            drive.input(Input::Want(Want::Step(2))),
            Next::Write { .. }
        ));
        drive.input(Input::Wrote(unknown()));
        drive.at += secs(500);
        assert_eq!(drive.input(Input::Woke), Next::Look(Look::Node));
        // A step is wanted still; its write is not answered before the first one is over.
        drive.shows_own(None);
        let latest = drive.at;
        drive.input(Input::Wrote(refused()));
        let end = |drive: &Drive| drive.lease.own_end(&drive.terms);
        assert_eq!(end(&drive), Some(Moment(oldest + secs(L))));
        drive.at = oldest + span;
        assert!(drive.at > latest);
        assert_eq!(drive.input(Input::Woke), Next::Look(Look::Node));
        assert!(matches!(drive.shows_own(None), Next::Write { .. }));
        drive.input(Input::Wrote(Answer::Done));
        let by_write = Some(Moment(drive.at + secs(L)));
        assert_eq!(end(&drive) == by_write, ended, "{:?}", end(&drive));
    }
}

#[test]
fn a_renewal_that_is_overdue_is_still_written() {
    let mut drive = Drive::held();
    drive.step(1);
    drive.look(Look::Node);
    drive.at += secs(1);
    assert!(matches!(drive.shows_own(None), Next::Write { .. }));
}
