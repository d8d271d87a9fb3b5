//! A lease that is held: renewing, stepping, recording, parking and releasing in one place, one thing at a time.

use std::time::Duration;

use crate::model::lease::{
    Answer, End, Input, Lease, Look, Next, READ_APART, Stage, Terms, Want, describe,
};
use crate::model::lock::{LockState, Seen};
use crate::model::rule::Rule;
use crate::model::time::{Moment, Now};

/// What a holder knows of its lease. All times are of the own clock that counts suspend.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Hold {
    /// The start of the latest read that showed the own claim.
    seen: Moment,
    /// The start of the latest write that was answered in time.
    good: Moment,
    /// How long that write lasts.
    lasts: Duration,
    /// Writes without an answer in time.
    open: Option<Open>,
    /// The lock's exact value, while it is known.
    value: Option<String>,
    want: Want,
    /// Whether the write that goes with `want` has been answered.
    written: bool,
    /// Whether a parking write has begun: from then on nothing else is written or started.
    parking: bool,
    not_before: Moment,
    flight: Option<Flight>,
    /// The start of the first delete of a release that was not refused for certain.
    first_delete: Option<Moment>,
    /// The number of the own write that was answered in time last, or is trusted: reads are to show it.
    sure: u32,
    /// Another one of the own writes that a read has shown, and until when nothing is done about it.
    doubt: Option<(u32, Moment)>,
    /// Until when neither a record is written nor the lease given back: see `Lease::outlasts`.
    outlasts: Moment,
}

/// Writes that may land yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Open {
    /// The start of the oldest.
    oldest: Moment,
    /// The start of the latest.
    latest: Moment,
}

impl Open {
    /// The first moment at which none of them can land any more: one that takes all of Z lands at its end.
    fn over(self, terms: &Terms) -> Moment {
        let last = self.latest.plus(terms.settings.request_life);
        last.plus(Duration::from_millis(1))
    }
}

/// The one thing under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Flight {
    Look {
        began: Moment,
    },
    Write {
        began: Moment,
        justified: Moment,
        lasts: Duration,
        want: Want,
    },
    Record,
    /// `first`: nothing of the release may have been deleted before.
    Delete {
        first: bool,
    },
}

impl Hold {
    /// `good`: the start of the claim's write and how long it lasts; `sure`: its number.
    pub(super) fn new(
        seen: Moment,
        (good, lasts): (Moment, Duration),
        value: Option<String>,
        sure: u32,
    ) -> Self {
        Self {
            seen,
            good,
            lasts,
            open: None,
            value,
            want: Want::Keep,
            written: false,
            parking: false,
            not_before: Moment::default(),
            flight: None,
            first_delete: None,
            sure,
            doubt: None,
            outlasts: Moment::default(),
        }
    }

    /// The same, kept at least until then.
    pub(super) fn outlasting(self, outlasts: Moment) -> Self {
        Self { outlasts, ..self }
    }

    pub(super) fn kept_until(&self) -> Moment {
        self.outlasts
    }

    /// Whether the latest read showed a write that is not trusted.
    pub(super) fn doubts(&self) -> bool {
        self.doubt.is_some()
    }

    /// What is done for the run now: what has to wait for the end of all that may yet land waits.
    fn wants(&self, now: Moment) -> Want {
        match self.want {
            Want::Record | Want::Release if now < self.outlasts => Want::Keep,
            want => want,
        }
    }

    /// A read has shown the own claim in one of its writes. While others of them may land yet, one that is not known
    /// to have been in time may lie over somebody who came in between and stopped the run: nothing is done until
    /// whoever that is must have noticed.
    fn weigh(&mut self, terms: &Terms, now: Moment, seq: u32) {
        let known = seq == self.sure || self.open.is_none() || terms.transactional;
        if known || !terms.without.keeps(Rule::DoubtWaits) {
            self.doubt = None;
            return;
        }
        match self.doubt {
            Some((doubted, until)) if doubted == seq && now >= until => {
                self.sure = seq;
                self.doubt = None;
            }
            Some((doubted, _)) if doubted == seq => {}
            Some(_) | None => self.doubt = Some((seq, now.plus(terms.settle()))),
        }
    }

    pub(super) fn seen(&self) -> Moment {
        self.seen
    }

    /// The holder's own end: its ttl after the start of the last write that was answered in time; while a write
    /// without such an answer may land, at most L after the start of the oldest of them (it may land last); and
    /// never more than L after a read showed the own claim (a longer ttl must not hide that it was displaced).
    pub(super) fn end(&self, terms: &Terms) -> Moment {
        let keeps = |rule| terms.without.keeps(rule);
        let by_write = self.good.plus(self.lasts);
        let by_open = self
            .open
            .filter(|_| keeps(Rule::OldestOpen))
            .map_or(Moment::MAX, |open| open.oldest.plus(terms.settings.ttl));
        let by_sight = if keeps(Rule::SeenWithinL) {
            self.seen.plus(terms.settings.ttl)
        } else {
            Moment::MAX
        };
        by_write.min(by_open).min(by_sight)
    }

