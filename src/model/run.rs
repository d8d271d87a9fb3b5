//! A run's way through its steps: which attempt comes next, and what the run amounts to.
//!
//! ```text
//!  step 1 … step n ──▶ clean-up ──▶ record (last-, or fail-) ──▶ release
//!     │ failed, stopped ─▶ clean-up ──▶ record (fail-) ─────────▶ release
//!     └ superseded ─▶ nothing more
//! ```
//!
//! A run that is adopted goes the same way: what it did before is played again from what is found of it
//! (`run/adopt.rs`).

mod adopt;
mod reboot;

use std::time::Duration;

use jiff::Timestamp;

use crate::model::backoff::backoff;
use crate::model::job::{Job, Step, When};
use crate::model::node::Command;
use crate::model::outcome::{Lease, Outcome};
use crate::model::record::FailReason;
use crate::model::run::adopt::Past;
use crate::model::run::reboot::Away;
use crate::model::time::{Moment, Now, later};

/// How often an outcome that uses no attempt (too late) is answered by sending again.
const UNUSED_MAX: u32 = 8;

/// How long a node may answer `busy` until the run gives up: whoever let go sooner would leave a node at work that
/// nobody counts. Nothing that SSM runs lasts longer.
const BUSY_FOR: Duration = Duration::from_secs(48 * 3_600);

/// How far apart such a node is asked, in the end.
const BUSY_APART: Duration = Duration::from_secs(300);

/// Beyond a step's not-after and its timeout, this much later it has ended for certain.
pub const END_SLACK: Duration = Duration::from_secs(60);

/// When a step has ended for certain that was not to start after `not_after`, whatever became of it.
pub fn latest_end(not_after: Timestamp, timeout: Duration) -> Timestamp {
    later(later(not_after, timeout), END_SLACK)
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Run {
    /// The step that comes next or is under way; steps count from 1, clean-up steps are numbered on.
    step: u32,
    /// Which attempt at it, from `first`.
    attempt: u32,
    /// The number of each step's first attempt: 1, unless such numbers are another job file's.
    first: u32,
    /// How many attempts at it have been used up.
    used: u32,
    /// How often in a row the provider would not take it.
    not_taken: u32,
    /// How often in a row the node was busy, and until when it is asked again.
    busy: (u32, Option<Moment>),
    /// The reboot that this attempt has begun, or may have.
    away: Option<Away>,
    /// When the next attempt may begin.
    not_before: Moment,
    /// The latest possible end of an attempt of which nobody knows how it ended.
    unknown_until: Option<Timestamp>,
    /// Where and why the steps did not succeed.
    failure: Option<(u32, FailReason)>,
    /// The clean-up step that did not succeed.
    cleanup_failure: Option<u32>,
    phase: Phase,
    /// What is found of it, when it is adopted.
    past: Option<Past>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Steps,
    Cleanup,
    Record,
    Release,
    Over,
}

/// What a run does next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Do {
    /// Begin this attempt, not before that moment.
    Begin {
        /// The step's number.
        step: u32,
        /// Which attempt, from 1.
        attempt: u32,
        /// When it may begin.
        not_before: Moment,
    },
    /// Wait for what an earlier claim has sent, and tell [`Run::found`] how it ended. Nothing is started.
    Attach {
        /// What is waited for.
        command: Command,
        /// Whether it is to be ended first.
        cancel: bool,
    },
    /// Keep the lease until then: a step may still be running.
    KeepUntil(Timestamp),
    /// Write what the run amounts to.
    Record(Result),
    /// Let go.
    Release,
    /// Nothing more: it is over.
    Nothing,
}

/// What a run amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Result {
    /// Every step succeeded, and so did the clean-up.
    Done,
    /// Every step succeeded; this clean-up step did not.
    DoneUnclean {
        /// Its number.
        step: u32,
    },
    /// It did not succeed.
    Failed {
        /// The step it ended at; 0: none was begun.
        step: u32,
        /// Why.
        reason: FailReason,
    },
}

impl Run {
    /// A run at its beginning.
    pub fn new() -> Self {
        Self {
            step: 1,
            attempt: 1,
            first: 1,
            used: 0,
            not_taken: 0,
            busy: (0, None),
            away: None,
            not_before: Moment::default(),
            unknown_until: None,
            failure: None,
            cleanup_failure: None,
            phase: Phase::Steps,
            past: None,
        }
    }

    /// What comes next at `now`.
    pub fn next(&self, now: Timestamp) -> Do {
        if let Some((command, cancel)) = self.watched().filter(|_| self.phase != Phase::Over) {
            return Do::Attach { command, cancel };
        }
        match (self.phase, self.unknown_until) {
            (_, Some(until)) if now < until => Do::KeepUntil(until),
            (Phase::Steps | Phase::Cleanup, _) => Do::Begin {
                step: self.step,
                attempt: self.attempt,
                not_before: self.not_before,
            },
            (Phase::Record, _) => Do::Record(self.result()),
            (Phase::Release, _) => Do::Release,
            (Phase::Over, _) => Do::Nothing,
        }
    }

    /// What the run amounts to, as far as it has come.
    pub fn result(&self) -> Result {
        match (self.failure, self.cleanup_failure) {
            (Some((step, reason)), _) => Result::Failed { step, reason },
            (None, Some(step)) => Result::DoneUnclean { step },
            (None, None) => Result::Done,
        }
    }

