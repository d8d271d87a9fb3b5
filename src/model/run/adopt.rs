//! A run that is gone on with: what it did before is played again from what is found of it.
//!
//! What the lock says and what evidence shows are put together. A step is begun only after those before it have
//! succeeded, so everything below the step begun last is taken for done. From there each attempt that evidence shows
//! is attached to in its turn and judged like any other; one that it does not show is begun, which the node answers
//! from its journal if it knows better. Nothing numbered below what was begun last is ever started again.
//!
//! - A step that reboots the node, and of which no end is found, is begun again under its number, which goes on with it
//!   (`run/reboot.rs`).
//! - Clean-up had begun, and evidence does not show that the steps succeeded: the run has failed (`unknown`). It is
//!   never taken for done.
//! - The run was being stopped: what is in progress is ended, then clean-up.
//! - The job file is another one: the numbers mean other steps, so nothing is judged and no step is begun. What is in
//!   progress is watched to its end, then clean-up, whose attempts get numbers that the run cannot have used.

use jiff::Timestamp;

use crate::model::job::{Job, When};
use crate::model::lock::LockState;
use crate::model::node::{Activity, Command};
use crate::model::outcome::{Lease, Outcome};
use crate::model::record::FailReason;
use crate::model::run::{Phase, Run};
use crate::model::suspect::LeftRun;

/// The first attempt at a clean-up step of another job file than the one that the run began with: what the run has
/// sent under its own file has a lower number, and the node must not answer from that.
const OTHER_FILE: u32 = 1_001;

/// What is found of an adopted run and not judged yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Past {
    /// The step begun last, as the lock or evidence has it.
    begun: u32,
    /// Commands that are not judged yet, those in progress first.
    commands: Vec<Command>,
    /// The one to be waited for now.
    current: Option<Current>,
    /// Whether the job file is the one that the run began with.
    same_file: bool,
    /// Why the run ends without another step.
    ends: Option<FailReason>,
    /// Whether what is in progress is ended.
    cancel: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Current {
    command: Command,
    /// Whether its end counts for the run. If not, it only has to have ended.
    counts: bool,
    /// Whether it is a clean-up step's, which nothing ends before its time.
    cleanup: bool,
}

impl Past {
    /// Takes out a command of this attempt.
    fn take(&mut self, step: u32, attempt: u32) -> Option<Command> {
        let is = |command: &Command| (command.step, command.attempt) == (step, attempt);
        let at = self.commands.iter().position(is)?;
        Some(self.commands.remove(at))
    }

    /// Takes out a command that may be running; while clean-up is yet to come, none of that.
    fn take_active(&mut self, in_steps: bool) -> Option<Command> {
        let is = |command: &Command| {
            let own = !in_steps || command.attempt < OTHER_FILE;
            own && command.activity != Activity::Finished
        };
        let at = self.commands.iter().position(is)?;
        Some(self.commands.remove(at))
    }

    fn shows(&self, is: impl Fn(&Command) -> bool) -> bool {
        self.commands.iter().any(is)
    }
}

impl Run {
    /// A run that is gone on with. `commands`: what evidence shows on its node, of whatever run.
    pub fn adopted(job: &Job, left: &LeftRun, commands: &[Command]) -> Self {
        let mut commands: Vec<Command> = commands
            .iter()
            .filter(|command| command.run == left.run && command.job == left.job)
            .cloned()
            .collect();
        commands.sort_by_key(|command| command.activity == Activity::Finished);
        let highest = |most: u32| {
            let steps = commands.iter().map(|command| command.step);
            steps.filter(|step| *step <= most).max().unwrap_or(0)
        };
        let steps = count(job);
        let begun = left.step.max(highest(u32::MAX));
        // When clean-up has begun, only what evidence shows of the steps tells how they ended.
        let from = if begun <= steps {
            begun
        } else {
            highest(steps)
        };
        let same_file = left.file == job.file_digest();
        let ends = match left.state {
            LockState::Stopping => Some(FailReason::Stopped),
            _ if !same_file => Some(FailReason::JobChanged),
            _ => None,
        };
        let first = if same_file { 1 } else { OTHER_FILE };
        let mut run = Self {
            step: from.max(1),
            attempt: first,
            first,
            past: Some(Past {
                begun,
                commands,
                current: None,
                same_file,
                ends,
                cancel: ends == Some(FailReason::Stopped),
            }),
            ..Self::new()
        };
        run.replay(job);
        run
    }

