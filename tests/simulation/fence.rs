//! What the wrapper keeps on a node, and what it makes of a send: the mark, the not-after, the kernel lock, the journal, the
//! boot id; and a step that reboots the node, of which one attempt goes over the reboot.

use std::collections::BTreeMap;
use std::time::Duration;

use roundsman::model::id::{ClaimId, Name, RunId};
use roundsman::model::journal::{self, Journal, State};
use roundsman::model::outcome::Outcome;
use roundsman::model::rule::{Rule, Without};
use roundsman::port::Deed;

/// What a send carries to the node.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    pub(crate) job: Name,
    pub(crate) run: RunId,
    pub(crate) claim: ClaimId,
    pub(crate) step: u32,
    pub(crate) attempt: u32,
    pub(crate) timeout: Duration,
    pub(crate) not_after: jiff::Timestamp,
    /// How long the step takes when nothing goes wrong, as its script says.
    pub(crate) takes: Duration,
    /// It reboots the node, and its script says that the node is ready.
    pub(crate) deed: Deed,
}

/// Which attempt: the journal's key.
pub(crate) type Attempt = (RunId, u32, u32);

/// What a node keeps on its disk, and what runs on it.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    pub(crate) mark: Option<ClaimId>,
    pub(crate) journal: BTreeMap<Attempt, Entry>,
    pub(crate) running: Vec<Running>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) claim: ClaimId,
    pub(crate) job: Name,
    /// The boot under which it began, for good: a reboot that it has caused is told by that.
    pub(crate) boot: u64,
    pub(crate) began: jiff::Timestamp,
    pub(crate) ends: jiff::Timestamp,
    pub(crate) reboots: bool,
    pub(crate) ended: Option<Outcome>,
}

/// A step that is being executed, and the sends that are attached to it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) execution: u64,
    pub(crate) attempt: Attempt,
    pub(crate) sends: Vec<u64>,
}

/// How many attempts the journal keeps: about 30 days of them.
pub(crate) const JOURNAL_MAX: usize = 512;

/// What the wrapper does with a send.
pub(crate) enum Verdict {
    Answers(Outcome),
    Attaches,
    Starts(Way),
}

/// What a supervisor is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The step.
    Step,
    /// The reboot of the node.
    Down,
    /// The script that says whether the node is ready, after it.
    Return,
}

impl Fence {
    /// The node goes down under whatever runs there. No result is recorded. Tells the sends that were attached.
    pub(crate) fn kill_all(&mut self) -> (Vec<u64>, Vec<u64>) {
        let mut executions = Vec::new();
        let mut sends = Vec::new();
        for running in self.running.drain(..) {
            executions.push(running.execution);
            sends.extend(running.sends);
        }
        (executions, sends)
    }

    pub(crate) fn judge(
        &mut self,
        payload: &Payload,
        boot: u64,
        too_late: bool,
        without: Without,
    ) -> Verdict {
        let superseded = self.mark.is_some_and(|mark| mark > payload.claim);
        if superseded && without.keeps(Rule::Mark) {
            return Verdict::Answers(Outcome::Superseded);
        }
        self.mark = self.mark.max(Some(payload.claim));
        let attempt = payload.attempt();
        let lives = self.running.iter().any(|each| each.attempt == attempt);
        let entry = self.journal.get(&attempt);
        let way = match entry.filter(|_| without.keeps(Rule::Journal)) {
            Some(Entry {
                ended: Some(outcome),
                ..
            }) => return Verdict::Answers(*outcome),
            Some(entry) if entry.reboots && entry.boot == boot => {
                return Verdict::Answers(Outcome::Rebooting);
            }
            Some(entry) if lives && (entry.reboots || entry.boot == boot) => {
                return Verdict::Attaches;
            }
            Some(entry) if entry.reboots => Way::Return,
            Some(_) => return Verdict::Answers(Outcome::Interrupted),
            None if payload.deed == (Deed::Reboot { begun: true }) => {
                return Verdict::Answers(Outcome::NotBack);
            }
            None if payload.reboots() => Way::Down,
            None => Way::Step,
        };
        // Only what would be started can come too late: a send that is delivered a second time, hours after the first,
        // must not hide the step that the first has started.
        if too_late && without.keeps(Rule::NotAfter) {
            Verdict::Answers(Outcome::TooLate)
        } else if !self.running.is_empty() && without.keeps(Rule::KernelLock) {
            Verdict::Answers(Outcome::Busy)
        } else {
            Verdict::Starts(way)
        }
    }

    /// Who began an attempt, and how it has ended; `None`: it is not known here.
    pub(crate) fn ended(
        &self,
        boot: u64,
        (run, step, attempt): Attempt,
    ) -> Option<(ClaimId, Option<Outcome>)> {
        let journal = self.journal(boot, jiff::Timestamp::UNIX_EPOCH);
        let key = |entry: &&journal::Entry| {
            (entry.run, entry.step, entry.attempt) == (run, step, attempt)
        };
        let entry = journal.attempts.iter().find(key)?;
        let ended = match entry.state {
            State::Running => None,
            State::Ended { outcome, .. } => Some(outcome),
        };
        Some((entry.claim, ended))
    }

    /// What the wrapper's verb `look` prints.
    pub(crate) fn journal(&self, boot: u64, now: jiff::Timestamp) -> Journal {
        let told = self.journal.iter().map(|(&(run, step, attempt), entry)| {
            let lives = self
                .running
                .iter()
                .any(|each| each.attempt == (run, step, attempt));
            let away = entry.reboots && (entry.boot == boot) == lives;
            let state = match entry.ended {
                Some(outcome) => Some(outcome),
                None if away => Some(Outcome::Rebooting),
                None if lives => None,
                None => Some(Outcome::Interrupted),
            };
            journal::Entry {
                job: entry.job.clone(),
                run,
                claim: entry.claim,
                step,
                attempt,
                boot: entry.boot.to_string(),
                began: entry.began,
                ends: entry.ends,
                state: state.map_or(State::Running, |outcome| State::Ended {
                    outcome,
                    status: None,
                }),
            }
        });
        Journal {
            boot: boot.to_string(),
            now,
            mark: self.mark.map(|mark| mark.to_string()).unwrap_or_default(),
            attempts: told.collect(),
        }
    }
}

impl Payload {
    pub(crate) fn attempt(&self) -> Attempt {
        (self.run, self.step, self.attempt)
    }

    pub(crate) fn reboots(&self) -> bool {
        matches!(self.deed, Deed::Reboot { .. })
    }
}
