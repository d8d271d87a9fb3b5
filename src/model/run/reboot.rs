//! A step that reboots its node: one attempt, which is sent again until the node is back and says that it is ready.
//!
//! The node's journal has one record of it, from the boot id before the reboot to the end of `ready`, under one number: a
//! send of the same attempt never reboots a second time. So evidence, adoption and the comment on the sends know of it
//! what they know of every attempt. Whoever has sent it may be gone: what is not known to have ended is sent again. And
//! while the node is away nothing that a send comes to says anything, but that the node is asked again. Who stops the run
//! then lets go of a node that may go down at any moment, unless the attempt is ended there first: see
//! [`Run::reboot_over_by`].

use std::time::Duration;

use jiff::Timestamp;

use crate::model::backoff::backoff;
use crate::model::job::{Job, Step};
use crate::model::outcome::Outcome;
use crate::model::run::{END_SLACK, Run};
use crate::model::time::{Now, later};

/// How far apart a node that is away is asked, in the end; and after the first answer, for it has yet to go down.
const ASKED_APART: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));

/// A reboot that was, or may have been, begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Away {
    /// Whether the node has said so.
    begun: bool,
    /// How often it was sent by this runner without an end.
    asked: u32,
    /// From then on the node counts as not back.
    until: Timestamp,
    /// When the latest send of it has ended for certain, whatever becomes of it.
    latest_end: Timestamp,
}

impl Run {
    /// Whether the node is known to have begun the reboot that comes next or is under way.
    pub fn has_begun_reboot(&self) -> bool {
        self.away.is_some_and(|away| away.begun)
    }

    /// Whether what comes next was sent by this runner already, and is only asked after.
    pub fn asks_after_reboot(&self) -> bool {
        self.away.is_some_and(|away| away.asked > 0)
    }

    /// When the reboot has come to an end for certain that was begun, or may have been, and of which no end is known.
    pub fn reboot_over_by(&self) -> Option<Timestamp> {
        self.away.map(|away| away.until.max(away.latest_end))
    }

    /// What `outcome` makes of the attempt under way; `None`: nothing yet, the node is asked again.
    pub fn amounts_to(&self, job: &Job, now: Timestamp, outcome: Outcome) -> Option<Outcome> {
        let reboots = job.step(self.step).is_some_and(Step::reboots);
        if !reboots || !says_nothing(outcome, self.away.is_some()) {
            return Some(outcome);
        }
        let over = self
            .away
            .filter(|away| away.asked > 0 && now >= away.until)?;
        // Only now it is known to have begun, perhaps a moment ago.
        if outcome == Outcome::Rebooting && !over.begun {
            return None;
        }
        // What nobody has heard of may be on its way still.
        Some(if over.begun {
            Outcome::NotBack
        } else {
            Outcome::Unknown
        })
    }

    /// The node is asked again, under the same number. `latest_end`: when this send has ended for certain.
    pub(super) fn ask_again(
        &mut self,
        now: Now,
        step: &Step,
        (outcome, latest_end): (Outcome, Timestamp),
        random: u128,
    ) {
        let away = self.away.get_or_insert(Away {
            begun: false,
            asked: 0,
            until: later(later(now.wall, step.timeout), END_SLACK),
            latest_end,
        });
        away.latest_end = away.latest_end.max(latest_end);
        if outcome == Outcome::Rebooting && !away.begun {
            let over = later(later(now.wall, step.timeout), END_SLACK);
            away.until = away.until.max(over);
        }
        away.begun |= outcome == Outcome::Rebooting;
        away.asked += 1;
        let (least, most) = ASKED_APART;
        let wait = backoff(away.asked.saturating_add(2), random).clamp(least, most);
        self.not_before = now.boot.plus(wait);
    }

    /// An attempt that an earlier claim has sent came to that; `true`: it reboots the node and has not ended, so that it
    /// is sent again, and nothing is counted. It is over by `latest_end`.
    pub(super) fn goes_on_with_reboot(
        &mut self,
        job: &Job,
        number: u32,
        outcome: Outcome,
        latest_end: Timestamp,
    ) -> bool {
        let reboots = job.step(number).is_some_and(Step::reboots);
        let goes_on = reboots && says_nothing(outcome, self.away.is_some());
        if goes_on {
            let away = self.away.get_or_insert(Away {
                begun: false,
                asked: 0,
                until: latest_end,
                latest_end,
            });
            away.begun |= outcome == Outcome::Rebooting;
        }
        goes_on
    }
}

/// Whether a send tells nothing of how the reboot ended. What never reached a node that may have begun it does not.
fn says_nothing(outcome: Outcome, away: bool) -> bool {
    match outcome {
        Outcome::Rebooting | Outcome::Unknown => true,
        Outcome::Undelivered | Outcome::Unreachable | Outcome::TooLate => away,
        Outcome::Ok
        | Outcome::Failed
        | Outcome::TimedOut
        | Outcome::Interrupted
        | Outcome::NotBack
        | Outcome::Busy
        | Outcome::Superseded => false,
    }
}

#[cfg(test)]
mod tests;
