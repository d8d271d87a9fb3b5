//! The wrapper on a node, as `node.sh` has it: the mark, the not-after, the kernel lock that a detached
//! process holds, the journal, the boot id.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use jiff::SignedDuration;
use roundsman::model::id::{ClaimId, Name, NodeId, RunId};
use roundsman::model::job::On;
use roundsman::model::outcome::{Delivery, Outcome};
use roundsman::model::rule::{Rule, Without};
use roundsman::port::Clock;

use crate::cloud::{Cloud, SimNode};
use crate::fact::{Execution, What};
use crate::faults::Class;

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
}

/// Which attempt: the journal's key.
type Attempt = (RunId, u32, u32);

/// What a node keeps on its disk, and what runs on it.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    mark: Option<ClaimId>,
    journal: BTreeMap<Attempt, Entry>,
    running: Vec<Running>,
}

#[derive(Debug)]
struct Entry {
    boot: u64,
    ended: Option<Outcome>,
}

/// A step that is being executed, and the sends that are attached to it.
#[derive(Debug)]
struct Running {
    execution: u64,
    attempt: Attempt,
    sends: Vec<u64>,
}

/// How many attempts the journal keeps: about 30 days of them.
const JOURNAL_MAX: usize = 512;

/// The result line, and the wrapper's exit status.
pub(crate) fn line(payload: &Payload, outcome: Outcome) -> Delivery {
    let status = match outcome {
        Outcome::Ok => 0,
        Outcome::Busy => 75,
        Outcome::Superseded => 76,
        Outcome::TooLate => 77,
        _ => 1,
    };
    let Payload {
        run,
        claim,
        step,
        attempt,
        ..
    } = payload;
    let stdout = format!(
        "roundsman v1 run={run} claim={claim} step={step} attempt={attempt} boot=b state={outcome} status=\n"
    );
    Delivery::Ended {
        status: Some(status),
        stdout,
        stderr: String::new(),
    }
}

/// What the wrapper does with a send.
enum Verdict {
    Answers(Outcome),
    Attaches,
    Starts,
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

    fn judge(&mut self, payload: &Payload, boot: u64, too_late: bool, without: Without) -> Verdict {
        let superseded = self.mark.is_some_and(|mark| mark > payload.claim);
        if superseded && without.keeps(Rule::Mark) {
            return Verdict::Answers(Outcome::Superseded);
        }
        self.mark = self.mark.max(Some(payload.claim));
        let attempt = (payload.run, payload.step, payload.attempt);
        let lives = self.running.iter().any(|each| each.attempt == attempt);
        let entry = self.journal.get(&attempt);
        match entry.filter(|_| without.keeps(Rule::Journal)) {
            Some(Entry {
                ended: Some(outcome),
                ..
            }) => Verdict::Answers(*outcome),
            Some(entry) if entry.boot == boot && lives => Verdict::Attaches,
            Some(_) => Verdict::Answers(Outcome::Interrupted),
            // Only what would be started can come too late: a send that is delivered a second time, hours after the
            // first, must not hide the step that the first has started.
            None if too_late && without.keeps(Rule::NotAfter) => Verdict::Answers(Outcome::TooLate),
            None if !self.running.is_empty() && without.keeps(Rule::KernelLock) => {
                Verdict::Answers(Outcome::Busy)
            }
            None => Verdict::Starts,
        }
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
        let attempt = (payload.run, payload.step, payload.attempt);
        let answer = match verdict {
            Verdict::Answers(outcome) => Some(outcome),
            Verdict::Attaches => {
                let lives = node.fence.running.iter_mut();
                lives
                    .filter(|each| each.attempt == attempt)
                    .for_each(|each| each.sends.push(send));
                None
            }
            Verdict::Starts => None,
        };
        let execution = matches!(verdict, Verdict::Starts).then(|| self.start(node, send, payload));
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
    fn start(self: &Rc<Self>, node: &mut SimNode, send: u64, payload: &Payload) -> Execution {
        let attempt = (payload.run, payload.step, payload.attempt);
        let entry = Entry {
            boot: node.boot,
            ended: None,
        };
        node.fence.journal.insert(attempt, entry);
        if node.fence.journal.len() > JOURNAL_MAX {
            node.fence.journal.pop_first();
        }
        let execution = self.number();
        node.fence.running.push(Running {
            execution,
            attempt,
            sends: vec![send],
        });
        let (takes, outcome) = self.fate_of(payload);
        let (id, payload) = (node.node.id.clone(), payload.clone());
        let began = Execution {
            id: execution,
            node: id.clone(),
            job: payload.job.clone(),
            run: payload.run,
            claim: payload.claim,
            step: payload.step,
            attempt: payload.attempt,
            on: On::Node,
        };
        self.after(takes, move |cloud| {
            cloud.finish(&id, execution, &payload, outcome);
        });
        began
    }

    /// How long an execution takes, and how it ends when nothing comes between.
    fn fate_of(&self, payload: &Payload) -> (Duration, Outcome) {
        let (failed, timed_out) = {
            let faults = self.faults.borrow();
            (faults.step_failed, faults.step_timed_out)
        };
        if self.lots.chance(timed_out) {
            self.fired.count(Class::StepTimedOut);
            return (payload.timeout, Outcome::TimedOut);
        }
        let takes = self.lots.between(payload.takes / 4, payload.takes);
        if self.lots.chance(failed) {
            self.fired.count(Class::StepFailed);
            return (takes, Outcome::Failed);
        }
        (takes, Outcome::Ok)
    }

    /// A step ends, unless its node went down under it or it was stopped before.
    fn finish(self: &Rc<Self>, id: &NodeId, execution: u64, payload: &Payload, outcome: Outcome) {
        let sends = {
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
            sends
        };
        self.tell(What::Ended { execution, outcome });
        for send in sends {
            self.report(send, line(payload, outcome));
        }
    }

    /// The wrapper's verb `stop`: TERM, and KILL half a minute later.
    pub(crate) fn stop_step(self: &Rc<Self>, id: &NodeId, payload: &Payload) {
        let attempt = (payload.run, payload.step, payload.attempt);
        let executions: Vec<u64> = {
            let nodes = self.nodes.borrow();
            let Some(node) = nodes.get(id) else {
                return;
            };
            let running = node.fence.running.iter();
            running
                .filter(|each| each.attempt == attempt)
                .map(|each| each.execution)
                .collect()
        };
        for execution in executions {
            let (id, payload) = (id.clone(), payload.clone());
            let grace = self.lots.between(Duration::ZERO, Duration::from_secs(30));
            self.after(grace, move |cloud| {
                cloud.finish(&id, execution, &payload, Outcome::Interrupted);
            });
        }
    }
}
