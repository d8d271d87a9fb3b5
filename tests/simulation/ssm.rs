//! What carries steps to nodes, and keeps a history of it, as SSM does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use roundsman::io::memory::MemoryClock;
use roundsman::model::id::NodeId;
use roundsman::model::node::{Activity, Command, Handle};
use roundsman::model::outcome::Delivery;
use roundsman::model::time::{Moment, elapsed, later};
use roundsman::port::{Clock, Order};

use crate::cloud::Cloud;
use crate::faults::Class;
use crate::fence::Payload;
use crate::wrapper::line;

/// What the executor grants beyond the step's own time-out.
const EXECUTION_SLACK: Duration = Duration::from_secs(120);
const DELIVERY_MAX: Duration = Duration::from_secs(2_592_000);
const DELIVERY_MIN: Duration = Duration::from_secs(30);

/// Every send that is remembered.
#[derive(Debug, Default)]
pub(crate) struct Ssm(RefCell<BTreeMap<u64, Sent>>);

#[derive(Debug)]
struct Sent {
    node: NodeId,
    payload: Payload,
    requested: Moment,
    /// Delivery is tried until then.
    tried_until: Moment,
    latest_end: jiff::Timestamp,
    stage: Stage,
    wakers: Vec<Waker>,
}

/// How far a send has come, as the executor knows.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    Waiting,
    Running,
    /// The executor heard of its end.
    Ended(Delivery),
    /// It never reached the node, for certain.
    Undelivered,
    /// The executor gave up on hearing of it.
    Lost,
    Cancelled,
}

impl Sent {
    /// As it stands in the executor's history.
    fn command(&self, send: u64, now: jiff::Timestamp) -> Command {
        let latest_end = self.latest_end;
        let activity = match self.stage {
            Stage::Waiting | Stage::Running if now <= latest_end => Activity::InProgress,
            Stage::Ended(_) | Stage::Undelivered => Activity::Finished,
            Stage::Waiting | Stage::Running | Stage::Lost | Stage::Cancelled => {
                Activity::Unknown { latest_end }
            }
        };
        Command {
            job: self.payload.job.clone(),
            run: self.payload.run,
            step: self.payload.step,
            attempt: self.payload.attempt,
            activity,
            handle: Some(Handle {
                ticket: send.to_string(),
                sent: MemoryClock::wall_at(self.requested),
                latest_end,
            }),
        }
    }
}

