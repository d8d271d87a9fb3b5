//! The claim protocol: one pure state machine from the justifying read to the release.
//!
//! EC2 tags have no compare-and-set, a read may be stale and a write may land late. So a claim is timed mutual
//! exclusion (Fischer's algorithm with stale reads): read, write, wait D > G + 2P, read again. Each rule here is
//! there because leaving it out lets two runners in.
//!
//! ```text
//!            free          answered within G       D over       3 reads agree, decided again
//!  Justify ───────▶ Writing ────────────────▶ Settling ──▶ Confirming ──────────▶ Holding ──▶ Ended
//!     │ not free       │ late, no answer                     │ lost, withdrawn      │  released, parked, lost
//!     └──▶ Ended       └──▶ Ended (left alone)               └──▶ Undoing ──▶ Ended ◀┘
//! ```
//!
//! The driver gives it inputs (what a read showed, how a write was answered, that time has passed, what the run
//! wants) with the time at which they happened, and does what [`Next`] says. At most one read or write of the
//! lease is under way at a time, so that a release can never race a renewal. The engine, a model checker and a
//! simulator can all be that driver: time, chance and ids are inputs.

mod claim;
mod hold;
pub mod remove;

use std::time::Duration;

use jiff::Timestamp;

use crate::model::decide::standing::Standing;
use crate::model::id::ClaimId;
use crate::model::lock::{Lock, LockState, Seen};
use crate::model::rule::{Rule, Without};
use crate::model::settings::LeaseSettings;
use crate::model::time::{Moment, Now, ceil_second, floor_second, later};
use crate::model::view::Rules;
use hold::Hold;

/// What the machine is bound by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Terms {
    /// The assumptions.
    pub settings: LeaseSettings,
    /// How long this job's leases last; at least the settings' `ttl`.
    pub ttl: Duration,
    /// Whether writes are conditional on the value that they replace (a local store): then nothing settles, and G
    /// and P are not used.
    pub transactional: bool,
    /// Nothing, but in a model checker or a simulator.
    pub without: Without,
}

impl Terms {
    /// What binds the claims of a job.
    pub fn of(rules: &Rules, transactional: bool) -> Self {
        Self {
            settings: rules.lease,
            ttl: rules.job.ttl(&rules.lease),
            transactional,
            without: rules.without,
        }
    }

    /// D: how long a claim waits before it believes what it reads.
    fn settle(&self) -> Duration {
        let short = u64::from(!self.without.keeps(Rule::Settle));
        self.settings
            .settle()
            .saturating_sub(Duration::from_secs(short))
    }

    /// How long a holder goes without reading its lock: a third of L, and less where a write may land so late that
    /// its value could be taken over, and that claim be held, before the holder has read it.
    ///
    /// A late write is begun at w and lands over the lock by w + Z. The holder's next read to show it is begun at
    /// most P and this span later. The value is left alone until w + L + M, seen at most S too early, and whoever
    /// takes over then settles for D. So Z + P + this < L + M - S + D; G is left for the read itself.
    fn look_every(&self) -> Duration {
        let lease = &self.settings;
        let over = lease.ttl + lease.margin + self.settle();
        let spent = lease.claim_within + lease.staleness + lease.skew + lease.request_life;
        (lease.ttl / 3).min(over.saturating_sub(spent))
    }

    /// How long the first write of a claim lasts.
    fn first_lasts(&self) -> Duration {
        if self.without.keeps(Rule::LastsL) {
            return self.settings.ttl;
        }
        self.settings.claim_within + self.settle() * 2
    }
}

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
            stage: Stage::Justify {
                asked: None,
                tries: 0,
                not_before: Moment::default(),
            },
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
        let hold = Hold::new(now.boot, now.boot, terms.ttl, Some(value.clone()));
        (
            Self {
                own,
                over: None,
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

    /// Until when a send or a runner step's start is justified by the latest read.
    pub fn fresh_until(&self, terms: &Terms) -> Option<Moment> {
        match &self.stage {
            Stage::Holding(hold) if terms.transactional => Some(hold.end(terms)),
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

/// The end of a write that lasts so long. Rounded up: what is cut off would be missing from the margin.
fn until(terms: &Terms, now: Now, lasts: Duration) -> Timestamp {
    let end = later(now.wall, lasts);
    if terms.without.keeps(Rule::RoundUp) {
        ceil_second(end)
    } else {
        floor_second(end)
    }
}

/// Who or what stands in a lock that should be ours, in words.
fn describe(shows: &Seen) -> String {
    match shows {
        Seen::Free => "its lock tag is gone".to_owned(),
        Seen::Unreadable(text) => format!("its lock tag now says {text:?}"),
        Seen::Lock(lock) => format!("{} has claimed it for {}", lock.owner, lock.job),
    }
}

#[cfg(test)]
mod tests;