    /// Every third of what the last write gave; sooner where only a write can show that an unanswered one is over.
    fn renew_at(&self, terms: &Terms) -> Moment {
        let third = self.good.plus(self.lasts / 3);
        self.open.map_or(third, |open| third.min(open.over(terms)))
    }

    fn fresh(&self, terms: &Terms, now: Moment) -> bool {
        terms.transactional
            || !terms.without.keeps(Rule::FreshRead)
            || now.since(self.seen) <= terms.settings.claim_within
    }

    fn unanswered(&mut self, began: Moment) {
        let oldest = self.open.map_or(began, |open| open.oldest);
        self.open = Some(Open {
            oldest,
            latest: began,
        });
        self.value = None;
    }
}

/// A conditional write found another value.
fn changed() -> End {
    End::LeaseLost {
        why: "its lock has changed".to_owned(),
    }
}

impl Lease {
    pub(super) fn on_hold(&mut self, terms: &Terms, now: Now, input: Input) -> Next {
        let Stage::Holding(mut hold) = self.stage.clone() else {
            return Next::Wait(Moment::MAX);
        };
        if now.boot >= hold.end(terms) {
            return Next::End(self.past_end(&hold));
        }
        let ended = self.take_in(terms, now, input, &mut hold);
        let next = match ended {
            Some(end) => Next::End(end),
            None if now.boot >= hold.end(terms) => Next::End(self.past_end(&hold)),
            None => self.plan(terms, now, &mut hold),
        };
        self.stage = Stage::Holding(hold);
        next
    }

    #[expect(clippy::unused_self, reason = "reads as part of the lease's own story")]
    fn past_end(&self, hold: &Hold) -> End {
        if hold.first_delete.is_some() {
            return End::Released;
        }
        End::LeaseLost {
            why: "it could not be renewed before its end".to_owned(),
        }
    }

    /// Takes in what has happened; `Some` when that ends the lease.
    fn take_in(&mut self, terms: &Terms, now: Now, input: Input, hold: &mut Hold) -> Option<End> {
        let flight = hold.flight;
        match (input, flight) {
            (Input::Want(want), _) if !hold.parking || !terms.without.keeps(Rule::ParkOnly) => {
                hold.want = want;
                hold.written = false;
            }
            (Input::Looked { shows, value, .. }, Some(Flight::Look { began })) => {
                hold.flight = None;
                return self.take_look(terms, hold, (began, now.boot), &shows, value);
            }
            (Input::LookFailed { retry_in }, Some(Flight::Look { .. })) => {
                hold.flight = None;
                hold.not_before = now.boot.plus(retry_in);
            }
            (
                Input::Wrote(answer),
                Some(Flight::Write {
                    began,
                    justified,
                    lasts,
                    want,
                }),
            ) => {
                hold.flight = None;
                let ended = self.take_write(terms, now, answer, hold, (began, justified, lasts));
                // A renewal that was under way when the run wanted something else does not say so.
                hold.written &= want == hold.want;
                return ended;
            }
            (Input::Recorded(answer), Some(Flight::Record)) => {
                hold.flight = None;
                match answer {
                    Answer::Done => hold.written = hold.want == Want::Record,
                    Answer::Refused { retry_in } | Answer::Unknown { retry_in } => {
                        hold.not_before = now.boot.plus(retry_in);
                    }
                    Answer::Changed => return Some(changed()),
                }
            }
            (Input::Deleted(answer), Some(Flight::Delete { first })) => {
                hold.flight = None;
                hold.value = None;
                // Nothing was deleted, so what shows next is the own lock still, and nothing that lies over another.
                if first && matches!(answer, Answer::Refused { .. }) {
                    hold.first_delete = None;
                }
                match answer {
                    Answer::Done if !terms.transactional => {}
                    Answer::Done | Answer::Changed => return Some(End::Released),
                    Answer::Refused { retry_in } | Answer::Unknown { retry_in } => {
                        hold.not_before = now.boot.plus(retry_in);
                    }
                }
            }
            _ => {}
        }
        None
    }

    fn take_look(
        &self,
        terms: &Terms,
        hold: &mut Hold,
        (began, now): (Moment, Moment),
        shows: &Seen,
        value: Option<String>,
    ) -> Option<End> {
        let own = self.is_own(shows);
        if let Some(first) = hold.first_delete {
            // What shows later than this lies over somebody's lock, and is left to its own end.
            let last = first.plus(terms.settings.claim_within + terms.settings.staleness);
            if !own || began > last && terms.without.keeps(Rule::ReleaseEnds) {
                return Some(End::Released);
            }
            hold.not_before = began.plus(READ_APART);
        } else if !own {
            return Some(End::LeaseLost {
                why: describe(shows),
            });
        }
        hold.seen = began;
        hold.value = value;
        if let Some(lock) = shows.lock().filter(|_| hold.first_delete.is_none()) {
            hold.weigh(terms, now, lock.seq);
        }
        None
    }

