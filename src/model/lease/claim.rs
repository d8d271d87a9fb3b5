//! From the justifying read to the decision that is made again: a claim before it is held.

use crate::model::decide::standing::Standing;
use crate::model::lease::hold::Hold;
use crate::model::lease::{
    Answer, End, Found, Input, Lease, Look, Next, READ_APART, STAY_APART, Stage, TRIES, Terms,
    describe, until,
};
use crate::model::lock::{Lock, LockState, Seen};
use crate::model::rule::Rule;
use crate::model::stop::may_be_stopped;
use crate::model::time::{Moment, Now};

/// A claim that has settled and is read three times.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Confirming {
    /// The start of the claim's write.
    began: Moment,
    /// When it was answered.
    answered: Moment,
    /// How many reads in a row have shown the own claim.
    agreed: u8,
    /// The start of the read under way.
    asked: Option<Moment>,
    /// When the next read may start.
    not_before: Moment,
}

impl Confirming {
    /// When waiting for the others ends.
    fn give_up(&self, terms: &Terms) -> Moment {
        let patience = self.answered.plus(terms.settle().saturating_mul(4));
        let own_end = self.began.plus(terms.first_lasts());
        if terms.without.keeps(Rule::Patience) {
            patience.min(own_end)
        } else {
            own_end
        }
    }
}

/// A claim that is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Undoing {
    end: End,
    /// The start of the latest read that showed the own claim.
    seen: Moment,
    tries: u8,
    flight: bool,
    asked: Option<Moment>,
    not_before: Moment,
}

/// How many reads in a row have to show the own claim.
fn reads(terms: &Terms) -> u8 {
    if terms.without.keeps(Rule::ThreeReads) {
        3
    } else {
        1
    }
}

/// The last of them shows everything, to decide anew.
fn next_look(terms: &Terms, agreed: u8) -> Look {
    if agreed + 1 >= reads(terms) {
        Look::Fleet
    } else {
        Look::Locks
    }
}

impl Lease {
    pub(super) fn on_claim(&mut self, terms: &Terms, now: Now, input: Input) -> Next {
        if input == Input::GiveUp {
            return self.give_up(terms, now);
        }
        match self.stage.clone() {
            Stage::Justify {
                asked,
                tries,
                not_before,
            } => self.justify(terms, now, input, asked, tries, not_before),
            Stage::Writing { began, justified } => {
                self.written(terms, now, &input, began, justified)
            }
            Stage::Settling { began, answered } => self.settle(terms, now, began, answered),
            Stage::Confirming(confirming) => self.confirm(terms, now, input, confirming),
            Stage::Undoing(undoing) => self.undo(terms, now, &input, undoing),
            Stage::Holding(_) => self.on_hold(terms, now, input),
            Stage::Ended(end) => Next::End(end),
        }
    }

    /// The claim is not wanted any more. While its write is under way that cannot be told from a late one, and has
    /// to be answered first.
    fn give_up(&mut self, terms: &Terms, now: Now) -> Next {
        let why = "told to stop".to_owned();
        match self.stage {
            Stage::Justify { .. } => Next::End(End::Withdrawn { why }),
            Stage::Settling { .. } | Stage::Confirming(_) => {
                self.withdraw(terms, now, Moment::default(), why)
            }
            // It is on its way out already, perhaps waiting to try again.
            Stage::Undoing(ref undoing) => self.undo(terms, now, &Input::Woke, undoing.clone()),
            Stage::Writing { .. } | Stage::Holding(_) => Next::Wait(Moment::MAX),
            Stage::Ended(ref end) => Next::End(end.clone()),
        }
    }

