//! The claim protocol in full: registers, rules, bounds, what is promised under which assumption, and what happens
//! beyond it. This module is the protocol; nothing else describes it a second time.
//!
//! EC2 tags have no compare-and-set: `CreateTags` overwrites, a read may be stale, a write may land late. So a claim
//! is timed mutual exclusion (Fischer's algorithm, in Lamport, "A fast mutual exclusion algorithm", 1987, here with
//! stale reads): read, write, wait, read again. The facts about EC2 are from its user guide ("eventual consistency")
//! and API reference (`CreateTags`, `DeleteTags`).
//!
//! ```text
//!            free          answered within G       D over       3 reads agree, decided again
//!  Justify ───────▶ Writing ────────────────▶ Settling ──▶ Confirming ──────────▶ Holding ──▶ Ended
//!     │ not free       │ late, no answer                     │ lost, withdrawn      │  released, parked, lost
//!     └──▶ Ended       └──▶ Ended (left alone)               └──▶ Undoing ──▶ Ended ◀┘
//! ```
//!
//! # One machine, three drivers
//!
//! [`Lease::on`] gets what happened (what a read showed, how a write was answered, that time has passed, what the run
//! wants), with the time at which it did, and says what is next ([`Next`]). Times, chance and ids are inputs. The
//! engine drives it over the real store, `tests/simulation` drives the engine over a simulated one, and `tests/lease`
//! drives the machine itself through every order of events. Beside it stand, as pure and driven by the same three:
//! [`decide`](crate::model::decide) and [`standing`](crate::model::decide::standing) (may it be claimed; does it still
//! stand), [`choose`](crate::model::choose) (which, and with which lock), [`suspect`](crate::model::suspect) (what was
//! left), [`stop`](crate::model::stop) (what may be stopped), [`limits`](crate::model::limits), [`remove`] and
//! [`run`](crate::model::run).
//!
//! # Registers
//!
//! One node's `lock` tag is the register: of two writes the one that lands last wins. A read shows a value that was
//! current at some moment within the last P; two reads may show two values in the wrong order. A write lands at some
//! moment from its start on: before its answer, after it, within Z of its start, or never. `DeleteTags` with key and
//! value is a compare-and-delete whose answer does not tell whether it matched.
//!
//! # Assumptions
//!
//! | setting | says |
//! | --- | --- |
//! | `claim-within` G | chosen, not assumed: what takes longer does not count |
//! | `staleness` P | no read shows what was replaced longer ago than this |
//! | `skew` S | no two wall clocks differ by more |
//! | `margin` M | chosen: how long after its end a lease is left alone |
//! | `ttl` L | chosen: how long a lease lasts; clocks that measure count suspend |
//! | `request-life` Z | no write lands later than this after its start (AWS refuses a signature of more than 15 minutes) |
//!
//! `roundsman probe` measures P, and how long G has to be, where they are used.
//!
//! # Bounds
//!
//! The first three are tight: `tests/lease` finds a schedule that breaks them one second below, and none at them. The
//! others suffice, and have a schedule that breaks them when they are left out.
//!
//! | bound | because |
//! | --- | --- |
//! | D > G + 2P, from the write's answer | B reads "free" stale by P, its write lands G later; A's re-read, stale by P, must still show it |
//! | D > S, and so `D = max(G + 2P, S) + 1s` | ids order the fence, so claims in a row need rising ids, and those hold wall time |
//! | M ≥ S + P | a holder renews in its last moment; whoever takes over has a clock S ahead and reads P late |
//! | Z < L + M − G − P − S | a late value must be seen by the holder before anybody takes over from it |
//! | a read at least every min(L / 3, L + M + D − G − P − S − Z) | the same, for a holder that nothing makes read: see below |
//! | own end: L after the *start* of the last write answered in time | its `until` says no more |
//! | a stop over a living holder keeps its lease for Z + 2 (G + P) after its answer | what that holder began before it had to notice has landed by then, and is seen |
//! | own end: L after the start of the oldest unanswered write, until a write begun later than its start + Z is answered | it may land last, and then the lock says so |
//!
//! # Rules
//!
//! [`Rule`](crate::model::rule::Rule) names each, with what happens without it; `tests/lease/must_fail*` and `needed` take each out and find that
//! schedule again. The reasons behind the main ones:
//!
//! - *A late claim is left alone.* Over G it may have overwritten a living holder: deleting it frees that holder's node.
//!   It dies by its own end, and until then it blocks.
//! - *Only the same claim id is one's own*, and every claim, take-over and adoption has a fresh one: two adopters that
//!   derive the same id both see themselves.
//! - *Everything is decided again after the settle*: what was true before it is D old.
//! - *Every write, send and start is justified by a read of at most G ago.* D covers that G, so a runner that was
//!   paused or suspended finds out before it acts.
//! - *One loop owns renewing, stepping, parking and releasing*, with one read or write under way: a renewal that is in
//!   flight at the release would revive the lock.
//! - *A release stops deleting G + P after its first delete*: its own value that shows later is a late renewal lying
//!   over somebody else's lock.
//! - *A parker only parks.* Its unanswered write may have landed, and the run may be adopted at any time.
//! - *An adoption says what it found* (`was`) and is written back when it is withdrawn (as `parked`: nobody holds it), so that a run is never lost to an
//!   adopter that dies or changes its mind.
//! - *Adopting asks nothing of what others left, and a take-over counts only claims that nobody may take over*: else a
//!   limit lowered below the number of suspects, or filled by runs of a job that is gone, would never let anybody in again.
//! - *But it waits for those at work* where they fill the limit: runs can be left on more nodes than that (a lock was taken
//!   away, a limit lowered, a late write brought a lock to a node that nobody had counted), and are gone on with one by one.
//! - *A holder reads its lock in time.* A write that is as late as may be lands at w + Z over the lock. The holder's next
//!   read begins at most P and its reading interval later; the value's end is w + L, it is left alone until then + M,
//!   whoever takes over may be S early, and settles for D. A third of L is too seldom where Z is near its bound.
//!
//! # Stopping
//!
//! `stop` is the one claim that may be written over a lease that somebody holds. It settles and is read three times
//! like any other, so whoever held the node has noticed, or reads before it acts, by the time the stop is held. What is
//! different:
//!
//! - *It is for a run, not for one value of its lock.* It is written over whatever the justifying read shows of that run:
//!   a renewal, another step, an adopter's settling claim. Not over another run, nor one that is being ended already (so
//!   two who stop at once do not undo each other), nor a claim that has begun no run (whose limits are not decided yet).
//! - *It asks no limit*: its node is counted already. *It says what it found* in `was`, so a stopper that dies settling,
//!   or takes its claim back, leaves the run as it was, to be adopted. Its victim has noticed by then, or will: a run
//!   that nobody watches is adopted after `until` + M.
//! - *It is decided again*: a run that the tags account for meanwhile has ended by itself, and the stop goes away; one
//!   whose steps have all succeeded is committed.
//! - *A holder that doubts does nothing for D.* A renewal of the displaced holder's that nobody answered may land over the
//!   stop. Who reads a value of its own that it does not know to have been written in time cannot tell whether it lies
//!   over a stop; D later the stopper must have noticed, and is lost. The stopper then claims anew, a few times.
//! - *A stop outlasts what its victim began*: it neither records nor lets go before nothing of that can land any more.
//!   Else the lock comes back on a node that was let go of, or over the next claim there.
//! - *Clean-up waits for a runner's step*: until its own first `until` + M, when whoever was displaced has ended it (a
//!   holder is lost when no read has shown its claim for L, whatever its ttl).
//!
//! # Promised
//!
//! Under the assumptions, whatever crashes, pauses, suspends, is retried, adopted or parked:
//!
//! - nobody acts (writes, sends, starts a step) on a node while a later claim holds it;
//! - as long as no write lands over G late, or nobody stands still, and nobody stops a run, not even two *believe* that
//!   they hold one node. A runner that was displaced by a late value while it stood still, or by a stop, believes what it
//!   last read, and reads before it acts;
//! - of two of whom one has stopped the other never both may act without looking again, whatever lands late;
//! - a node is never held beyond a limit that everybody shares; ids of holders rise;
//! - no lock is deleted over a run that nothing accounts for;
//! - a lock that nobody holds any more goes: it is left alone for its own ttl and M, an hour longer where settings
//!   differ, a day where another job has finished a step, and for as long as a step is, or may be, in progress. Only an
//!   unreadable lock, a hold without end, and evidence that cannot be had stay until somebody acts; each says so;
//! - nobody waits longer than 4 D after its answer, and the read under way, before it enters or withdraws; and some
//!   contender enters.
//!
//! # Beyond
//!
//! - **Reads staler than P, clocks further apart than S, writes later than Z**: two runners can hold one node. The three
//!   reads catch most single stale reads. What is left is for the fence on the node (`io/node.sh`), which needs no timing: their
//!   steps `on = "node"` do not run at once, and the earlier claim starts nothing more once the later one has been there.
//! - **Settings that differ**: `set` keeps everybody out who *sees* a lock with other settings. Claims that cross do not
//!   see each other's, and a runner whose G is larger than the D of the other allows for may enter beside it. Nothing in
//!   the tags can help there: give all machines the same settings.
//! - **A lock deleted by hand, or by Terraform**: the next claim does not know of the holder, who notices at its next read
//!   and stops; a step in progress there goes on. Use `release`.
//! - **A local clock that is set back** gives ids that fall where the store does not make them rise.
//! - **Several runs that nothing accounts for on one node**: evidence is judged one run at a time, and the work of one may
//!   be done again. `tests/simulation` bounds how often.
//! - **A record that lands late**: `fail-` of an earlier run can come to lie over that of a later one. No work is lost by
//!   it: a failed node is tried again either way.
//! - **Runner steps have no fence.** A runner that stands still beside its living step does not end it in time.