impl Stage {
    fn is_over(&self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

/// Which nodes' history is this old is forgotten; evidence is asked for 49 hours.
const FORGOTTEN: Duration = Duration::from_secs(50 * 3_600);

/// How long a step of this script takes at most: the script is that number of seconds.
pub(crate) fn takes(script: &str) -> Duration {
    let seconds = script.rsplit(' ').next().and_then(|word| word.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// What of an order reaches the node.
pub(crate) fn payload(order: &Order) -> Payload {
    Payload {
        job: order.job.clone(),
        run: order.run,
        claim: order.claim,
        step: order.step,
        attempt: order.attempt,
        timeout: order.timeout,
        not_after: order.not_after,
        takes: takes(&order.script),
        deed: order.deed,
    }
}

impl Cloud {
    /// The executor takes a send, and tries to deliver it.
    pub(crate) fn take_send(self: &Rc<Self>, id: &NodeId, payload: &Payload) -> Option<u64> {
        let now = self.clock.wall();
        let delivery = elapsed(now, payload.not_after).clamp(DELIVERY_MIN, DELIVERY_MAX);
        let execution = payload.timeout + EXECUTION_SLACK;
        let requested = self.clock.boot();
        let send = self.number();
        {
            let mut nodes = self.nodes.borrow_mut();
            let node = nodes.get_mut(id)?;
            let mut all = self.ssm.0.borrow_mut();
            while let Some(oldest) = node.sends.front()
                && all
                    .get(oldest)
                    .is_none_or(|sent| sent.requested.plus(FORGOTTEN) < requested)
            {
                all.remove(oldest);
                node.sends.pop_front();
            }
            let sent = Sent {
                node: id.clone(),
                payload: payload.clone(),
                requested,
                tried_until: requested.plus(delivery),
                latest_end: later(now, delivery + execution),
                stage: Stage::Waiting,
                wakers: Vec::new(),
            };
            all.insert(send, sent);
            node.sends.push_back(send);
        }
        // At the end of both times SSM says `DeliveryTimedOut`, whatever is true.
        self.after(delivery + execution, move |cloud| {
            cloud.set_stage(send, Stage::Lost);
        });
        let faults = self.faults.borrow().clone();
        let chance = |class, ppm| {
            let came = self.lots.chance(ppm);
            if came {
                self.fired.count(class);
            }
            came
        };
        let seconds = Duration::from_secs;
        let quick = self.lots.between(Duration::from_millis(100), seconds(2));
        if chance(Class::DeliveryLost, faults.delivery_lost) {
            return Some(send);
        }
        let takes = if chance(Class::DeliverySlow, faults.delivery_slow) {
            self.lots.between(seconds(5), seconds(120))
        } else if chance(Class::DeliveryLate, faults.delivery_late) {
            self.lots.between(seconds(120), seconds(4 * 3_600))
        } else {
            quick
        };
        self.after(takes, move |cloud| cloud.deliver(send));
        if chance(Class::DeliveryTwice, faults.delivery_twice) {
            let again = takes + self.lots.between(Duration::ZERO, seconds(2 * 3_600));
            self.after(again, move |cloud| cloud.deliver(send));
        }
        Some(send)
    }

    /// A send reaches its node, when that is up and its agent answers.
    pub(crate) fn deliver(self: &Rc<Self>, send: u64) {
        let (id, payload, tried_until, over) = {
            let all = self.ssm.0.borrow();
            let Some(sent) = all.get(&send) else {
                return;
            };
            // What the executor says of these two is taken for certain, unless it is not.
            let heeded = !self.lots.chance(self.faults.borrow().cancel_unheeded);
            if matches!(sent.stage, Stage::Undelivered)
                || (matches!(sent.stage, Stage::Cancelled) && heeded)
            {
                return;
            }
            let over = sent.stage.is_over();
            (
                sent.node.clone(),
                sent.payload.clone(),
                sent.tried_until,
                over,
            )
        };
        let reachable = {
            let nodes = self.nodes.borrow();
            nodes
                .get(&id)
                .is_some_and(|node| node.up && node.agent_online)
        };
        if !reachable {
            if self.clock.boot() < tried_until {
                self.after(Duration::from_secs(20), move |cloud| cloud.deliver(send));
            } else if !over {
                self.set_stage(send, Stage::Undelivered);
            }
            return;
        }
        if !over {
            self.set_stage(send, Stage::Running);
        }
        if let Some(outcome) = self.exec(&id, send, &payload) {
            self.report(send, line(payload.claim, payload.attempt(), outcome));
        }
    }

    /// The agent reports an end, some time later, or never.
    pub(crate) fn report(self: &Rc<Self>, send: u64, delivery: Delivery) {
        let lost = self.faults.borrow().report_lost;
        if self.lots.chance(lost) {
            self.fired.count(Class::ReportLost);
            return;
        }
        let takes = self
            .lots
            .between(Duration::from_millis(100), Duration::from_secs(4));
        self.after(takes, move |cloud| {
            cloud.set_stage(send, Stage::Ended(delivery));
        });
    }

    /// What ended stays ended, but what the executor had given up may yet be heard of.
    pub(crate) fn set_stage(&self, send: u64, stage: Stage) {
        let mut all = self.ssm.0.borrow_mut();
        let Some(sent) = all.get_mut(&send) else {
            return;
        };
        let heard_late = matches!((&sent.stage, &stage), (Stage::Lost, Stage::Ended(_)));
        if sent.stage.is_over() && !heard_late {
            return;
        }
        sent.stage = stage;
        if sent.stage.is_over() {
            sent.wakers.drain(..).for_each(Waker::wake);
        }
    }

    /// The agents of a node that is up again repeat what they were at, or forget it.
    pub(crate) fn repeat_after_boot(self: &Rc<Self>, sends: &[u64]) {
        for &send in sends {
            if self.lots.chance(600_000) {
                let takes = self
                    .lots
                    .between(Duration::from_secs(5), Duration::from_secs(60));
                self.after(takes, move |cloud| cloud.deliver(send));
            }
        }
    }

    /// Every command on the node that was sent within the last `within`.
    pub(crate) fn evidence_of(&self, id: &NodeId, within: Duration) -> Vec<Command> {
        let (now, wall) = (self.clock.boot(), self.clock.wall());
        let nodes = self.nodes.borrow();
        let all = self.ssm.0.borrow();
        let Some(node) = nodes.get(id) else {
            return Vec::new();
        };
        let known = |send: &u64| all.get(send).map(|sent| (*send, sent));
        node.sends
            .iter()
            .filter_map(known)
            .filter(|(_, sent)| sent.requested.plus(within) >= now)
            .map(|(send, sent)| sent.command(send, wall))
            .collect()
    }

    /// A send as the executor knows it.
    pub(crate) fn sent(&self, send: u64) -> Option<(Stage, Payload)> {
        let all = self.ssm.0.borrow();
        let sent = all.get(&send)?;
        Some((sent.stage.clone(), sent.payload.clone()))
    }

    /// How a send has ended; `None`: nobody knows of it.
    pub(crate) fn poll_over(&self, send: u64, context: &Context<'_>) -> Poll<Option<Stage>> {
        let mut all = self.ssm.0.borrow_mut();
        let Some(sent) = all.get_mut(&send) else {
            return Poll::Ready(None);
        };
        if sent.stage.is_over() {
            return Poll::Ready(Some(sent.stage.clone()));
        }
        let waker = context.waker();
        if !sent.wakers.iter().any(|known| known.will_wake(waker)) {
            sent.wakers.push(waker.clone());
        }
        Poll::Pending
    }

    /// Everything that runs on the node as the executor sees it: what a careful operator asks before breaking a lease.
    pub(crate) fn executor_sees_work(&self, id: &NodeId) -> bool {
        self.evidence_of(id, FORGOTTEN)
            .iter()
            .any(|command| command.activity != Activity::Finished)
    }
}
