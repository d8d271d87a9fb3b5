//! While it is held.

use super::*;

#[test]
fn the_first_steps_write_says_held_and_carries_the_step() {
    let mut drive = Drive::held();
    drive.step(1);
    let lock = Lock::parse(drive.value.as_deref().expect("written")).expect("readable");
    assert_eq!((lock.state, lock.step, lock.seq), (LockState::Held, 1, 2));
}

#[test]
fn a_step_is_not_begun_on_a_read_older_than_g() {
    let mut drive = Drive::held();
    drive.at += secs(G) + Duration::from_millis(1);
    assert_eq!(
        drive.input(Input::Want(Want::Step(1))),
        Next::Look(Look::Node)
    );
    assert!(matches!(drive.shows_own(None), Next::Write { .. }));
    // The write was answered in time, but the read that justifies the send has become too old.
    drive.at += secs(G);
    assert_eq!(drive.input(Input::Wrote(Answer::Done)), Next::Go);
    let mut slow = Drive::held();
    assert!(matches!(
        slow.input(Input::Want(Want::Step(1))),
        Next::Write { .. }
    ));
    slow.at += secs(G) + Duration::from_millis(1);
    assert_eq!(
        slow.input(Input::Wrote(Answer::Done)),
        Next::Look(Look::Node),
        "over G: it does not count"
    );
    let doubts = Next::Wait(Moment(slow.at + secs(D)));
    assert_eq!(
        slow.shows_own(None),
        doubts,
        "it may lie over somebody who came in between"
    );
    slow.look(Look::Node);
    assert!(
        matches!(slow.shows_own(None), Next::Write { .. }),
        "it is written again"
    );
    assert_eq!(slow.input(Input::Wrote(Answer::Done)), Next::Go);
}

#[test]
fn a_lease_is_renewed_every_third_on_a_fresh_read() {
    let mut drive = Drive::held();
    drive.step(1);
    let began = drive.at;
    drive.look(Look::Node);
    assert_eq!(drive.at - began, secs(L / 3));
    assert!(matches!(drive.shows_own(None), Next::Write { .. }));
    assert!(matches!(
        drive.input(Input::Wrote(Answer::Done)),
        Next::Wait(_)
    ));
    assert_eq!(
        drive.lease.own_end(&drive.terms),
        Some(Moment(drive.at + secs(L)))
    );
}

#[test]
fn a_renewal_that_was_under_way_does_not_count_as_the_steps_write() {
    let mut drive = Drive::held();
    drive.step(1);
    drive.look(Look::Node);
    assert!(matches!(drive.shows_own(None), Next::Write { .. }));
    assert!(
        matches!(drive.input(Input::Want(Want::Step(2))), Next::Wait(_)),
        "one thing at a time"
    );
    let Next::Write { value, .. } = drive.input(Input::Wrote(Answer::Done)) else {
        panic!("the step's own write follows");
    };
    assert!(value.contains(" step=2 "));
}

#[test]
fn another_value_or_none_means_lost() {
    for value in [None, Drive::other(), Some("yes".to_owned())] {
        let mut drive = Drive::held();
        drive.step(1);
        drive.look(Look::Node);
        assert!(lost(&drive.shows(value, None)));
        assert!(
            lost(&drive.input(Input::Want(Want::Release))),
            "and nothing more is touched"
        );
    }
}

#[test]
fn a_lease_that_cannot_be_read_or_renewed_is_lost_at_its_end() {
    let mut drive = Drive::held();
    drive.step(1);
    let began = drive.at;
    drive.look(Look::Node);
    let mut next = drive.input(Input::LookFailed { retry_in: secs(5) });
    while !lost(&next) {
        next = match next {
            Next::Wait(until) => {
                drive.at = until.0;
                drive.input(Input::Woke)
            }
            Next::Look(_) => drive.input(Input::LookFailed { retry_in: secs(5) }),
            other => panic!("{other:?}"),
        };
    }
    assert!(drive.at - began <= secs(L), "{:?}", drive.at - began);
}