    /// Read the chosen node's tags alone; while it is still as it was, write.
    fn justify(
        &mut self,
        terms: &Terms,
        now: Now,
        input: Input,
        asked: Option<Moment>,
        tries: u8,
        not_before: Moment,
    ) -> Next {
        match (input, asked) {
            (Input::Looked { shows, value, .. }, Some(began)) => {
                let expected = self.over.as_ref().map(|found| &found.value);
                if value.as_ref() != expected && !self.follows(&shows, value.as_ref()) {
                    return Next::End(End::Lost {
                        why: describe(&shows),
                    });
                }
                if now.boot.since(began) > terms.settings.claim_within {
                    return self.ask_again(now, tries, now.boot);
                }
                let says = (LockState::Settling, self.own.step);
                let value = self.write(terms, now, terms.first_lasts(), says);
                self.stage = Stage::Writing {
                    began: now.boot,
                    justified: began,
                };
                Next::Write {
                    value,
                    replaces: self.over.as_ref().map(|found| found.value.clone()),
                }
            }
            (Input::LookFailed { retry_in }, Some(_)) => {
                self.ask_again(now, tries, now.boot.plus(retry_in))
            }
            (_, Some(_)) => Next::Wait(Moment::MAX),
            (_, None) if now.boot < not_before => Next::Wait(not_before),
            (_, None) => {
                self.stage = Stage::Justify {
                    asked: Some(now.boot),
                    tries,
                    not_before,
                };
                Next::Look(Look::Node)
            }
        }
    }

    /// A stop is for a run, not for one value of its lock: a renewal, or another step, is written over as it is read.
    fn follows(&mut self, shows: &Seen, value: Option<&String>) -> bool {
        let (Some(lock), Some(value), true) = (shows.lock(), value, self.displaces) else {
            return false;
        };
        let Some(was) = may_be_stopped(lock).filter(|_| lock.run == self.own.run) else {
            return false;
        };
        self.own.was = Some(was);
        self.own.step = self.own.step.max(lock.step);
        self.over = Some(Found {
            value: value.clone(),
            lock: lock.clone(),
        });
        true
    }

    /// Until when a stop keeps its lease at least, whatever else it has done: a write that the holder it displaced
    /// began before it had to notice may land for all of Z.
    ///
    /// That holder acts on reads that began until P after the answer, and for G after each. What it began then has
    /// landed Z later, and is seen in reads that begin P after that, on which one acts for G.
    fn outlasts(&self, terms: &Terms, now: Now, answered: Moment) -> Moment {
        let living = |lock: &Lock| lock.may_be_held(now.wall, terms.settings.margin);
        let displaced = self.over().is_some_and(living) && self.displaces;
        if !displaced || !terms.without.keeps(Rule::StopOutlasts) {
            return Moment::default();
        }
        let lease = &terms.settings;
        let seen = (lease.claim_within + lease.staleness) * 2;
        answered.plus(lease.request_life + seen)
    }

    fn ask_again(&mut self, now: Now, tries: u8, not_before: Moment) -> Next {
        if tries + 1 >= TRIES {
            return Next::End(End::Refused);
        }
        if now.boot < not_before {
            self.stage = Stage::Justify {
                asked: None,
                tries: tries + 1,
                not_before,
            };
            return Next::Wait(not_before);
        }
        self.stage = Stage::Justify {
            asked: Some(now.boot),
            tries: tries + 1,
            not_before,
        };
        Next::Look(Look::Node)
    }

    /// A write counts only if it was answered within G of the start of the read that justifies it.
    ///
    /// Over G, answered or not, the node is left alone and *not* cleaned up: the write may have overwritten a
    /// living holder. Its value dies by its own end.
    fn written(
        &mut self,
        terms: &Terms,
        now: Now,
        input: &Input,
        began: Moment,
        justified: Moment,
    ) -> Next {
        let in_time = now.boot.since(justified) <= terms.settings.claim_within
            || !terms.without.keeps(Rule::WithinG);
        match input {
            Input::Wrote(Answer::Done) if in_time => {
                self.stage = Stage::Settling {
                    began,
                    answered: now.boot,
                };
                Next::Wait(now.boot.plus(terms.settle()))
            }
            Input::Wrote(Answer::Done | Answer::Unknown { .. })
                if !terms.without.keeps(Rule::LeaveLate) =>
            {
                self.begin_undo(now, End::Late, now.boot)
            }
            Input::Wrote(Answer::Done | Answer::Unknown { .. }) => Next::End(End::Late),
            Input::Wrote(Answer::Refused { .. } | Answer::Changed) => Next::End(End::Refused),
            _ => Next::Wait(Moment::MAX),
        }
    }

