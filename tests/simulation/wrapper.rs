//! The wrapper at work on a node, as `node.sh` has it: what it starts, and what becomes of that.

use std::rc::Rc;
use std::time::Duration;

use jiff::SignedDuration;
use roundsman::model::id::{ClaimId, NodeId};
use roundsman::model::job::On;
use roundsman::model::outcome::{Delivery, Outcome};
use roundsman::model::time::{elapsed, later};
use roundsman::port::{Clock, Halt};

use crate::cloud::{Cloud, SimNode};
use crate::fact::{Execution, What};
use crate::faults::Class;
use crate::fence::{Attempt, Entry, JOURNAL_MAX, Payload, Running, Verdict, Way};

/// A later claim has been on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Superseded;

/// The result line, and the wrapper's exit status.
pub(crate) fn line(claim: ClaimId, attempt: Attempt, outcome: Outcome) -> Delivery {
    let status = match outcome {
        Outcome::Ok => 0,
        Outcome::Busy => 75,
        Outcome::Superseded => 76,
        Outcome::TooLate => 77,
        _ => 1,
    };
    let (run, step, attempt) = attempt;
    let stdout = format!(
        "roundsman v1 run={run} claim={claim} step={step} attempt={attempt} boot=b state={outcome} status=\n"
    );
    Delivery::Ended {
        status: Some(status),
        stdout,
        stderr: String::new(),
    }
}

impl Cloud {
    /// A send has reached its node: the wrapper's verb `exec`. `None`: it has started the step, or attached to it.
    pub(crate) fn exec(
        self: &Rc<Self>,
        id: &NodeId,
        send: u64,
        payload: &Payload,
    ) -> Option<Outcome> {
        let mut nodes = self.nodes.borrow_mut();
        let node = nodes.get_mut(id)?;
        let clock = self
            .clock
            .wall()
            .saturating_add(SignedDuration::from_millis(node.clock_off_ms))
            .unwrap_or_default();
        // The shell's clock has whole seconds.
        let too_late = clock.as_second() > payload.not_after.as_second();
        let boot = node.boot;
        let verdict = node.fence.judge(payload, boot, too_late, self.without);
        let attempt = payload.attempt();
        let answer = match verdict {
            Verdict::Answers(outcome) => Some(outcome),
            Verdict::Attaches => {
                let lives = node.fence.running.iter_mut();
                lives
                    .filter(|each| each.attempt == attempt)
                    .for_each(|each| each.sends.push(send));
                None
            }
            // Whoever has sent it is told before the node goes down.
            Verdict::Starts(Way::Down) => Some(Outcome::Rebooting),
            Verdict::Starts(_) => None,
        };
        let execution = match verdict {
            Verdict::Starts(way) => Some(self.start(node, (send, payload), way, clock)),
            Verdict::Answers(_) | Verdict::Attaches => None,
        };
        drop(nodes);
        self.tell(What::Delivered {
            node: id.clone(),
            run: payload.run,
            claim: payload.claim,
            step: payload.step,
            attempt: payload.attempt,
            answer,
        });
        if let Some(execution) = execution {
            self.tell(What::Began(execution));
        }
        answer
    }

    /// The journal's record, and then the step.
    fn start(
        self: &Rc<Self>,
        node: &mut SimNode,
        (send, payload): (u64, &Payload),
        way: Way,
        clock: jiff::Timestamp,
    ) -> Execution {
        let attempt = payload.attempt();
        let journal = &mut node.fence.journal;
        // What was promised of an attempt when it began stays.
        journal.entry(attempt).or_insert_with(|| Entry {
            claim: payload.claim,
            job: payload.job.clone(),
            boot: node.boot,
            began: clock,
            ends: later(payload.not_after, payload.timeout),
            reboots: payload.reboots(),
            ended: None,
        });
        if journal.len() > JOURNAL_MAX {
            journal.pop_first();
        }
        let execution = self.number();
        node.fence.running.push(Running {
            execution,
            attempt,
            sends: Some(send)
                .filter(|_| way != Way::Down)
                .into_iter()
                .collect(),
        });
        let began = journal.get(&attempt).map_or(clock, |entry| entry.began);
        let (takes, outcome) = self.fate_of(payload, (way, elapsed(began, clock)));
        let (id, claim) = (node.node.id.clone(), payload.claim);
        let began = Execution {
            id: execution,
            node: id.clone(),
            job: payload.job.clone(),
            run: payload.run,
            claim,
            step: payload.step,
            attempt: payload.attempt,
            on: On::Node,
        };
        self.after(takes, move |cloud| match (way, outcome) {
            (Way::Down, Outcome::Ok) => cloud.go_down(&id, execution, claim),
            _ => cloud.finish(&id, execution, claim, outcome),
        });
        began
    }