    fn take_write(
        &self,
        terms: &Terms,
        now: Now,
        answer: Answer,
        hold: &mut Hold,
        (began, justified, lasts): (Moment, Moment, Duration),
    ) -> Option<End> {
        let in_time =
            terms.transactional || now.boot.since(justified) <= terms.settings.claim_within;
        match answer {
            Answer::Done if in_time => {
                hold.good = if terms.without.keeps(Rule::EndFromStart) {
                    began
                } else {
                    now.boot
                };
                hold.lasts = lasts;
                hold.sure = self.own.seq;
                if hold.open.is_some_and(|open| began >= open.over(terms)) {
                    hold.open = None;
                }
                if terms.transactional {
                    // The write was conditional on the own value: it is as good as a read.
                    hold.seen = began;
                    hold.value = Some(self.own.format());
                } else {
                    hold.value = None;
                }
                hold.written = true;
                if hold.parking && hold.want == Want::Park {
                    return Some(End::Parked);
                }
            }
            Answer::Done => hold.unanswered(began),
            Answer::Unknown { retry_in } => {
                hold.unanswered(began);
                hold.not_before = now.boot.plus(retry_in);
            }
            Answer::Refused { retry_in } => hold.not_before = now.boot.plus(retry_in),
            Answer::Changed => return Some(changed()),
        }
        None
    }

    /// What to do now that everything known has been taken in.
    fn plan(&mut self, terms: &Terms, now: Now, hold: &mut Hold) -> Next {
        let end = hold.end(terms);
        if hold.flight.is_some() && terms.without.keeps(Rule::OneAtATime) {
            return Next::Wait(end);
        }
        let want = hold.wants(now.boot);
        let granted = hold.written && matches!(want, Want::Step(_) | Want::Record | Want::Stopping);
        let renew_at = hold.renew_at(terms).max(hold.not_before);
        let look_at = if terms.without.keeps(Rule::SeenWithinL) {
            hold.seen.plus(terms.look_every()).max(hold.not_before)
        } else {
            Moment::MAX
        };
        if want == Want::Keep && now.boot < renew_at && now.boot < look_at {
            let wake = renew_at.min(look_at).min(end);
            let waits = hold.want != Want::Keep;
            return Next::Wait(if waits { wake.min(hold.outlasts) } else { wake });
        }
        if now.boot < hold.not_before {
            return Next::Wait(hold.not_before.min(end));
        }
        // A record that has landed needs no further right; everything else is justified by a fresh read.
        let needs_right = want != Want::Record || !granted;
        // Who parks does nothing else, and whoever adopts the run settles for as long.
        let doubts = hold.doubts() && want != Want::Park;
        if let Some((_, until)) = hold.doubt.filter(|_| needs_right && doubts)
            && now.boot < until
        {
            return Next::Wait(until.min(end));
        }
        if granted && (!needs_right || hold.fresh(terms, now.boot)) {
            hold.want = Want::Keep;
            hold.written = false;
            return Next::Go;
        }
        // A delete carries the exact value, and so does every write that is conditional.
        let must_know = hold.value.is_none() && (want == Want::Release || terms.transactional);
        let only_look = want == Want::Keep && now.boot < renew_at;
        if !hold.fresh(terms, now.boot) || must_know || only_look || doubts {
            hold.flight = Some(Flight::Look { began: now.boot });
            return Next::Look(Look::Node);
        }
        self.act(terms, now, hold)
    }

    fn act(&mut self, terms: &Terms, now: Now, hold: &mut Hold) -> Next {
        let ongoing = if self.own.state == LockState::Stopping {
            LockState::Stopping
        } else {
            LockState::Held
        };
        let (state, step) = match hold.wants(now.boot) {
            // A settled claim becomes held with its first step; until then a renewal says held as well.
            Want::Keep => (ongoing, self.own.step),
            Want::Step(step) => (ongoing, step),
            Want::Stopping => (LockState::Stopping, self.own.step),
            Want::Park => {
                hold.parking = true;
                (LockState::Parked, self.own.step)
            }
            Want::Record => {
                hold.flight = Some(Flight::Record);
                return Next::Record {
                    replaces: hold.value.clone(),
                };
            }
            Want::Release => {
                let first = hold.first_delete.is_none();
                hold.flight = Some(Flight::Delete { first });
                hold.first_delete.get_or_insert(now.boot);
                return Next::Delete(hold.value.clone().unwrap_or_default());
            }
        };
        let replaces = hold.value.clone();
        let value = self.write(terms, now, terms.ttl, (state, step));
        hold.flight = Some(Flight::Write {
            began: now.boot,
            justified: if terms.without.keeps(Rule::FreshRead) {
                hold.seen
            } else {
                now.boot
            },
            lasts: terms.ttl,
            want: hold.wants(now.boot),
        });
        Next::Write { value, replaces }
    }
}