    /// An attempt has ended. `not_after` is what its send carried; `random` spreads the backoff.
    ///
    /// Busy and too late use no attempt. A busy node is asked for the same attempt again while something can run there;
    /// too late is sent anew a bounded number of times. Unknown keeps the lease until the step's latest possible end has
    /// passed. A reboot that has not come to an end is asked after, under its own number ([`Self::amounts_to`]).
    pub fn ended(
        &mut self,
        job: &Job,
        now: Now,
        outcome: Outcome,
        not_after: Timestamp,
        random: u128,
    ) {
        let Some(step) = job.step(self.step).cloned() else {
            return;
        };
        let meaning = outcome.meaning();
        if meaning.lease == Lease::Lost {
            self.phase = Phase::Over;
            return;
        }
        if outcome == Outcome::Busy {
            if !self.asks_again(now, &step, random) {
                self.give_up(job, FailReason::Busy);
                self.replay(job);
            }
            return;
        }
        let end = latest_end(not_after, step.timeout);
        let Some(amounts_to) = self.amounts_to(job, now.wall, outcome) else {
            self.ask_again(now, &step, (outcome, end), random);
            return;
        };
        // Of a reboot too: a send of which nobody knows may be executing what says that the node is ready.
        if outcome.meaning().lease == Lease::KeptToLatestEnd {
            self.keep_until(end);
        }
        let outcome = amounts_to;
        if self.count(job, &step, outcome) {
            self.not_before = now.boot.plus(backoff(self.attempt - self.first, random));
        }
        self.replay(job);
    }

    /// What an attempt's end means for the run; `true`: the step is tried again.
    fn count(&mut self, job: &Job, step: &Step, outcome: Outcome) -> bool {
        let meaning = outcome.meaning();
        let Some(reason) = meaning.fail else {
            self.advance(job);
            return false;
        };
        self.used += u32::from(meaning.uses_attempt);
        if !self.may_try_again(step) {
            self.give_up(job, reason);
            return false;
        }
        self.attempt += 1;
        self.not_taken = 0;
        self.away = None;
        true
    }

    /// Nothing is begun before then: something may be running.
    pub fn keep_until(&mut self, until: Timestamp) {
        self.unknown_until = self.unknown_until.max(Some(until));
    }

    /// The provider would not take an attempt for now (throttling): nothing was sent for certain, so it is made again
    /// under its own number, a bounded number of times; then it was undelivered.
    pub fn not_taken(&mut self, job: &Job, now: Now, random: u128) {
        self.not_taken += 1;
        if self.not_taken < UNUSED_MAX {
            self.not_before = now.boot.plus(backoff(self.not_taken, random));
            return;
        }
        self.ended(job, now, Outcome::Undelivered, Timestamp::MIN, random);
    }

    /// The run is ended on purpose, after step `begun` was begun last: only clean-up follows.
    ///
    /// A run whose steps have all succeeded is past being stopped: its finished work is committed.
    pub fn stopped(&mut self, job: &Job, begun: u32) {
        if self.phase == Phase::Steps {
            self.failure = Some((begun, FailReason::Stopped));
            self.end_what_runs();
            self.begin_cleanup(job);
            self.replay(job);
        }
    }

    /// Whether a step is under way or comes next.
    pub fn is_in_steps(&self) -> bool {
        self.phase == Phase::Steps
    }

    /// What was to be recorded has been.
    pub fn recorded(&mut self) {
        self.phase = Phase::Release;
    }

    /// The lock is gone.
    pub fn released(&mut self) {
        self.phase = Phase::Over;
    }

    /// Whether a busy node is asked again, under the same number: another attempt could run beside this one.
    fn asks_again(&mut self, now: Now, step: &Step, random: u128) -> bool {
        let (times, until) = self.busy;
        let may_run = if self.has_begun(self.step) {
            step.timeout + END_SLACK
        } else {
            BUSY_FOR
        };
        let until = until.unwrap_or_else(|| now.boot.plus(may_run));
        self.busy = (times + 1, Some(until));
        let wait = backoff(times + 1, random).max(if times < UNUSED_MAX {
            Duration::ZERO
        } else {
            BUSY_APART
        });
        self.not_before = now.boot.plus(wait);
        now.boot < until
    }

    fn may_try_again(&self, step: &Step) -> bool {
        let unused = self.attempt + 1 - self.first - self.used;
        self.used <= step.retries && unused < UNUSED_MAX
    }

    fn give_up(&mut self, job: &Job, reason: FailReason) {
        if self.phase == Phase::Cleanup {
            self.cleanup_failure.get_or_insert(self.step);
            self.advance(job);
        } else {
            self.failure = Some((self.step, reason));
            self.begin_cleanup(job);
        }
    }

    fn begin_cleanup(&mut self, job: &Job) {
        self.phase = Phase::Cleanup;
        self.step = u32::try_from(job.steps.len()).unwrap_or(u32::MAX);
        self.advance(job);
    }

    /// Goes on to the next step that is to be done.
    fn advance(&mut self, job: &Job) {
        self.attempt = self.first;
        self.used = 0;
        self.not_taken = 0;
        self.busy = (0, None);
        self.away = None;
        self.not_before = Moment::default();
        let steps = u32::try_from(job.steps.len()).unwrap_or(u32::MAX);
        loop {
            self.step += 1;
            if self.step <= steps {
                return;
            }
            self.phase = Phase::Cleanup;
            let index = usize::try_from(self.step - steps - 1).unwrap_or(usize::MAX);
            match job.cleanup.get(index) {
                None => {
                    self.phase = Phase::Record;
                    return;
                }
                Some(cleanup) if cleanup.when == When::Always || self.failure.is_some() => return,
                Some(_) => {}
            }
        }
    }
}

impl Default for Run {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