mod claim;
mod hold;
pub mod remove;
mod seen;
mod terms;

use std::time::Duration;

use crate::model::decide::standing::Standing;
use crate::model::id::ClaimId;
use crate::model::lock::{Lock, LockState, Seen};
use crate::model::time::{Moment, Now};
use hold::Hold;
use seen::describe;
pub use terms::Terms;
use terms::until;

/// The time between the reads of a confirmation, and between those of a release.
pub const READ_APART: Duration = Duration::from_millis(500);

/// The time between two looks of a claim that waits for others to withdraw.
pub const STAY_APART: Duration = Duration::from_secs(2);

/// How often a read or write that was refused is tried again before the claim is given up.
const TRIES: u8 = 3;

/// What a claim is written over.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Found {
    /// The lock's exact value.
    pub value: String,
    /// The same, read.
    pub lock: Lock,
}

/// How a write, a delete or a record was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It was done.
    Done,
    /// It was refused, for certain: not done, now or later. To be tried again after this long.
    Refused {
        /// Backoff with jitter, from the driver.
        retry_in: Duration,
    },
    /// No answer: it may have been done, or be done yet.
    Unknown {
        /// Backoff with jitter, from the driver.
        retry_in: Duration,
    },
    /// The value that it was to replace was not there. Only from stores that compare and set.
    Changed,
}

