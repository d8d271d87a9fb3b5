//! The protocol, step by step: each test drives the machine by hand and says what it may and may not do.

#![expect(
    clippy::unchecked_time_subtraction,
    reason = "the clock of a test only moves on"
)]

use super::*;
use crate::model::id::RunId;
use crate::model::lock::tests::sample;
use crate::model::view::tests::now as wall;

const G: u64 = 2;
const D: u64 = 13;
const L: u64 = 1_200;
const Z: u64 = 900;

/// A machine and a clock that stands until a test moves it.
struct Drive {
    lease: Lease,
    terms: Terms,
    at: Duration,
    value: Option<String>,
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Drive {
    fn new(over: Option<Found>) -> Self {
        let terms = Terms {
            settings: LeaseSettings::default(),
            ttl: secs(L),
            transactional: false,
        };
        let own = Lock {
            step: 0,
            claim: ClaimId::new(9, 9),
            ..sample()
        };
        let lease = Lease::claim(own, over);
        Self {
            lease,
            terms,
            at: secs(1_000),
            value: None,
        }
    }

    /// A claim that is held since this moment; its write began D + 1s ago.
    fn held() -> Self {
        let mut drive = Self::new(None);
        drive.settled();
        drive.confirm();
        drive.confirm();
        assert_eq!(drive.shows_own(Some(Standing::Enter)), Next::Go);
        drive
    }

    fn now(&self) -> Now {
        Now {
            wall: later(wall(), self.at),
            boot: Moment(self.at),
        }
    }

    fn input(&mut self, input: Input) -> Next {
        let next = self.lease.on(&self.terms, self.now(), input);
        if let Next::Write { value, .. } = &next {
            self.value = Some(value.clone());
        }
        next
    }

    fn after(&mut self, span: Duration) -> Next {
        self.at += span;
        self.input(Input::Woke)
    }

    /// Wakes the machine when it wants to be; it has to look as `expected`.
    fn look(&mut self, expected: Look) {
        let mut next = self.input(Input::Woke);
        while let Next::Wait(until) = next {
            assert!(until > Moment(self.at), "it would wait for ever");
            self.at = until.0;
            next = self.input(Input::Woke);
        }
        assert_eq!(next, Next::Look(expected));
    }

    fn shows(&mut self, value: Option<String>, standing: Option<Standing>) -> Next {
        self.input(Input::Looked {
            shows: Seen::read(value.as_deref()),
            value,
            standing,
        })
    }

    fn shows_own(&mut self, standing: Option<Standing>) -> Next {
        let value = self.value.clone();
        self.shows(value, standing)
    }

    /// Reads, writes and settles; the next thing is a look at all locks.
    fn settled(&mut self) {
        assert_eq!(self.input(Input::Start), Next::Look(Look::Node));
        let found = self.lease.over.as_ref().map(|found| found.value.clone());
        assert!(matches!(self.shows(found, None), Next::Write { .. }));
        let settle = Next::Wait(Moment(self.at + secs(D)));
        assert_eq!(self.input(Input::Wrote(Answer::Done)), settle);
        assert!(matches!(
            self.after(secs(D) - Duration::from_millis(1)),
            Next::Wait(_)
        ));
        assert_eq!(
            self.after(Duration::from_millis(1)),
            Next::Look(Look::Locks)
        );
    }

    fn confirm(&mut self) {
        let began = self.at;
        assert_eq!(self.shows_own(None), Next::Wait(Moment(began + READ_APART)));
        self.at = began + READ_APART;
        let expected = self.input(Input::Woke);
        assert!(matches!(expected, Next::Look(Look::Locks | Look::Fleet)));
    }

    fn other() -> Option<String> {
        Some(
            Lock {
                claim: ClaimId::new(10, 10),
                ..sample()
            }
            .format(),
        )
    }

    /// Wants a step and plays it until it may be sent.
    fn step(&mut self, step: u32) {
        let mut next = self.input(Input::Want(Want::Step(step)));
        if next == Next::Look(Look::Node) {
            next = self.shows_own(None);
        }
        assert!(matches!(next, Next::Write { .. }), "{next:?}");
        assert_eq!(self.input(Input::Wrote(Answer::Done)), Next::Go);
    }
}

fn refused() -> Answer {
    Answer::Refused { retry_in: secs(1) }
}

fn unknown() -> Answer {
    Answer::Unknown { retry_in: secs(3) }
}

fn lost(next: &Next) -> bool {
    matches!(next, Next::End(End::LeaseLost { .. }))
}

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
        (found.lock.run, 2, LockState::Held)
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
    drive.shows_own(None);
    let latest = drive.at;
    drive.input(Input::Wrote(unknown()));
    for _ in 0..4 {
        drive.look(Look::Node);
        if matches!(drive.shows_own(None), Next::Write { .. }) {
            drive.input(Input::Wrote(Answer::Done));
        }
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
    assert_eq!(drive.shows_own(None), Next::Record);
    assert!(matches!(
        drive.input(Input::Recorded(refused())),
        Next::Wait(_)
    ));
    assert_eq!(drive.after(secs(1)), Next::Record);
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