    /// What was waited for has ended. `latest_end`: when it has ended for certain, if nobody knows how. `cancelled`:
    /// it was told to end.
    pub fn found(&mut self, job: &Job, outcome: Outcome, latest_end: Timestamp, cancelled: bool) {
        let Some(Current {
            command, counts, ..
        }) = self.past.as_mut().and_then(|past| past.current.take())
        else {
            return;
        };
        // A later claim than the one that sent it: perhaps the own one. It was not executed, and that is all.
        let outcome = match outcome {
            Outcome::Superseded => Outcome::TooLate,
            other => other,
        };
        if counts && !cancelled && self.reboots_still(job, command.step, outcome, latest_end) {
            self.replay(job);
            return;
        }
        let lease = outcome.meaning().lease;
        // A node that is about to reboot, or has, and that nobody asks again, is left alone until that is over.
        if lease == Lease::KeptToLatestEnd || outcome == Outcome::Rebooting {
            self.keep_until(latest_end);
        }
        let ends = self.past.as_ref().and_then(|past| past.ends);
        // Whoever was ending the run before has interrupted it for that.
        let before = ends == Some(FailReason::Stopped) && outcome == Outcome::Interrupted;
        let ended = (cancelled || before) && outcome != Outcome::Ok && lease == Lease::Goes;
        if counts && !ended {
            self.count_found(job, &command, outcome);
        }
        if cancelled && self.phase == Phase::Steps {
            self.stopped(job, command.step);
        }
        self.replay(job);
    }

    /// Whether the lock should say that the run is being ended, before anything more is done.
    pub fn is_stopping(&self) -> bool {
        self.past.as_ref().is_some_and(|past| match past.ends {
            Some(FailReason::Stopped) => true,
            // Clean-up is numbered by this file: whoever has the other one must not take that for its steps.
            Some(_) => self.phase == Phase::Cleanup,
            None => false,
        })
    }

    /// Whether the job file is another one than the run began with.
    pub fn has_other_file(&self) -> bool {
        self.past.as_ref().is_some_and(|past| !past.same_file)
    }

    pub(super) fn watched(&self) -> Option<(Command, bool)> {
        let past = self.past.as_ref()?;
        let current = past.current.as_ref()?;
        let runs = current.command.activity != Activity::Finished;
        let cancel = past.cancel && runs && !current.cleanup;
        Some((current.command.clone(), cancel))
    }

    /// Goes on as far as what is found tells, to what is waited for or begun next.
    pub(super) fn replay(&mut self, job: &Job) {
        while self.past.is_some() && self.replay_one(job) {}
    }