#[test]
fn after_an_unanswered_write_the_end_falls_back_to_the_oldest_of_them() {
    let mut drive = Drive::held();
    drive.step(1);
    drive.look(Look::Node);
    let oldest = drive.at;
    assert!(matches!(drive.shows_own(None), Next::Write { .. }));
    drive.input(Input::Wrote(unknown()));
    drive.look(Look::Node);
    assert!(matches!(drive.shows_own(None), Next::Wait(_)), "it doubts");
    drive.look(Look::Node);
    assert!(matches!(drive.shows_own(None), Next::Write { .. }));
    let latest = drive.at;
    drive.input(Input::Wrote(unknown()));
    for _ in 0..5 {
        drive.look(Look::Node);
        if !matches!(drive.shows_own(None), Next::Write { .. }) {
            continue;
        }
        drive.input(Input::Wrote(Answer::Done));
        if drive.at < latest + secs(Z) {
            assert_eq!(
                drive.lease.own_end(&drive.terms),
                Some(Moment(oldest + secs(L))),
                "it may land last"
            );
        }
    }
    assert!(drive.at >= latest + secs(Z));
    assert!(
        drive.lease.own_end(&drive.terms) > Some(Moment(oldest + secs(L))),
        "by now it cannot land any more"
    );
}

#[test]
fn a_long_ttl_still_looks_every_third_of_the_settings_and_is_lost_without() {
    let mut drive = Drive::held();
    drive.terms.ttl = secs(10 * L);
    drive.step(1);
    let began = drive.at;
    drive.look(Look::Node);
    assert_eq!(drive.at - began, secs(L / 3));
    assert!(
        matches!(drive.shows_own(None), Next::Wait(_)),
        "no renewal yet"
    );
    assert!(drive.lease.own_end(&drive.terms) <= Some(Moment(drive.at + secs(L))));
}

#[test]
fn a_record_is_written_on_a_fresh_read_and_repeated_until_it_is_known() {
    let mut drive = Drive::held();
    drive.step(1);
    drive.at += secs(60);
    assert_eq!(
        drive.input(Input::Want(Want::Record)),
        Next::Look(Look::Node)
    );
    assert!(matches!(drive.shows_own(None), Next::Record { .. }));
    assert!(matches!(
        drive.input(Input::Recorded(refused())),
        Next::Wait(_)
    ));
    assert!(matches!(drive.after(secs(1)), Next::Record { .. }));
    drive.at += secs(5);
    assert_eq!(
        drive.input(Input::Recorded(Answer::Done)),
        Next::Go,
        "what has landed needs no further read"
    );
}

#[test]
fn a_release_deletes_what_a_fresh_read_shows_and_reads_again() {
    let mut drive = Drive::held();
    drive.step(1);
    assert_eq!(
        drive.input(Input::Want(Want::Release)),
        Next::Look(Look::Node),
        "the value before the step's write is old"
    );
    let own = drive.value.clone().expect("written");
    assert_eq!(drive.shows_own(None), Next::Delete(own.clone()));
    assert_eq!(
        drive.input(Input::Deleted(Answer::Done)),
        Next::Look(Look::Node)
    );
    assert!(matches!(drive.shows_own(None), Next::Wait(_)));
    assert_eq!(drive.after(READ_APART), Next::Delete(own));
    assert_eq!(
        drive.input(Input::Deleted(Answer::Done)),
        Next::Look(Look::Node)
    );
    assert_eq!(drive.shows(None, None), Next::End(End::Released));
}

#[test]
fn a_release_leaves_alone_what_shows_later_than_g_and_p_after_its_first_delete() {
    let mut drive = Drive::held();
    drive.step(1);
    drive.input(Input::Want(Want::Release));
    drive.shows_own(None);
    drive.at += secs(8);
    assert_eq!(
        drive.input(Input::Deleted(Answer::Done)),
        Next::Look(Look::Node)
    );
    assert_eq!(drive.shows_own(None), Next::End(End::Released));
}

