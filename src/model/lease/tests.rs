//! The protocol, step by step: each test drives the machine by hand and says what it may and may not do.

#![expect(
    clippy::unchecked_time_subtraction,
    reason = "the clock of a test only moves on"
)]

mod bounds;
mod claiming;
mod holding;
mod removing;
mod stopping;
mod undoing;

use super::*;
use crate::model::id::RunId;
use crate::model::lock::tests::sample;
use crate::model::rule::Without;
use crate::model::settings::LeaseSettings;
use crate::model::time::later;
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
            without: Without::NOTHING,
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

    #[expect(
        clippy::unnecessary_wraps,
        reason = "what a read shows is always optional"
    )]
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