    /// One attempt, or one step; `false`: what comes next is waited for, begun, or the end.
    fn replay_one(&mut self, job: &Job) -> bool {
        let (step, attempt, phase) = (self.step, self.attempt, self.phase);
        let undecided = self.failure.is_none();
        let Some(past) = self.past.as_mut().filter(|past| past.current.is_none()) else {
            return false;
        };
        let in_steps = phase == Phase::Steps;
        if in_steps && past.same_file || phase == Phase::Cleanup {
            if let Some(command) = past.take(step, attempt) {
                return self.watch(job, command, true);
            }
            // It was made, and the executor took none of it: a later attempt shows.
            let first = self.first;
            let later = |c: &Command| c.step == step && c.attempt > attempt;
            if past.shows(|c| later(c) && (c.attempt < OTHER_FILE || first == OTHER_FILE)) {
                if let Some(step) = job.step(step).cloned() {
                    self.count(job, &step, Outcome::Undelivered);
                }
                return true;
            }
            if past.same_file && step < past.begun {
                let reason = past.ends.unwrap_or(FailReason::Unknown);
                match phase {
                    Phase::Steps => self.give_up(job, reason),
                    _ => self.advance(job),
                }
                return true;
            }
        }
        let clean_failed = past.same_file && !in_steps && undecided && had_failed(job, past);
        if clean_failed {
            self.failure = Some((count(job), past.ends.unwrap_or(FailReason::Unknown)));
            self.begin_cleanup(job);
            return true;
        }
        if let Some(command) = past.take_active(in_steps) {
            return self.watch(job, command, false);
        }
        if let Some(reason) = past.ends.filter(|_| in_steps) {
            let at = if past.same_file {
                step.min(past.begun)
            } else {
                past.begun
            };
            self.failure = Some((at, reason));
            self.begin_cleanup(job);
            return true;
        }
        false
    }

    /// Waits for a command; `true`: nobody can, and it is judged.
    fn watch(&mut self, job: &Job, command: Command, counts: bool) -> bool {
        if let Activity::Unknown { latest_end } = command.activity {
            if counts && self.reboots_still(job, command.step, Outcome::Unknown, latest_end) {
                return true;
            }
            self.keep_until(latest_end);
            if counts {
                self.count_found(job, &command, Outcome::Unknown);
            }
            return true;
        }
        if let Some(past) = self.past.as_mut() {
            let cleanup =
                past.same_file && command.step > count(job) || command.attempt >= OTHER_FILE;
            past.current = Some(Current {
                command,
                counts,
                cleanup,
            });
        }
        false
    }

    /// Whether the step begun last reboots the node and did not come to an end: then it is gone on with.
    fn reboots_still(&mut self, job: &Job, step: u32, outcome: Outcome, end: Timestamp) -> bool {
        let goes_on = |past: &Past| past.begun == step && past.ends.is_none();
        self.past.as_ref().is_some_and(goes_on) && self.goes_on_with_reboot(job, step, outcome, end)
    }

    fn count_found(&mut self, job: &Job, command: &Command, outcome: Outcome) {
        let executed = !matches!(
            outcome,
            Outcome::Busy | Outcome::TooLate | Outcome::Undelivered | Outcome::Unreachable
        );
        let same = |c: &Command| (c.step, c.attempt) == (command.step, command.attempt);
        let sent_again = self.past.as_ref().is_some_and(|past| past.shows(same));
        // The same attempt was sent more than once: one that was executed tells how it ended.
        if sent_again && !executed {
            return;
        }
        if let Some(step) = job.step(command.step).cloned() {
            self.count(job, &step, outcome);
        }
    }

    /// Told to stop while something of an earlier claim runs: that is ended too.
    pub(super) fn end_what_runs(&mut self) {
        if let Some(past) = self.past.as_mut() {
            past.cancel = true;
            let current = past.current.take().map(|current| current.command);
            past.commands.extend(current);
        }
    }

    /// Whether an earlier claim had begun this step last: what a node is busy with may be that.
    pub(super) fn has_begun(&self, step: u32) -> bool {
        self.past.as_ref().is_some_and(|past| past.begun == step)
    }
}

/// Whether a clean-up step was begun that only a failed run has.
fn had_failed(job: &Job, past: &Past) -> bool {
    let steps = count(job);
    let begun = |number: u32| past.begun == number || past.shows(|c| c.step == number);
    (1..)
        .zip(&job.cleanup)
        .any(|(index, cleanup)| cleanup.when == When::Failed && begun(steps + index))
}

/// How many steps a job has, clean-up not counted.
fn count(job: &Job) -> u32 {
    u32::try_from(job.steps.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