    /// The node has told that it will, and reboots; unless a later claim has come, or the run was stopped.
    fn go_down(self: &Rc<Self>, id: &NodeId, execution: u64, claim: ClaimId) {
        let still = |node: &SimNode| {
            let running = node.fence.running.iter();
            running.into_iter().any(|each| each.execution == execution)
        };
        let (goes, overtaken) = {
            let nodes = self.nodes.borrow();
            let node = nodes.get(id).filter(|node| still(node));
            let mark = node.and_then(|node| node.fence.mark);
            (node.is_some(), mark > Some(claim))
        };
        if overtaken {
            self.finish(id, execution, claim, Outcome::Interrupted);
        } else if goes {
            self.fired.count(Class::StepReboots);
            self.reboot_node(id);
        }
    }

    /// How long an execution takes, and how it ends when nothing comes between.
    fn fate_of(&self, payload: &Payload, (way, since): (Way, Duration)) -> (Duration, Outcome) {
        let (failed, timed_out) = {
            let faults = self.faults.borrow();
            (faults.step_failed, faults.step_timed_out)
        };
        if self.lots.chance(timed_out) {
            self.fired.count(Class::StepTimedOut);
            // What is left of the time of a reboot, but enough to be asked once.
            let left = payload.timeout.saturating_sub(since);
            let left = left.max(Duration::from_secs(30));
            return match way {
                Way::Step => (payload.timeout, Outcome::TimedOut),
                Way::Down | Way::Return => (left, Outcome::NotBack),
            };
        }
        let takes = self.lots.between(payload.takes / 4, payload.takes);
        // A node that is not ready is asked until its time is over.
        if way == Way::Return {
            return (takes, Outcome::Ok);
        }
        if self.lots.chance(failed) {
            self.fired.count(Class::StepFailed);
            return (takes, Outcome::Failed);
        }
        (takes, Outcome::Ok)
    }

    /// A step ends, unless its node went down under it or it was stopped before.
    fn finish(self: &Rc<Self>, id: &NodeId, execution: u64, claim: ClaimId, outcome: Outcome) {
        let (attempt, sends) = {
            let mut nodes = self.nodes.borrow_mut();
            let Some(node) = nodes.get_mut(id) else {
                return;
            };
            let running = &mut node.fence.running;
            let Some(at) = running.iter().position(|each| each.execution == execution) else {
                return;
            };
            let Running { attempt, sends, .. } = running.remove(at);
            if let Some(entry) = node.fence.journal.get_mut(&attempt) {
                entry.ended = Some(outcome);
            }
            (attempt, sends)
        };
        self.tell(What::Ended { execution, outcome });
        for send in sends {
            self.report(send, line(claim, attempt, outcome));
        }
    }

    /// The wrapper's verb `stop` of a run: raises the mark, and ends all that the run has there. `Err`: a later claim has
    /// been there. Else: how many were ended.
    pub(crate) fn stop_run(self: &Rc<Self>, id: &NodeId, halt: &Halt) -> Result<u32, Superseded> {
        let meant = |attempt: &Attempt| attempt.0 == halt.run && attempt.1 <= halt.steps;
        let running: Vec<Attempt> = {
            let mut nodes = self.nodes.borrow_mut();
            let Some(node) = nodes.get_mut(id) else {
                return Ok(0);
            };
            if node.fence.mark > Some(halt.claim) {
                return Err(Superseded);
            }
            node.fence.mark = Some(halt.claim);
            let lives = node.fence.running.iter().map(|each| each.attempt);
            let lives: Vec<Attempt> = lives.filter(meant).collect();
            let journal = node.fence.journal.iter_mut();
            journal
                .filter(|(attempt, entry)| {
                    meant(attempt) && entry.ended.is_none() && !lives.contains(attempt)
                })
                .for_each(|(_, entry)| entry.ended = Some(Outcome::Interrupted));
            lives
        };
        for attempt in &running {
            self.stop_step(id, *attempt);
        }
        Ok(u32::try_from(running.len()).unwrap_or(u32::MAX))
    }

    /// Whether nothing of a run that a stop ends runs there any more.
    pub(crate) fn is_stopped(&self, id: &NodeId, halt: &Halt) -> bool {
        let meant = |attempt: &Attempt| attempt.0 == halt.run && attempt.1 <= halt.steps;
        let nodes = self.nodes.borrow();
        let node = nodes.get(id);
        node.is_none_or(|node| !node.fence.running.iter().any(|each| meant(&each.attempt)))
    }

    /// The wrapper's verb `stop`: TERM, and KILL half a minute later.
    pub(crate) fn stop_step(self: &Rc<Self>, id: &NodeId, attempt: Attempt) {
        let executions: Vec<(u64, ClaimId)> = {
            let nodes = self.nodes.borrow();
            let Some(node) = nodes.get(id) else {
                return;
            };
            let claim = node.fence.journal.get(&attempt).map(|entry| entry.claim);
            let running = node.fence.running.iter();
            running
                .filter(|each| each.attempt == attempt)
                .filter_map(|each| Some((each.execution, claim?)))
                .collect()
        };
        for (execution, claim) in executions {
            let id = id.clone();
            let grace = self.lots.between(Duration::ZERO, Duration::from_secs(30));
            self.after(grace, move |cloud| {
                cloud.finish(&id, execution, claim, Outcome::Interrupted);
            });
        }
    }
}