    fn settle(&mut self, terms: &Terms, now: Now, began: Moment, answered: Moment) -> Next {
        let settled = answered.plus(terms.settle());
        if now.boot < settled {
            return Next::Wait(settled);
        }
        let confirming = Confirming {
            began,
            answered,
            agreed: 0,
            asked: Some(now.boot),
            not_before: now.boot,
        };
        self.stage = Stage::Confirming(confirming);
        Next::Look(next_look(terms, 0))
    }

    /// Three reads of all locks, half a second apart: every one shows the own claim. Then everything is decided
    /// again on the last. Nobody waits longer than 4 D, or beyond the claim's own end.
    fn confirm(&mut self, terms: &Terms, now: Now, input: Input, mut state: Confirming) -> Next {
        match (state.asked, input) {
            (
                Some(asked),
                Input::Looked {
                    shows,
                    value,
                    standing,
                },
            ) => {
                if !self.is_own(&shows) {
                    return self.lost(terms, now, &shows);
                }
                state.asked = None;
                state.agreed = state.agreed.saturating_add(1);
                state.not_before = asked.plus(READ_APART);
                if let Some(next) = self.decided(terms, now, (asked, value), standing, &mut state) {
                    return next;
                }
            }
            (Some(_), Input::LookFailed { retry_in }) => {
                state.asked = None;
                state.agreed = 0;
                state.not_before = now.boot.plus(retry_in);
                if now.boot >= state.give_up(terms) {
                    return self.withdraw(
                        terms,
                        now,
                        Moment::default(),
                        "the fleet could not be read again".to_owned(),
                    );
                }
            }
            // The read has a time-out of its own.
            (Some(_), _) => return Next::Wait(Moment::MAX),
            (None, _) => {}
        }
        if now.boot < state.not_before {
            let wake = state.not_before;
            self.stage = Stage::Confirming(state);
            return Next::Wait(wake);
        }
        state.asked = Some(now.boot);
        let look = next_look(terms, state.agreed);
        self.stage = Stage::Confirming(state);
        Next::Look(look)
    }

    /// A read has shown the own claim, and perhaps everything was decided again on it. `None`: read on.
    fn decided(
        &mut self,
        terms: &Terms,
        now: Now,
        (asked, value): (Moment, Option<String>),
        standing: Option<Standing>,
        state: &mut Confirming,
    ) -> Option<Next> {
        let give_up = state.give_up(terms);
        match standing {
            Some(Standing::Enter) if state.agreed >= reads(terms) && now.boot < give_up => {
                let good = (state.began, terms.first_lasts());
                let hold = Hold::new(asked, good, value, self.own.seq);
                self.stage =
                    Stage::Holding(hold.outlasting(self.outlasts(terms, now, state.answered)));
                return Some(Next::Go);
            }
            Some(Standing::Withdraw(why)) => return Some(self.withdraw(terms, now, asked, why)),
            Some(Standing::Ended(why)) => {
                // There is no run left to be written back.
                self.over = None;
                return Some(self.withdraw(terms, now, asked, why));
            }
            // The others that settle will enter or withdraw: look again.
            Some(Standing::Stay) => {
                state.agreed = reads(terms) - 1;
                state.not_before = asked.plus(STAY_APART);
            }
            Some(Standing::Enter) | None => {}
        }
        (now.boot >= give_up).then(|| {
            self.withdraw(
                terms,
                now,
                asked,
                "the others did not settle in time".to_owned(),
            )
        })
    }

    /// Another value was seen. A new claim that was answered within G cannot have displaced a holder, so its value
    /// is deleted if it is still there; one that was written over a run is left alone.
    fn lost(&mut self, terms: &Terms, now: Now, shows: &Seen) -> Next {
        let end = End::Lost {
            why: describe(shows),
        };
        if self.over.is_some() || !terms.without.keeps(Rule::UndoLost) {
            return Next::End(end);
        }
        self.begin_undo(now, end, now.boot)
    }