#[test]
fn a_release_whose_deletes_are_refused_for_certain_goes_on_until_one_is_not() {
    let mut drive = Drive::held();
    drive.step(1);
    drive.input(Input::Want(Want::Release));
    drive.shows_own(None);
    for _ in 0..3 {
        // Longer than G and P together, and nothing was deleted yet.
        drive.at += secs(8);
        assert!(matches!(
            drive.input(Input::Deleted(refused())),
            Next::Wait(_)
        ));
        assert_eq!(drive.after(secs(1)), Next::Look(Look::Node));
        assert!(matches!(drive.shows_own(None), Next::Delete(_)));
    }
    drive.input(Input::Deleted(unknown()));
    drive.at += secs(8);
    assert_eq!(drive.input(Input::Woke), Next::Look(Look::Node));
    assert_eq!(
        drive.shows_own(None),
        Next::End(End::Released),
        "that one may have been done"
    );
}

#[test]
fn a_release_waits_for_a_renewal_that_is_under_way() {
    let mut drive = Drive::held();
    drive.step(1);
    drive.look(Look::Node);
    assert!(matches!(drive.shows_own(None), Next::Write { .. }));
    assert!(matches!(
        drive.input(Input::Want(Want::Release)),
        Next::Wait(_)
    ));
    assert_eq!(
        drive.input(Input::Wrote(Answer::Done)),
        Next::Look(Look::Node)
    );
}

#[test]
fn from_its_first_parking_write_a_runner_writes_nothing_else() {
    let mut drive = Drive::held();
    drive.step(1);
    drive.look(Look::Node);
    drive.shows_own(None);
    drive.input(Input::Wrote(Answer::Done));
    let Next::Write { value, .. } = drive.input(Input::Want(Want::Park)) else {
        panic!("the read is fresh");
    };
    assert!(value.contains(" state=parked "));
    drive.input(Input::Wrote(unknown()));
    for want in [Want::Step(2), Want::Record, Want::Release, Want::Keep] {
        assert!(matches!(drive.input(Input::Want(want)), Next::Wait(_)));
    }
    drive.look(Look::Node);
    assert!(
        matches!(drive.shows_own(None), Next::Write { value, .. } if value.contains(" state=parked "))
    );
    assert_eq!(
        drive.input(Input::Wrote(Answer::Done)),
        Next::End(End::Parked)
    );
}

#[test]
fn a_run_that_is_being_stopped_says_so_in_every_later_write() {
    let mut drive = Drive::held();
    drive.step(1);
    drive.look(Look::Node);
    drive.shows_own(None);
    drive.input(Input::Wrote(Answer::Done));
    assert!(
        matches!(drive.input(Input::Want(Want::Stopping)), Next::Write { value, .. } if value.contains(" state=stopping "))
    );
    assert_eq!(drive.input(Input::Wrote(Answer::Done)), Next::Go);
    drive.step(2);
    assert!(drive.value.expect("written").contains(" state=stopping "));
}

#[test]
fn where_writes_are_conditional_nothing_settles_and_a_change_means_lost() {
    let mut drive = Drive::new(None);
    drive.terms.transactional = true;
    let (lease, value) = Lease::granted(drive.lease.own.clone(), &drive.terms, drive.now());
    (drive.lease, drive.value) = (lease, Some(value.clone()));
    let Next::Write { replaces, .. } = drive.input(Input::Want(Want::Step(1))) else {
        panic!("no read is needed");
    };
    assert_eq!(replaces, Some(value));
    drive.at += secs(30);
    assert_eq!(
        drive.input(Input::Wrote(Answer::Done)),
        Next::Go,
        "G is not used"
    );
    let Next::Delete(value) = drive.input(Input::Want(Want::Release)) else {
        panic!("the value is known");
    };
    assert_eq!(Some(&value), drive.value.as_ref());
    let mut displaced = drive.lease.clone();
    assert_eq!(
        drive.input(Input::Deleted(Answer::Done)),
        Next::End(End::Released)
    );
    let now = drive.now();
    assert!(matches!(
        displaced.on(&drive.terms, now, Input::Deleted(Answer::Changed)),
        Next::End(End::Released)
    ));
}
