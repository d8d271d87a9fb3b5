//! A run's way through its steps: which attempt comes next, and what the run amounts to.
//!
//! ```text
//!  step 1 … step n ──▶ clean-up ──▶ record (last-, or fail-) ──▶ release
//!     │ failed, stopped ─▶ clean-up ──▶ record (fail-) ─────────▶ release
//!     └ superseded ─▶ nothing more
//! ```

use std::time::Duration;

use jiff::Timestamp;

use crate::model::backoff::backoff;
use crate::model::job::{Job, Step, When};
use crate::model::outcome::{Lease, Outcome};
use crate::model::record::FailReason;
use crate::model::time::{Moment, Now, later};

/// How often an outcome that uses no attempt (busy, too late) is answered by sending again.
const UNUSED_MAX: u32 = 8;

/// Beyond a step's not-after and its timeout, this much later it has ended for certain (design section 4).
const END_SLACK: Duration = Duration::from_secs(60);

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Run {
    /// The step that comes next or is under way; steps count from 1, clean-up steps are numbered on.
    step: u32,
    /// Which attempt at it, from 1.
    attempt: u32,
    /// How many attempts at it have been used up.
    used: u32,
    /// When the next attempt may begin.
    not_before: Moment,
    /// The latest possible end of an attempt of which nobody knows how it ended.
    unknown_until: Option<(Timestamp, FailReason)>,
    /// Where and why the steps did not succeed.
    failure: Option<(u32, FailReason)>,
    /// The clean-up step that did not succeed.
    cleanup_failure: Option<u32>,
    phase: Phase,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
            used: 0,
            not_before: Moment::default(),
            unknown_until: None,
            failure: None,
            cleanup_failure: None,
            phase: Phase::Steps,
        }
    }

    /// What comes next at `now`.
    pub fn next(&self, now: Timestamp) -> Do {
        match (self.phase, self.unknown_until) {
            (_, Some((until, _))) if now < until => Do::KeepUntil(until),
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
    /// Busy and too late use no attempt and are sent again a bounded number of times. Unknown keeps the lease until
    /// the step's latest possible end has passed.
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
        let Some(reason) = meaning.fail else {
            self.advance(job);
            return;
        };
        if meaning.uses_attempt {
            self.used += 1;
        }
        self.unknown_until = None;
        if meaning.lease == Lease::KeptToLatestEnd {
            let end = later(later(not_after, step.timeout), END_SLACK);
            self.unknown_until = Some((end, reason));
        }
        if self.may_try_again(&step) {
            self.not_before = now.boot.plus(backoff(self.attempt, random));
            self.attempt += 1;
        } else {
            self.give_up(job, reason);
        }
    }

    /// The provider would not take an attempt for now (throttling): nothing was sent for certain, so no attempt is used
    /// up, and it is sent again a bounded number of times; then it was undelivered.
    pub fn not_taken(&mut self, job: &Job, now: Now, random: u128) {
        let Some(step) = job.step(self.step) else {
            return;
        };
        if self.may_try_again(step) {
            self.not_before = now.boot.plus(backoff(self.attempt, random));
            self.attempt += 1;
        } else {
            self.give_up(job, FailReason::Undelivered);
        }
    }

    /// The run is ended on purpose, after step `begun` was begun last: only clean-up follows.
    ///
    /// A run whose steps have all succeeded is past being stopped: its finished work is committed.
    pub fn stopped(&mut self, job: &Job, begun: u32) {
        if self.phase == Phase::Steps {
            self.failure = Some((begun, FailReason::Stopped));
            self.begin_cleanup(job);
        }
    }

    /// What was to be recorded has been.
    pub fn recorded(&mut self) {
        self.phase = Phase::Release;
    }

    /// The lock is gone.
    pub fn released(&mut self) {
        self.phase = Phase::Over;
    }

    fn may_try_again(&self, step: &Step) -> bool {
        let unused = self.attempt - self.used;
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
        self.attempt = 1;
        self.used = 0;
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
mod tests {
    use super::*;
    use crate::model::job::Cleanup;
    use crate::model::job::tests::{sample, step};
    use crate::model::view::tests::now as wall;

    fn now() -> Now {
        Now {
            wall: wall(),
            boot: Moment(Duration::from_secs(100)),
        }
    }

    fn job(steps: usize, cleanups: &[When]) -> Job {
        let mut job = sample();
        job.steps = (0..steps).map(|n| step(&format!("s{n}"), "true")).collect();
        job.cleanup = cleanups
            .iter()
            .map(|when| Cleanup {
                step: step("c", "true"),
                when: *when,
            })
            .collect();
        job
    }

    /// Plays outcomes in turn; tells which attempts were begun, and what is next.
    fn play(job: &Job, outcomes: &[Outcome]) -> (Vec<(u32, u32)>, Do) {
        let mut run = Run::new();
        let mut begun = Vec::new();
        for outcome in outcomes {
            let Do::Begin { step, attempt, .. } =
                run.next(later(wall(), Duration::from_secs(1_000_000)))
            else {
                panic!("nothing to begin after {begun:?}");
            };
            begun.push((step, attempt));
            run.ended(job, now(), *outcome, wall(), 0);
        }
        (
            begun,
            run.next(later(wall(), Duration::from_secs(1_000_000))),
        )
    }

    #[test]
    fn steps_then_cleanup_then_the_record() {
        let job = job(2, &[When::Always, When::Failed]);
        let (begun, next) = play(&job, &[Outcome::Ok; 3]);
        assert_eq!(
            (begun, next),
            (vec![(1, 1), (2, 1), (3, 1)], Do::Record(Result::Done))
        );
    }

    #[test]
    fn a_failed_step_goes_to_cleanup_and_is_what_the_run_failed_by() {
        let job = job(2, &[When::Failed, When::Always]);
        let (begun, next) = play(&job, &[Outcome::Failed, Outcome::Ok, Outcome::Failed]);
        assert_eq!(begun, [(1, 1), (3, 1), (4, 1)]);
        assert_eq!(
            next,
            Do::Record(Result::Failed {
                step: 1,
                reason: FailReason::Failed
            })
        );
    }

    #[test]
    fn good_steps_and_a_failed_cleanup_are_done_and_say_so() {
        let job = job(1, &[When::Always]);
        let (_, next) = play(&job, &[Outcome::Ok, Outcome::TimedOut]);
        assert_eq!(next, Do::Record(Result::DoneUnclean { step: 2 }));
    }

    #[test]
    fn retries_are_attempts_of_their_own_and_wait_between() {
        let mut job = job(1, &[]);
        job.steps[0].retries = 2;
        let (begun, next) = play(
            &job,
            &[Outcome::Failed, Outcome::Undelivered, Outcome::TimedOut],
        );
        assert_eq!(begun, [(1, 1), (1, 2), (1, 3)]);
        assert_eq!(
            next,
            Do::Record(Result::Failed {
                step: 1,
                reason: FailReason::TimedOut
            })
        );
        let mut run = Run::new();
        run.ended(&job, now(), Outcome::Failed, wall(), u128::MAX);
        assert!(
            matches!(run.next(wall()), Do::Begin { not_before, .. } if not_before > now().boot)
        );
    }

    #[test]
    fn busy_uses_no_attempt_but_is_not_asked_for_ever() {
        let job = job(1, &[]);
        let (begun, next) = play(&job, &[Outcome::Busy, Outcome::TooLate, Outcome::Ok]);
        assert_eq!(
            (begun, next),
            (vec![(1, 1), (1, 2), (1, 3)], Do::Record(Result::Done))
        );
        let (begun, next) = play(&job, &[Outcome::Busy; UNUSED_MAX as usize]);
        assert_eq!(begun.len(), UNUSED_MAX as usize);
        assert_eq!(
            next,
            Do::Record(Result::Failed {
                step: 1,
                reason: FailReason::Busy
            })
        );
    }

    #[test]
    fn what_is_not_taken_for_now_uses_no_attempt_and_is_undelivered_in_the_end() {
        let job = job(1, &[]);
        let mut run = Run::new();
        for attempt in 2..=UNUSED_MAX {
            run.not_taken(&job, now(), u128::MAX);
            let next = run.next(wall());
            assert!(
                matches!(next, Do::Begin { step: 1, attempt: n, not_before } if n == attempt && not_before > now().boot),
                "{next:?}"
            );
        }
        let mut done = run.clone();
        done.ended(&job, now(), Outcome::Ok, wall(), 0);
        assert_eq!(done.next(wall()), Do::Record(Result::Done));
        run.not_taken(&job, now(), 0);
        assert_eq!(
            run.next(wall()),
            Do::Record(Result::Failed {
                step: 1,
                reason: FailReason::Undelivered
            })
        );
    }

    #[test]
    fn unknown_keeps_the_lease_until_the_latest_possible_end() {
        let job = job(1, &[]);
        let mut run = Run::new();
        run.ended(&job, now(), Outcome::Unknown, wall(), 0);
        let end = later(wall(), Duration::from_secs(3_600 + 60));
        assert_eq!(run.next(wall()), Do::KeepUntil(end));
        assert_eq!(
            run.next(end),
            Do::Record(Result::Failed {
                step: 1,
                reason: FailReason::Unknown
            })
        );
    }

    #[test]
    fn a_superseded_claim_does_nothing_more() {
        let job = job(2, &[When::Always]);
        assert_eq!(play(&job, &[Outcome::Superseded]).1, Do::Nothing);
    }

    #[test]
    fn a_stopped_run_cleans_up_and_says_stopped_but_finished_work_is_committed() {
        let job = job(2, &[When::Always]);
        let mut run = Run::new();
        run.stopped(&job, 0);
        assert!(matches!(run.next(wall()), Do::Begin { step: 3, .. }));
        run.ended(&job, now(), Outcome::Ok, wall(), 0);
        assert_eq!(
            run.next(wall()),
            Do::Record(Result::Failed {
                step: 0,
                reason: FailReason::Stopped
            })
        );
        let mut done = Run::new();
        done.ended(&job, now(), Outcome::Ok, wall(), 0);
        done.ended(&job, now(), Outcome::Ok, wall(), 0);
        done.stopped(&job, 2);
        done.ended(&job, now(), Outcome::Ok, wall(), 0);
        assert_eq!(done.next(wall()), Do::Record(Result::Done));
    }
}