    fn withdraw(&mut self, terms: &Terms, now: Now, seen: Moment, why: String) -> Next {
        if !terms.without.keeps(Rule::WriteBack) {
            self.over = None;
        }
        let next = self.begin_undo(now, End::Withdrawn { why }, seen);
        // Writing the run back is a write like any other: justified by a read no older than G.
        match (&self.over, next) {
            (Some(_), _) => match self.stage.clone() {
                Stage::Undoing(undoing) => self.write_back(terms, now, undoing),
                _ => Next::End(End::Refused),
            },
            (None, next) => next,
        }
    }

    fn begin_undo(&mut self, now: Now, end: End, seen: Moment) -> Next {
        self.stage = Stage::Undoing(Undoing {
            end,
            seen,
            tries: 0,
            flight: true,
            asked: None,
            not_before: now.boot,
        });
        Next::Delete(self.own.format())
    }

    fn write_back(&mut self, terms: &Terms, now: Now, mut undoing: Undoing) -> Next {
        let Some(found) = self.over.clone() else {
            return Next::End(undoing.end);
        };
        if now.boot.since(undoing.seen) > terms.settings.claim_within {
            undoing.flight = false;
            undoing.asked = Some(now.boot);
            self.stage = Stage::Undoing(undoing);
            return Next::Look(Look::Node);
        }
        undoing.flight = true;
        self.stage = Stage::Undoing(undoing);
        let replaces = Some(self.own.format());
        self.own = Lock {
            claim: self.own.claim,
            seq: self.own.seq.saturating_add(1),
            set: self.own.set,
            owner: self.own.owner.clone(),
            was: None,
            until: until(terms, now, terms.settings.ttl),
            ..self.as_found(&found.lock)
        };
        Next::Write {
            value: self.own.format(),
            replaces,
        }
    }

    /// The run that was found: the one that was to be adopted, which the lock there need not have named, or the other
    /// job's. Nobody holds it, so that it says `parked` where it said `held`: with its fresh end it would look like a
    /// living holder, and two adopters that withdraw from each other would do so for ever. What a stop has displaced may
    /// live, and what was being stopped is still to be.
    fn as_found(&self, found: &Lock) -> Lock {
        let left = |state| match state {
            LockState::Held if !self.displaces => LockState::Parked,
            state => state,
        };
        if let Some(state) = self.own.was {
            return Lock {
                state: left(state),
                ..self.own.clone()
            };
        }
        let was = found.was.filter(|_| found.state == LockState::Settling);
        Lock {
            state: left(was.unwrap_or(found.state)),
            ..found.clone()
        }
    }

    fn undo(&mut self, terms: &Terms, now: Now, input: &Input, mut undoing: Undoing) -> Next {
        match input {
            Input::Deleted(Answer::Done | Answer::Changed)
            | Input::Wrote(Answer::Done | Answer::Changed | Answer::Unknown { .. }) => {
                return Next::End(undoing.end);
            }
            Input::Deleted(Answer::Refused { retry_in } | Answer::Unknown { retry_in })
            | Input::Wrote(Answer::Refused { retry_in })
            | Input::LookFailed { retry_in } => {
                undoing.tries += 1;
                if undoing.tries >= TRIES {
                    return Next::End(undoing.end);
                }
                undoing.flight = false;
                undoing.asked = None;
                undoing.not_before = now.boot.plus(*retry_in);
            }
            Input::Looked { shows, .. } if undoing.asked.is_some() => {
                if !self.is_own(shows) {
                    return Next::End(undoing.end);
                }
                undoing.seen = undoing.asked.unwrap_or_default();
                undoing.asked = None;
            }
            _ => {}
        }
        if undoing.flight || undoing.asked.is_some() {
            self.stage = Stage::Undoing(undoing);
            return Next::Wait(Moment::MAX);
        }
        if now.boot < undoing.not_before {
            let wake = undoing.not_before;
            self.stage = Stage::Undoing(undoing);
            return Next::Wait(wake);
        }
        if self.over.is_some() {
            return self.write_back(terms, now, undoing);
        }
        undoing.flight = true;
        self.stage = Stage::Undoing(undoing);
        Next::Delete(self.own.format())
    }
}