/// What the driver tells the machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// Begin.
    Start,
    /// Time has passed.
    Woke,
    /// A read came back.
    Looked {
        /// What the node's lock showed.
        shows: Seen,
        /// Its exact value.
        value: Option<String>,
        /// After [`Look::Fleet`]: everything decided again on this read.
        standing: Option<Standing>,
    },
    /// A read did not come back.
    LookFailed {
        /// Backoff with jitter, from the driver.
        retry_in: Duration,
    },
    /// What [`Next::Write`] asked for was answered.
    Wrote(Answer),
    /// What [`Next::Record`] asked for was answered.
    Recorded(Answer),
    /// What [`Next::Delete`] asked for was answered.
    Deleted(Answer),
    /// The run wants something of its lease.
    Want(Want),
    /// The claim is not wanted any more; for a lease that is not held yet.
    GiveUp,
}

/// What a run wants of its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Want {
    /// Nothing but to keep it.
    Keep,
    /// To begin this step: the lock says so, then [`Next::Go`].
    Step(u32),
    /// To write its record (`last-`, `fail-`), then [`Next::Go`].
    Record,
    /// To say that it is being ended on purpose, then [`Next::Go`].
    Stopping,
    /// To leave the run to the next invocation.
    Park,
    /// To let go.
    Release,
}

/// How much a read has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Look {
    /// The node's own tags.
    Node,
    /// All locks of the fleet.
    Locks,
    /// Everything, to decide anew.
    Fleet,
}

/// What the driver does next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Next {
    /// Read; answer with [`Input::Looked`] or [`Input::LookFailed`].
    Look(Look),
    /// Write this value; answer with [`Input::Wrote`]. `replaces`: the value that must be there, for stores that
    /// compare and set.
    Write {
        /// The lock's new value.
        value: String,
        /// The one it replaces, as far as it is known.
        replaces: Option<String>,
    },
    /// Write the run's record; answer with [`Input::Recorded`].
    Record {
        /// The lock's value that must be there, for stores that compare and set.
        replaces: Option<String>,
    },
    /// Delete the lock if it has this value; answer with [`Input::Deleted`].
    Delete(String),
    /// Do nothing until then, or until something comes in.
    Wait(Moment),
    /// What was wanted may be done now. After a claim: it is held.
    Go,
    /// It is over.
    End(End),
}

/// How a lease ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum End {
    /// Never had: somebody else was there first.
    Lost {
        /// A sentence.
        why: String,
    },
    /// Given up before it was held: everything decided again gave another answer.
    Withdrawn {
        /// A sentence.
        why: String,
    },
    /// The write was not answered within G. It is left alone: it may have overwritten a living holder.
    Late,
    /// The read or the write was refused: nothing was written.
    Refused,
    /// Given back.
    Released,
    /// The run is left to the next invocation.
    Parked,
    /// Held, and then lost: nothing more may be started or touched.
    LeaseLost {
        /// A sentence.
        why: String,
    },
}

/// One claim's life.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The value that was written last, or will be written first.
    own: Lock,
    over: Option<Found>,
    /// Whether it may be written over a lease that somebody holds: a stop.
    displaces: bool,
    stage: Stage,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Stage {
    Justify {
        asked: Option<Moment>,
        tries: u8,
        not_before: Moment,
    },
    Writing {
        began: Moment,
        justified: Moment,
    },
    Settling {
        began: Moment,
        answered: Moment,
    },
    Confirming(claim::Confirming),
    Undoing(claim::Undoing),
    Holding(Hold),
    Ended(End),
}

impl Lease {
    /// A claim that is yet to be made. `own` carries its ids, job, owner and digests; state, count and end are set
    /// here. `over`: the lock that it is written over.
    pub fn claim(own: Lock, over: Option<Found>) -> Self {
        let own = Lock {
            seq: 0,
            state: LockState::Settling,
            ..own
        };
        Self {
            own,
            over,
            displaces: false,
            stage: Stage::Justify {
                asked: None,
                tries: 0,
                not_before: Moment::default(),
            },
        }
    }

    /// The claim that ends a run on purpose: the one that may be written over a lease that somebody holds. It takes
    /// whatever the justifying read shows of that run.
    pub fn stop(own: Lock, over: Found) -> Self {
        Self {
            displaces: true,
            ..Self::claim(own, Some(over))
        }
    }

    /// The value with which a transactional store takes a node: held at once, since nothing settles there; or
    /// stopping, when the run that is gone on with is being ended.
    pub fn granted(own: Lock, terms: &Terms, now: Now) -> (Self, String) {
        // A run that is being ended stays so.
        let stopping = own.was == Some(LockState::Stopping);
        let own = Lock {
            seq: 1,
            state: if stopping {
                LockState::Stopping
            } else {
                LockState::Held
            },
            was: None,
            until: until(terms, now, terms.ttl),
            ..own
        };
        let value = own.format();
        let hold = Hold::new(
            now.boot,
            (now.boot, terms.ttl),
            Some(value.clone()),
            own.seq,
        );
        (
            Self {
                own,
                over: None,
                displaces: false,
                stage: Stage::Holding(hold),
            },
            value,
        )
    }

    /// The next thing to do after `input`, which happened at `now`.
    pub fn on(&mut self, terms: &Terms, now: Now, input: Input) -> Next {
        let next = match self.stage {
            Stage::Holding(_) => self.on_hold(terms, now, input),
            Stage::Ended(ref end) => return Next::End(end.clone()),
            _ => self.on_claim(terms, now, input),
        };
        if let Next::End(end) = &next {
            self.stage = Stage::Ended(end.clone());
        }
        next
    }

    /// The claim's id.
    pub fn claim_id(&self) -> ClaimId {
        self.own.claim
    }

    /// The lock that the claim was written over.
    pub fn over(&self) -> Option<&Lock> {
        self.over.as_ref().map(|found| &found.lock)
    }

    /// The lease as it was written last.
    pub fn lock(&self) -> &Lock {
        &self.own
    }

    /// Whether the right to act is there: held, and its own end not reached.
    pub fn is_held(&self, terms: &Terms, now: Moment) -> bool {
        matches!(&self.stage, Stage::Holding(hold) if now < hold.end(terms))
    }

    /// The end of the lease on the own clock, while it is held.
    pub fn own_end(&self, terms: &Terms) -> Option<Moment> {
        match &self.stage {
            Stage::Holding(hold) => Some(hold.end(terms)),
            _ => None,
        }
    }

    /// Until when a lease that displaced somebody is kept at least, once it is held.
    pub fn kept_until(&self) -> Option<Moment> {
        match &self.stage {
            Stage::Holding(hold) => Some(hold.kept_until()),
            _ => None,
        }
    }

    /// Until when a send or a runner step's start is justified by the latest read.
    pub fn fresh_until(&self, terms: &Terms) -> Option<Moment> {
        match &self.stage {
            Stage::Holding(hold) if terms.transactional => Some(hold.end(terms)),
            Stage::Holding(hold) if hold.doubts() => None,
            Stage::Holding(hold) => Some(hold.seen().plus(terms.settings.claim_within)),
            _ => None,
        }
    }

    /// The next value of this claim: one more write, with an end `lasts` after now.
    fn write(
        &mut self,
        terms: &Terms,
        now: Now,
        lasts: Duration,
        (state, step): (LockState, u32),
    ) -> String {
        self.own = Lock {
            seq: self.own.seq.saturating_add(1),
            state,
            step,
            // What an adopter found is of no more use once its claim stands.
            was: self.own.was.filter(|_| state == LockState::Settling),
            until: until(terms, now, lasts),
            ..self.own.clone()
        };
        self.own.format()
    }

    fn is_own(&self, shows: &Seen) -> bool {
        shows
            .lock()
            .is_some_and(|lock| lock.claim == self.own.claim)
    }
}

#[cfg(test)]
mod tests;
